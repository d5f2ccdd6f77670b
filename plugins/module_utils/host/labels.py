# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels by which this collection knows its own containers; it touches no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LABEL = "dgxspark.suite/"
OWNER = "dgxspark.suite"
# What a container's name ends with while a newer one has its place and is not proven yet.
RETAINED = ".previous"


def own_name(name: str) -> str:
    """The name that a container had before it was parked."""
    return name[: -len(RETAINED)] if name.endswith(RETAINED) else name


def unit_spec(labels: Mapping[str, str]) -> dict[str, Any]:
    """What the unit of a container has to be, by the container's labels; empty for none."""
    try:
        told = json.loads(labels.get(LABEL + "supervise") or "{}")
        if not told:
            return {}
        return {
            "recipe": labels[LABEL + "recipe"],
            "plan": labels[LABEL + "plan-hash"],
            "rank": int(labels[LABEL + "rank"]),
            "members": [str(member) for member in told["members"]],
            "port": int(told["port"]),
            "starts": int(told["starts"]),
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
