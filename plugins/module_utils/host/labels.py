# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The labels of this collection's containers; it changes no others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LABEL = "dgxspark.suite/"
OWNER = "dgxspark.suite"
# What a container's name ends with while a newer one has its place and is not proven yet.
PARKED = ".previous"


def own_name(name: str) -> str:
    """The name that a container had before it was parked."""
    return name[: -len(PARKED)] if name.endswith(PARKED) else name


def unit_spec(labels: Mapping[str, str]) -> dict[str, Any]:
    """What the unit of a container has to be, by the container's labels; empty for none."""
    try:
        spec = json.loads(labels.get(LABEL + "keep") or "{}")
        if not spec:
            return {}
        return {
            "recipe": labels[LABEL + "recipe"],
            "plan": labels[LABEL + "plan-hash"],
            "rank": int(labels[LABEL + "rank"]),
            "members": [str(member) for member in spec["members"]],
            "port": int(spec["port"]),
            "starts": int(spec["starts"]),
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
