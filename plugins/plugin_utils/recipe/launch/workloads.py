# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workloads on the nodes, from what each node reports about its containers. Pure.

A node whose containers are unknown to the user of the run reports its units: then these count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import (
    LABEL,
    NEXT,
    RETAINED,
    service_of,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import (
    endpoint,
    of_labels,
)


def workloads(observed: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The workloads of this collection; those that are retained for a rollback come last.

    observed: node name -> what the module workload_info returned there. Each workload is a map:
    `service`, `slot` (of its ports), `recipe`, `recipe_path`, `overrides`, `plan_hash`,
    `served_model_name`, `url`, `endpoint` (for clients), `head`, `container` (of the head), `kind`
    (a list, as the recipe says), `probe` (of wait_serving), `nodes` (in the order of ranks),
    `image_facts` (of the lookup launch_plan, as far as the plan uses them), `state`, `source`
    (`units` if a rank is known by its unit alone, without `slot`, `recipe_path`, `overrides` and
    `image_facts`; otherwise `containers`), `ray` (the
    addresses in its Ray cluster; empty without Ray) and `ranks`, a list of maps of `rank`, `node`,
    `container`, `status`, `started`, `unit` (its systemd unit; empty for none).
    """
    groups: dict[tuple[Any, ...], list[tuple[str, Mapping[str, Any]]]] = {}
    for node, facts in observed.items():
        for container in facts["containers"]:
            # What a swap has created serves nothing yet.
            if container["ours"] and not container["name"].endswith(NEXT):
                retained = container["name"].endswith(RETAINED)
                key = (
                    retained,
                    _service(container),
                    _label(container, "workload"),
                    _label(container, "plan-hash"),
                )
                groups.setdefault(key, []).append((node, container))
    for node, facts in observed.items():
        for container in _of_units(facts):
            plan = _service(container), _label(container, "plan-hash")
            # The other ranks of it may be known by their containers.
            same = [key for key in groups if not key[0] and (key[1], key[3]) == plan]
            key = same[0] if same else (False, plan[0], "", plan[1])
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
    running = sum(
        container["status"] == "running" or container.get("supervised") is True
        for _node, container in group
    )
    kinds = of_labels(head["labels"]) if isinstance(head["labels"], Mapping) else ()
    # systemd did not answer.
    unclear = any(container.get("supervised", True) is None for _node, container in group)
    return {
        "service": _service(head),
        "slot": _number(head, "slot"),
        "recipe": _label(head, "recipe"),
        "recipe_path": _label(head, "recipe-path"),
        "overrides": _map(_label(head, "overrides")),
        "plan_hash": _label(head, "plan-hash"),
        "served_model_name": _label(head, "served-model-name"),
        "url": _label(head, "url"),
        "head": group[0][0],
        "container": head["name"],
        "endpoint": endpoint(_label(head, "url"), kinds),
        "kind": list(kinds),
        "probe": _map(_label(head, "probe")),
        "nodes": [node for node, _container in group],
        "image_facts": {node: _map(_label(rank, "image-facts")) for node, rank in group},
        "source": "units" if any("supervised" in rank for _node, rank in group) else "containers",
        "state": "unknown" if unclear else _state(retained, running, expected),
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


def _of_units(facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the units of a node say about its containers, where these are unknown."""
    for unit in facts.get("units", ()) if facts.get("containers_unknown") else ():
        labels = {
            "service": unit["service"],
            "recipe": unit["recipe"],
            "plan-hash": unit["plan"],
            "rank": unit["rank"],
            "ranks": len(unit["members"]),
            "url": unit["url"],
            "served-model-name": unit["model"],
            "kind": ",".join(unit["kind"]),
            "probe": unit.get("probe", ""),
        }
        yield {
            "name": unit["container"],
            "ours": True,
            "status": "unknown",
            "started": "",
            "labels": {LABEL + key: str(word) for key, word in labels.items()},
            "supervised": None if unit["state"] == "unknown" else unit["state"] == "active",
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


def _service(container: Mapping[str, Any]) -> str:
    labels = container["labels"]
    return service_of(labels if isinstance(labels, Mapping) else {})


def _number(container: Mapping[str, Any], key: str) -> int:
    """0 for a label that is no number: whoever may use Docker labels containers as ours."""
    label = _label(container, key)
    return int(label) if foreign.is_whole(label) else 0
