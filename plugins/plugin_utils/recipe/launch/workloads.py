# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workloads on the nodes, from what each node reports about its containers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL, RETAINED
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import of_labels


def workloads(observed: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The workloads of this collection; those that are retained for a rollback come last.

    observed: node name -> what the module workload_info returned there. Each workload is a map:
    `recipe`, `recipe_path`, `overrides`, `plan_hash`, `served_model_name`, `url`, `head`,
    `container` (of the head), `kind` (a list, as the recipe says), `nodes` (in the order of ranks),
    `image_facts` (of the lookup launch_plan, as far as the plan uses them), `state`, `ray` (the
    addresses in its Ray cluster; empty without Ray) and `ranks`, a list of maps of `rank`, `node`,
    `container`, `status`, `started`, `unit` (its systemd unit; empty for none).
    """
    groups: dict[tuple[Any, ...], list[tuple[str, Mapping[str, Any]]]] = {}
    for node, facts in observed.items():
        for container in facts["containers"]:
            if container["ours"]:
                retained = container["name"].endswith(RETAINED)
                key = retained, _label(container, "workload"), _label(container, "plan-hash")
                groups.setdefault(key, []).append((node, container))
    return [_workload(key[0], group, observed) for key, group in sorted(groups.items())]


def _workload(
    retained: bool,
    group: list[tuple[str, Mapping[str, Any]]],
    observed: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    group = sorted(group, key=lambda placed: _number(placed[1], "rank"))
    head = group[0][1]
    expected = _number(head, "ranks") or len(group)
    running = sum(container["status"] == "running" for _node, container in group)
    return {
        "recipe": _label(head, "recipe"),
        "recipe_path": _label(head, "recipe-path"),
        "overrides": _map(_label(head, "overrides")),
        "plan_hash": _label(head, "plan-hash"),
        "served_model_name": _label(head, "served-model-name"),
        "url": _label(head, "url"),
        "head": group[0][0],
        "container": head["name"],
        "kind": list(of_labels(head["labels"])) if isinstance(head["labels"], Mapping) else [],
        "nodes": [node for node, _container in group],
        "image_facts": {node: _map(_label(rank, "image-facts")) for node, rank in group},
        "state": _state(retained, running, expected),
        "ray": observed[group[0][0]].get("ray", {}).get(head["name"], []),
        "ranks": [
            {
                "rank": _number(container, "rank"),
                "node": node,
                "container": container["name"],
                "status": container["status"],
                "started": container["started"],
                "unit": _unit(container, observed[node]),
            }
            for node, container in group
        ],
    }


def _unit(container: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The unit of a container, without what is known from its rank."""
    keys = ("state", "enabled", "restarts", "status_text", "down")
    for unit in facts.get("units", ()):
        if unit["container"] == container["name"]:
            return {key: unit[key] for key in keys}
    return {}


def _state(retained: bool, running: int, expected: int) -> str:
    if retained:
        return "retained"
    if running == expected:
        return "running"
    return "%d of %d ranks run" % (running, expected) if running else "ended"


def _map(text: str) -> dict[str, Any]:
    try:
        value = foreign.json_of(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _label(container: Mapping[str, Any], key: str) -> str:
    labels = container["labels"]
    return foreign.line(str(labels.get(LABEL + key, ""))) if isinstance(labels, Mapping) else ""


def _number(container: Mapping[str, Any], key: str) -> int:
    """0 for a label that is no number: whoever may use Docker labels containers as ours."""
    label = _label(container, key)
    return int(label) if foreign.is_whole(label) else 0
