# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The swap that a launch hands to the nodes, from its plan and its steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL, unit_spec
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.swap_rules import Rules

Observed = Mapping[str, Mapping[str, Any]]


def swap_plan(
    plan: Mapping[str, Any],
    steps: Mapping[str, Any],
    observed: Observed,
) -> dict[str, Any]:
    """What the module swap needs on each node.

    plan: from the lookup launch_plan, with its addresses. steps, observed: of launch_steps. Guards
    reach each other over the fabric where all of them have an address there. Raises ValueError
    where the address of a node is not known.

    Returns a dict: `order` (the nodes that take part, the decider last), `decider`, `shared` (of
    swap.json what all nodes have: service, decider, port, members, claim, old, new), and by node
    `remove` (names of containers of the service that serve nothing), `unit` (the unit_spec of the
    new rank, empty for none) and `old_unit` (that of the old rank where its unit is missing); and
    `probe` (what proves the new plan, as a unit_spec).
    """
    previous = steps["previous"]
    old = _old(previous, observed) if previous else {}
    new = {
        "recipe": plan["recipe"],
        "plan_hash": plan["hash"],
        "ranks": [
            {
                "node": rank["node"],
                "rank": rank["rank"],
                "name": rank["name"],
                "id": "",
                "supervised": bool(unit_spec(rank["labels"])),
            }
            for rank in plan["ranks"]
        ],
    }
    cleared = [node for node, names in steps["remove"].items() if names]
    nodes = {*plan["nodes"], *(rank["node"] for rank in old.get("ranks", ())), *cleared}
    order = Rules().arming_order(nodes, plan["head"])
    return {
        "order": order,
        "decider": plan["head"],
        "shared": {
            "service": plan["service"],
            "decider": plan["head"],
            "port": plan["swap_port"],
            "claim": plan["claim"],
            "members": _members(order, plan["addresses"]),
            "old": old,
            "new": new,
        },
        "remove": {node: list(steps["remove"].get(node, ())) for node in order},
        "unit": {node: {} for node in order}
        | {rank["node"]: unit_spec(rank["labels"]) for rank in plan["ranks"]},
        "probe": _probe(plan),
        "old_unit": {node: {} for node in order} | _missing_units(previous, observed),
    }


def _members(nodes: Sequence[str], addresses: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Node -> the address of its guard."""
    unknown = [node for node in nodes if node not in addresses]
    if unknown:
        raise ValueError(
            f"{' and '.join(unknown)}: no IP address is known. Set dgxspark_address (or "
            "ansible_host) to one"
        )
    fabric = all(addresses[node]["link_address"] != addresses[node]["address"] for node in nodes)
    return {node: addresses[node]["link_address" if fabric else "address"] for node in nodes}


def _probe(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Of a unit_spec what proves the plan, also where no rank has a unit."""
    return {
        "recipe": plan["recipe"],
        "service": plan["service"],
        "plan": plan["hash"],
        "rank": 0,
        "members": [],
        "port": 0,
        "starts": 0,
        "url": plan["url"],
        "model": plan["served_model_name"],
        "kind": list(plan["kind"]),
        "probe": plan["ranks"][0]["labels"].get(LABEL + "probe", ""),
    }


def _old(previous: Mapping[str, Any], observed: Observed) -> dict[str, Any]:
    specs = _specs(previous, observed)
    return {
        "recipe": previous["recipe"],
        "plan_hash": previous["plan_hash"],
        "ranks": [
            {
                "node": container["node"],
                "rank": specs[container["id"]].get("rank", 0),
                "name": container["name"],
                "id": container["id"],
                "supervised": bool(specs[container["id"]]),
            }
            for container in previous["containers"]
        ],
    }


def _missing_units(previous: Mapping[str, Any], observed: Observed) -> dict[str, dict[str, Any]]:
    """Node -> the unit_spec of its old rank; empty where all old ranks have their units.

    A unit that is written has a new secret, so that all of them are.
    """
    if not previous:
        return {}
    specs = _specs(previous, observed)
    there = all(
        any(unit["container"] == one["name"] for unit in observed[one["node"]].get("units", ()))
        for one in previous["containers"]
    )
    return {} if there else {one["node"]: specs[one["id"]] for one in previous["containers"]}


def _specs(previous: Mapping[str, Any], observed: Observed) -> dict[str, dict[str, Any]]:
    """Container -> its unit_spec."""
    labels = {
        container["id"]: container["labels"]
        for facts in observed.values()
        for container in facts["containers"]
    }
    return {one["id"]: unit_spec(labels[one["id"]]) for one in previous["containers"]}
