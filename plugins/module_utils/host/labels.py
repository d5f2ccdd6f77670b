# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The labels that mark this collection's own containers; it touches no others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

LABEL = "dgxspark.suite/"
OWNER = "dgxspark.suite"
# The end of the name of a container that is retained for a rollback.
RETAINED = ".previous"
# The end of the name of one that was created for a swap and never started.
NEXT = ".next"
# The service that a launch replaces where none is named.
MAIN = "main"

# Of a claim: a share beyond 1 is no share, and no node has a TiB.
_MOST = {"share": 1.0, "gib": 1024.0}
_SERVICE = re.compile(r"[a-z0-9][a-z0-9-]{0,30}", re.ASCII)


def is_service(name: str) -> bool:
    """Whether a service may have this name."""
    return _SERVICE.fullmatch(name) is not None


def service_of(labels: Mapping[str, str]) -> str:
    """The service of one of our containers; versions before services had only `main`."""
    name = labels.get(LABEL + "service")
    return name if isinstance(name, str) and is_service(name) else MAIN


def slot_of(labels: Mapping[str, str]) -> int:
    """The number that chooses the ports of a container's service; 0 for that of `main`."""
    text = labels.get(LABEL + "slot")
    return int(text) if isinstance(text, str) and foreign.is_whole(text) else 0


def gib_of(claim: str, total_bytes: int) -> float | None:
    """The memory that a service claims on a node, in GiB; None where it is not known.

    claim: of the label, `share:0.3` or `gib:12.50`. total_bytes: the memory of the node.
    """
    kind, _colon, text = claim.partition(":")
    try:
        number = foreign.real(text)
    except ValueError:
        return None
    if kind not in _MOST or not 0 <= number <= _MOST[kind]:
        return None
    return number * total_bytes / (1 << 30) if kind == "share" else number


def own_name(name: str) -> str:
    """The name that a container has while it serves."""
    for suffix in (RETAINED, NEXT):
        if name.endswith(suffix):
            return name[: -len(suffix)]
    return name


def unit_spec(labels: Mapping[str, str]) -> dict[str, Any]:
    """What the unit of a container needs, from the container's labels; empty for no unit."""
    try:
        common = foreign.json_of(labels.get(LABEL + "supervise") or "{}")
        if not common:
            return {}
        return {
            "recipe": labels[LABEL + "recipe"],
            "service": service_of(labels),
            "plan": labels[LABEL + "plan-hash"],
            "rank": int(labels[LABEL + "rank"]),
            "members": [str(member) for member in common["members"]],
            "port": int(common["port"]),
            "starts": int(common["starts"]),
            "nodes": [str(node) for node in common.get("nodes", ())],
            "url": labels.get(LABEL + "url", ""),
            "model": labels.get(LABEL + "served-model-name", ""),
            "kind": [word for word in labels.get(LABEL + "kind", "").split(",") if word],
            "claim": labels.get(LABEL + "claim", ""),
            "deep": int(common.get("deep", 0)),
            "probe": labels.get(LABEL + "probe", ""),
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
