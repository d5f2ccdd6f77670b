# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels by which this collection knows its own containers; it touches no others."""

from __future__ import annotations

LABEL = "dgxspark.suite/"
OWNER = "dgxspark.suite"
# What a container's name ends with while a newer one has its place and is not proven yet.
PARKED = ".previous"


def own_name(name: str) -> str:
    """The name that a container had before it was parked."""
    return name[: -len(PARKED)] if name.endswith(PARKED) else name
