# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a launch has to do, decided once from the plan and from what runs on the nodes.

The containers tell how far an earlier launch came: what was served before is parked, by a name of
its own, until what replaces it has answered a completion. So a launch whose controller was killed
is understood from its containers alone, wherever it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import (
    LABEL,
    RETAINED,
    own_name,
    unit_spec,
)

Observed = Mapping[str, Mapping[str, Any]]
Placed = tuple[str, Mapping[str, Any]]  # node, container


def launch_steps(plan: Mapping[str, Any], observed: Observed) -> dict[str, Any]:
    """The steps from what is there to what is planned.

    plan: of the lookup launch_plan. observed: node name -> what the module workload_info returned
    there, for every node that may hold something of ours, those included that the plan leaves out.

    Returns a dict: `refusals` (texts; nothing may be done while there are any), `running` (every
    rank already runs as planned), `serves` (it has answered, and nothing of all this is left to do;
    False where workload_info was not told to ask), `previous` (what a
    failure brings back, see describe; empty where there is nothing), `retain` (node -> names of its
    containers that are to be stopped and set aside), `remove` (node -> names of our other
    containers), `start` (node -> its rank of the plan), `supervise` (node -> container -> what its unit
    has to be, where it is not so yet), `drop` (node -> names that go once the model has answered).
    """
    running = all(_runs(rank, plan["hash"], observed[rank["node"]]) for rank in plan["ranks"])
    starting = [] if running else plan["ranks"]
    wanted = {(rank["node"], rank["name"]) for rank in plan["ranks"]} if running else set()
    kept = _kept(observed, wanted)
    kept_ids = {container["id"] for _node, container in kept}
    going: dict[str, list[str]] = {node: [] for node in observed}
    for node, container in _ours(observed):
        if container["id"] not in kept_ids and (node, container["name"]) not in wanted:
            going[node].append(container["name"])
    for node, name in _units_alone(observed):
        going[node].append(name)
    out: dict[str, Any] = {
        "refusals": [*_foreign_names(plan, observed), *_taken_ports(plan, observed)],
        "running": running,
        "previous": describe(kept),
        "retain": _by_node(
            observed, [(node, c["name"]) for node, c in kept if not _is_retained(c)]
        ),
        "remove": going,
        "start": {rank["node"]: rank for rank in starting},
        "supervise": _to_supervise(plan, observed, running),
        "drop": _by_node(observed, [(node, own_name(c["name"]) + RETAINED) for node, c in kept]),
    }
    todo = any(any(out[key].values()) for key in ("retain", "remove", "supervise", "drop"))
    settled = running and not (todo or out["refusals"])
    return {**out, "serves": settled and _answers(plan, observed)}


def undo_steps(previous: Mapping[str, Any], observed: Observed) -> dict[str, Any]:
    """The steps back from a launch that failed.

    previous: of launch_steps, as decided before anything was touched. observed: as there, now.

    Returns a dict: `remove` (node -> names of all of ours that are not the previous workload's),
    `restore` (node -> names of its containers that are to get their place back and to be started;
    empty everywhere where all of them still run in it), `supervise` (node -> container -> what its unit
    has to be once they answer), `lost` (texts: containers that are gone).
    """
    ids = {container["id"]: container for container in previous.get("containers", ())}
    found = [(node, c) for node, c in _ours(observed) if c["id"] in ids]
    seen = {container["id"] for _node, container in found}
    lost = [
        "%s: container %s is gone" % (container["node"], container["name"])
        for container in ids.values()
        if container["id"] not in seen and container["node"] in observed
    ]
    # One rank that was stopped needs its peers started anew with it.
    intact = all(c["status"] == "running" and own_name(c["name"]) == c["name"] for _n, c in found)
    return {
        "remove": _by_node(
            observed, [(node, c["name"]) for node, c in _ours(observed) if c["id"] not in ids]
        ),
        "restore": _by_node(observed, [] if intact else [(n, c["name"]) for n, c in found]),
        "supervise": {
            node: {
                own_name(c["name"]): unit_spec(c["labels"])
                for where, c in found
                if where == node and unit_spec(c["labels"])
            }
            for node in observed
        },
        "lost": lost,
    }


def describe(workload: list[Placed]) -> dict[str, Any]:
    """A workload by what its containers say of it, empty for none.

    Keys: `recipe`, `plan_hash`, `served_model_name`, `url` (the latter two are empty for containers
    of versions that did not tell), `head`, `containers` (maps of `node`, `name`, `id`).
    """
    if not workload:
        return {}
    node, head = min(workload, key=lambda placed: int(_label(placed[1], "rank") or 0))
    return {
        "recipe": _label(head, "recipe"),
        "plan_hash": _label(head, "plan-hash"),
        "served_model_name": _label(head, "served-model-name"),
        "url": _label(head, "url"),
        "head": node,
        "containers": [
            {"node": where, "name": own_name(c["name"]), "id": c["id"]} for where, c in workload
        ],
    }


def _kept(observed: Observed, wanted: set[tuple[str, str]]) -> list[Placed]:
    """The containers of the workload that a failure brings back.

    What an interrupted launch has set aside comes first, since that had been proven; with it go
    ranks of the same plan that it had not come to yet. Otherwise a workload of which every rank
    runs.
    """
    ours = [(node, c) for node, c in _ours(observed) if (node, c["name"]) not in wanted]
    aside = [(node, c) for node, c in ours if c["name"].endswith(RETAINED)]
    if aside:
        group = _largest(aside)
        plan_hash = _label(group[0][1], "plan-hash")
        taken = {(node, own_name(c["name"])) for node, c in group}
        ranks = {_label(c, "rank") for _node, c in group}
        late = [
            (node, c)
            for node, c in ours
            if not c["name"].endswith(RETAINED)
            and not wanted
            and _label(c, "plan-hash") == plan_hash
            and _label(c, "rank") not in ranks
            and (node, c["name"]) not in taken
        ]
        return [*group, *late]
    alive = [(node, c) for node, c in ours if c["status"] == "running"]
    whole = [group for group in _groups(alive).values() if _is_whole(group)]
    return [] if wanted else max(whole, key=len, default=[])


def _units_alone(observed: Observed) -> Iterator[tuple[str, str]]:
    """Units of ours whose containers are gone."""
    for node, facts in observed.items():
        names = {container["name"] for container in facts["containers"] if container["ours"]}
        for unit in facts.get("units", ()):
            if unit["container"] not in names:
                yield node, unit["container"]


def _to_supervise(
    plan: Mapping[str, Any], observed: Observed, running: bool
) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {node: {} for node in observed}
    for rank in plan["ranks"]:
        spec = unit_spec(rank["labels"])
        # What is replaced takes its units with it.
        kept = running and any(
            unit["container"] == rank["name"]
            and unit["plan"] == plan["hash"]
            and unit["enabled"]
            and unit["state"] == "active"
            for unit in observed[rank["node"]].get("units", ())
        )
        if spec and not kept:
            out[rank["node"]][rank["name"]] = spec
    return out


def _is_whole(group: list[Placed]) -> bool:
    """Whether every rank is there, once."""
    ranks = sorted(_label(c, "rank") for _node, c in group)
    count = int(_label(group[0][1], "ranks") or len(group))
    return ranks == sorted(str(rank) for rank in range(count))


def _largest(containers: list[Placed]) -> list[Placed]:
    return max(_groups(containers).values(), key=len)


def _groups(containers: list[Placed]) -> dict[tuple[str, str], list[Placed]]:
    """Containers of one plan; those of another image under the same plan are another workload."""
    found: dict[tuple[str, str], list[Placed]] = {}
    for node, container in containers:
        key = _label(container, "plan-hash"), _label(container, "workload")
        found.setdefault(key, []).append((node, container))
    return found


def _by_node(observed: Observed, names: list[tuple[str, str]]) -> dict[str, list[str]]:
    return {node: [name for where, name in names if where == node] for node in observed}


def _ours(observed: Observed) -> Iterator[Placed]:
    for node, facts in observed.items():
        for container in facts["containers"]:
            if container["ours"]:
                yield node, container


def _is_retained(container: Mapping[str, Any]) -> bool:
    return str(container["name"]).endswith(RETAINED) and container["status"] != "running"


def _label(container: Mapping[str, Any], key: str) -> str:
    return str(container["labels"].get(LABEL + key, ""))


def _runs(rank: Mapping[str, Any], plan_hash: str, facts: Mapping[str, Any]) -> bool:
    return any(
        container["name"] == rank["name"]
        and container["ours"]
        and container["status"] == "running"
        and _label(container, "plan-hash") == plan_hash
        # The same reference may have come to mean another image since.
        and facts["image_id"] in (None, container["image_id"])
        for container in facts["containers"]
    )


def _answers(plan: Mapping[str, Any], observed: Observed) -> bool:
    head = plan["ranks"][0]
    answer = observed[head["node"]].get("answers", {}).get(head["name"], {})
    return bool(answer.get("phase") == "serving")


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
    supervisors = [unit["pid"] for unit in facts.get("units", ()) if unit["pid"]]
    for what, port in plan["ports"].items():
        for listener in facts["listening"]:
            if listener["port"] != port or listener["container"] in ours:
                continue
            if listener["pid"] in supervisors:
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
