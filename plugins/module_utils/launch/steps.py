# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a launch has to do, decided once from the plan and from what runs on the nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.launch.labels import LABEL

Observed = Mapping[str, Mapping[str, Any]]


def launch_steps(plan: Mapping[str, Any], observed: Observed) -> dict[str, Any]:
    """The steps from what is there to what is planned.

    plan: of the lookup launch_plan. observed: node name -> what the module workload_info returned
    there, for every node that may hold something of ours, those included that the plan leaves out.

    Returns a dict: `refusals` (texts; nothing may be done while there are any), `running` (every
    rank already runs as planned), `remove` (node -> names of our containers that go), `start`
    (node -> its rank of the plan), `pull` (nodes that start a rank and lack the image).
    """
    running = all(_runs(rank, plan["hash"], observed[rank["node"]]) for rank in plan["ranks"])
    starting = [] if running else plan["ranks"]
    kept = {(rank["node"], rank["name"]) for rank in plan["ranks"]} if running else set()
    return {
        "refusals": [*_foreign_names(plan, observed), *_taken_ports(plan, observed)],
        "running": running,
        "remove": {
            node: [
                container["name"]
                for container in facts["containers"]
                if container["ours"] and (node, container["name"]) not in kept
            ]
            for node, facts in observed.items()
        },
        "start": {rank["node"]: rank for rank in starting},
        "pull": [rank["node"] for rank in starting if not observed[rank["node"]]["image_id"]],
    }


def _runs(rank: Mapping[str, Any], plan_hash: str, facts: Mapping[str, Any]) -> bool:
    return any(
        container["name"] == rank["name"]
        and container["ours"]
        and container["status"] == "running"
        and container["labels"].get(LABEL + "plan-hash") == plan_hash
        # The same reference may have come to mean another image since.
        and facts["image_id"] in (None, container["image_id"])
        for container in facts["containers"]
    )


def _foreign_names(plan: Mapping[str, Any], observed: Observed) -> Iterator[str]:
    for rank in plan["ranks"]:
        for container in observed[rank["node"]]["containers"]:
            if container["name"] == rank["name"] and not container["ours"]:
                yield (
                    f"{rank['node']}: a container named {rank['name']} exists that was not started "
                    "by this collection, so it is left alone. Rename or remove it"
                )


def _taken_ports(plan: Mapping[str, Any], observed: Observed) -> Iterator[str]:
    """Ports that the head will listen on and that somebody else listens on already."""
    facts = observed[plan["head"]]
    ours: list[str] = [container["id"] for container in facts["containers"] if container["ours"]]
    for what, port in plan["ports"].items():
        for listener in facts["listening"]:
            if listener["port"] != port or listener["container"] in ours:
                continue
            who = (
                f"{listener['process'] or 'a process'} (pid {listener['pid']})"
                if listener["pid"]
                else "another process"
            )
            named = [c["name"] for c in facts["containers"] if c["id"] == listener["container"]]
            where = f" in container {named[0]}" if named else ""
            yield (
                f"{plan['head']}: port {port} ({what}) is taken by {who}{where}. "
                f"Stop it, or choose another port: {_other_port(what)}"
            )


def _other_port(what: str) -> str:
    return "-e overrides=port=NUMBER" if what == "server" else f"-e dgxspark_{what}_port=NUMBER"
