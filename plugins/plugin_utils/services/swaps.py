# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Swaps that have not ended, as their nodes have reported them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.state_files import clock


def open_swaps(observed: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The open swap of each service, as its decider reports it where that was reached.

    observed: node name -> what the module workload_info returned there. Each has `service`, `id`,
    `recipe`, `owner`, `decider`, `state`, `step`, `attempt`, `since` (2026-11-25T02:00:00Z, of the
    step), `missing` (nodes that do not answer the decider), `nodes` (those that reported it) and
    `what` (all of it in words).
    """
    found: dict[str, dict[str, Any]] = {}
    for node, facts in observed.items():
        swaps = facts.get("swaps")
        for service, swap in swaps.items() if isinstance(swaps, Mapping) else ():
            known = found.get(service)
            if known is None or swap.get("decider") == node:
                found[service] = {**_shown(service, swap), "nodes": known["nodes"] if known else []}
            found[service]["nodes"].append(node)
    return [{**swap, "what": _words(swap)} for _service, swap in sorted(found.items())]


def _shown(service: str, swap: Mapping[str, Any]) -> dict[str, Any]:
    words = ("id", "recipe", "owner", "decider", "state", "step")
    return {
        "service": foreign.line(service),
        **{word: foreign.line(str(swap.get(word, ""))) for word in words},
        "attempt": _number(swap.get("attempt")),
        "since": _moment(swap.get("since")),
        "missing": [foreign.line(str(name)) for name in swap.get("missing") or ()],
    }


def _number(text: object) -> int:
    return int(str(text)) if foreign.is_whole(str(text)) else 0


def _moment(text: object) -> str:
    try:
        return clock(foreign.real(str(text)))
    except (ValueError, OverflowError, OSError):
        return ""


def _words(swap: Mapping[str, Any]) -> str:
    attempt = f", attempt {swap['attempt']}" if swap["attempt"] > 1 else ""
    missing = f"; no answer from {', '.join(swap['missing'])}" if swap["missing"] else ""
    since = f" since {swap['since']}" if swap["since"] else ""
    return (
        f"Swap of service {swap['service']} to {swap['recipe']} by {swap['owner']}: "
        f"{swap['step'] or swap['state']}{since}{attempt}{missing}"
    )
