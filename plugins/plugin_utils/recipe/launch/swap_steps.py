# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a launch, computed from the plan and from what runs on the nodes. Pure.

A launch replaces one service; all others are neighbours, of which only the ports count.
The names, labels and states of the containers show how far an earlier launch came: what was served
before is retained, under a name that ends in `.previous`, until its replacement has answered. So
the next launch can continue after one that was killed at any point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import (
    LABEL,
    MAIN,
    RETAINED,
    own_name,
    service_of,
    unit_spec,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import (
    endpoint,
    of_labels,
    probe_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.claims import too_little
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.node_needs import (
    unmet_needs,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.refusals import (
    Refusal,
    launch_words,
    refusal,
)

Observed = Mapping[str, Mapping[str, Any]]
Placed = tuple[str, Mapping[str, Any]]  # node, container


def launch_steps(
    plan: Mapping[str, Any], observed: Observed, recreate: bool = False
) -> dict[str, Any]:
    """The steps from what runs to what is planned.

    plan: from the lookup launch_plan. observed: node name -> what the module workload_info returned
    there, for every node that may have containers of this collection, also outside of the plan.
    recreate: whether the plan is started anew where it runs, which is then restored by a rollback.

    Returns a dict: `refusals` (see refusals.py; while there are any, nothing may be done), `notes`
    (texts about links that are mounted by their targets), `running` (whether every rank runs as
    planned), `serves` (whether the model has also answered and no step is left; False if
    workload_info did not ask), `previous` (what a rollback restores, see describe; empty for
    nothing), `remove` (node -> names of other containers of the service, to be removed), `start`
    (node -> its rank of the plan), `supervise` (node -> container -> its unit_spec, for all ranks
    if one has no unit or a different one), `drop` (node -> names of retained containers that an
    interrupted launch has left of what was served before, where the plan runs already).
    """
    service = plan["service"]
    running = not recreate and all(
        _runs(rank, plan["hash"], observed[rank["node"]]) for rank in plan["ranks"]
    )
    starting = [] if running else plan["ranks"]
    wanted = {(rank["node"], rank["name"]) for rank in plan["ranks"]} if running else set()
    previous = _previous(observed, service, wanted)
    previous_ids = {container["id"] for _node, container in previous}
    remove: dict[str, list[str]] = {node: [] for node in observed}
    for node, container in _ours(observed, service):
        if container["id"] not in previous_ids and (node, container["name"]) not in wanted:
            remove[node].append(container["name"])
    for node, name in _units_alone(observed, service):
        remove[node].append(name)
    out: dict[str, Any] = {
        "refusals": [
            *_foreign_names(plan, observed),
            *_open_swaps(plan, observed),
            *_taken_ports(plan, observed),
            *([] if running else _bad_mounts(plan, observed)),
            *([] if running else unmet_needs(plan, observed)),
            *([] if running else _too_little_memory(plan, observed)),
            *([] if running else _others_start(plan, observed)),
        ],
        "notes": list(dict.fromkeys(_links(plan, observed))),
        "running": running,
        "previous": describe(previous),
        "remove": remove,
        "start": {rank["node"]: rank for rank in starting},
        "supervise": _to_supervise(
            {(rank["node"], rank["name"]): unit_spec(rank["labels"]) for rank in plan["ranks"]},
            observed,
            running,
        ),
        "drop": _by_node(observed, [(node, c["name"]) for node, c in previous] if running else []),
    }
    pending = any(any(out[key].values()) for key in ("remove", "supervise", "drop"))
    complete = running and not (pending or out["refusals"])
    return {**out, "serves": complete and _answers(plan, observed)}


def describe(workload: list[Placed]) -> dict[str, Any]:
    """A workload from the labels of its containers, empty for none.

    Keys: `recipe`, `plan_hash`, `served_model_name`, `url` (empty if there is no such label),
    `endpoint` (for clients), `kind` (a list, empty where the server is asked), `probe` (of
    wait_serving), `head`, `containers` (maps of `node`, `name`, `id`).
    """
    if not workload:
        return {}
    node, head = min(workload, key=lambda placed: int(_label(placed[1], "rank") or 0))
    kinds = of_labels(head["labels"])
    return {
        "recipe": _label(head, "recipe"),
        "plan_hash": _label(head, "plan-hash"),
        "served_model_name": _label(head, "served-model-name"),
        "url": _label(head, "url"),
        "endpoint": endpoint(_label(head, "url"), kinds),
        "kind": list(kinds),
        "probe": probe_of(_label(head, "probe")),
        "head": node,
        "containers": [
            {"node": where, "name": own_name(c["name"]), "id": c["id"]} for where, c in workload
        ],
    }


def _previous(observed: Observed, service: str, wanted: set[tuple[str, str]]) -> list[Placed]:
    """The containers of the workload that a rollback restores.

    What an interrupted launch has retained comes first, because that had answered, together with
    ranks of the same plan that it had not retained yet. Otherwise a workload whose ranks all run.
    """
    ours = [(node, c) for node, c in _ours(observed, service) if (node, c["name"]) not in wanted]
    retained = [(node, c) for node, c in ours if c["name"].endswith(RETAINED)]
    if retained:
        group = _largest(retained)
        plan_hash = _label(group[0][1], "plan-hash")
        taken = {(node, own_name(c["name"])) for node, c in group}
        ranks = {_label(c, "rank") for _node, c in group}
        not_yet = [
            (node, c)
            for node, c in ours
            if not c["name"].endswith(RETAINED)
            and not wanted
            and _label(c, "plan-hash") == plan_hash
            and _label(c, "rank") not in ranks
            and (node, c["name"]) not in taken
        ]
        return [*group, *not_yet]
    alive = [(node, c) for node, c in ours if c["status"] == "running"]
    complete = [group for group in _groups(alive).values() if _is_complete(group)]
    return [] if wanted else max(complete, key=len, default=[])


def _units_alone(observed: Observed, service: str) -> Iterator[tuple[str, str]]:
    """Units of the service whose containers are gone."""
    for node, facts in observed.items():
        names = {container["name"] for container in facts["containers"] if container["ours"]}
        for unit in facts.get("units", ()):
            if unit["container"] not in names and unit.get("service", MAIN) == service:
                yield node, unit["container"]


def _to_supervise(
    specs: Mapping[tuple[str, str], Mapping[str, Any]], observed: Observed, running: bool
) -> dict[str, dict[str, Any]]:
    """Node -> container -> its unit_spec: those of all ranks, or none.

    specs: by node and container, empty for no unit. A unit that is written gets a new secret, which
    all units of the workload have to know. running: otherwise all units are removed before.
    """
    wanted = {place: spec for place, spec in specs.items() if spec}
    supervised = running and all(
        _is_supervised(observed[node], name, str(spec["plan"]))
        for (node, name), spec in wanted.items()
    )
    out: dict[str, dict[str, Any]] = {node: {} for node in observed}
    for (node, name), spec in wanted.items():
        if not supervised:
            out[node][name] = spec
    return out


def _is_supervised(facts: Mapping[str, Any], name: str, plan_hash: str) -> bool:
    return any(
        unit["container"] == name
        and unit["plan"] == plan_hash
        and unit["enabled"]
        and unit["state"] == "active"
        for unit in facts.get("units", ())
    )


def _is_complete(group: list[Placed]) -> bool:
    """Whether every rank is present exactly once."""
    ranks = sorted(_label(c, "rank") for _node, c in group)
    count = int(_label(group[0][1], "ranks") or len(group))
    return ranks == sorted(str(rank) for rank in range(count))


def _largest(containers: list[Placed]) -> list[Placed]:
    return max(_groups(containers).values(), key=len)


def _groups(containers: list[Placed]) -> dict[tuple[str, str], list[Placed]]:
    """Containers by plan and workload."""
    groups: dict[tuple[str, str], list[Placed]] = {}
    for node, container in containers:
        key = _label(container, "plan-hash"), _label(container, "workload")
        groups.setdefault(key, []).append((node, container))
    return groups


def _by_node(observed: Observed, names: list[tuple[str, str]]) -> dict[str, list[str]]:
    return {node: [name for where, name in names if where == node] for node in observed}


def _ours(observed: Observed, service: str) -> Iterator[Placed]:
    """The containers of the service."""
    for node, facts in observed.items():
        for container in facts["containers"]:
            if container["ours"] and service_of(container["labels"]) == service:
                yield node, container


def _label(container: Mapping[str, Any], key: str) -> str:
    return str(container["labels"].get(LABEL + key, ""))


def _runs(rank: Mapping[str, Any], plan_hash: str, facts: Mapping[str, Any]) -> bool:
    return any(
        container["name"] == rank["name"]
        and container["ours"]
        and container["status"] == "running"
        and _label(container, "plan-hash") == plan_hash
        # The same reference may name another image by now.
        and facts["image_id"] in (None, container["image_id"])
        for container in facts["containers"]
    )


def _answers(plan: Mapping[str, Any], observed: Observed) -> bool:
    head = plan["ranks"][0]
    answer = observed[head["node"]].get("answers", {}).get(head["name"], {})
    return bool(answer.get("phase") == "serving")


def _foreign_names(plan: Mapping[str, Any], observed: Observed) -> Iterator[Refusal]:
    for rank in plan["ranks"]:
        for container in observed[rank["node"]]["containers"]:
            if container["name"] == rank["name"] and not container["ours"]:
                yield refusal(
                    f"{rank['node']}: a container named {rank['name']} exists that was not started "
                    "by this collection, so it is left alone. Rename or remove it",
                    "status",
                )


def _taken_ports(plan: Mapping[str, Any], observed: Observed) -> Iterator[Refusal]:
    """Ports of the plan on which somebody else, or another service, listens there."""
    head, *workers = plan["nodes"]
    ports = {**plan["ports"], "swap": plan["swap_port"]}
    taken = [(head, *one) for one in _taken(plan["service"], ports, observed[head])]
    for worker in workers:
        found = _taken(plan["service"], plan["worker_ports"], observed[worker])
        taken += [(worker, *one) for one in found]
    for node, what, port, holder in taken:
        yield refusal(
            f"{node}: port {port} ({what}) is taken by {holder}. Stop it, or use another port",
            *_with_other_port(plan, observed, what, port),
        )


def _with_other_port(
    plan: Mapping[str, Any], observed: Observed, what: str, port: int
) -> Sequence[str]:
    """The launch of this plan with the next free number in place of a port."""
    used = {*plan["ports"].values(), *plan["worker_ports"].values()}
    used |= {listener["port"] for facts in observed.values() for listener in facts["listening"]}
    free = next((number for number in range(port + 1, 65536) if number not in used), None)
    if free is not None and what == "server":
        return launch_words(plan, {**plan["overrides"], "port": free})
    if free is not None and plan["service"] == MAIN:
        return [*launch_words(plan, plan["overrides"]), "-e", f"dgxspark_{what}_port={free}"]
    # Those of other services are derived from the numbers of the inventory.
    return ["status"]


def _taken(
    service: str, ports: Mapping[str, int], facts: Mapping[str, Any]
) -> Iterator[tuple[str, int, str]]:
    """Name and number of each port that is taken, and who has it, in words."""
    holders = {container["id"]: container for container in facts["containers"]}
    # Guards of swaps have a port as well.
    units = [*facts.get("units", ()), *facts.get("guards", ())]
    supervisors = {unit["pid"]: unit for unit in units if unit["pid"]}
    for what, port in ports.items():
        for listener in facts["listening"]:
            if listener["port"] != port:
                continue
            container = holders.get(listener["container"])
            unit = supervisors.get(listener["pid"])
            owner = ""
            if container and container["ours"]:
                owner = service_of(container["labels"])
            elif unit:
                owner = unit.get("service", MAIN)
            if owner == service:
                continue
            yield what, port, _holder(listener, container, owner)


def _open_swaps(plan: Mapping[str, Any], observed: Observed) -> Iterator[Refusal]:
    """A swap of the service that has not ended; the nodes do it, whoever has begun it."""
    for node, facts in observed.items():
        swap = facts.get("swaps", {}).get(plan["service"])
        if swap:
            yield refusal(
                f"{node}: a swap of service {plan['service']} to {swap['recipe']}, by "
                f"{swap['owner']}, has not ended ({swap['step'] or swap['state']}). To wait until "
                "it has ended: -e lock_wait=SECONDS. To undo it: -e force=true",
                *launch_words(plan, plan["overrides"]),
                *("-e", "lock_wait=1800"),
            )
            return


def _holder(listener: Mapping[str, Any], container: Mapping[str, Any] | None, service: str) -> str:
    """Who listens, in words. service: the name of the service that it is, empty for none."""
    if service:
        return f"service {service}"
    who = (
        f"{listener['process'] or 'a process'} (pid {listener['pid']})"
        if listener["pid"]
        else "another process"
    )
    return who + (f" in container {container['name']}" if container else "")


def _bad_mounts(plan: Mapping[str, Any], observed: Observed) -> Iterator[Refusal]:
    """Paths that the plan mounts, and that a node does not have where and as it should."""
    for node in plan["nodes"]:
        for mount in observed[node].get("mounts", ()):
            if mount["problem"]:
                yield refusal(
                    f"{node}: {mount['problem']}", "recipes", "-e", f"show={plan['recipe_path']}"
                )


def _others_start(plan: Mapping[str, Any], observed: Observed) -> Iterator[Refusal]:
    """Two engines that measure free memory at once starve each other."""
    for node in plan["nodes"]:
        others = [one for one in observed[node].get("starting", ()) if one != plan["service"]]
        if others:
            yield refusal(
                f"{node}: service {' and '.join(others)} is starting. Launch again when it answers",
                "status",
            )


def _too_little_memory(plan: Mapping[str, Any], observed: Observed) -> Iterator[Refusal]:
    for node in plan["nodes"]:
        for why in too_little(plan["service"], node, plan["claim"], observed[node]):
            yield refusal(why, "recipes", "-e", f"memory={plan['recipe_path']}")


def _links(plan: Mapping[str, Any], observed: Observed) -> Iterator[str]:
    for node in plan["nodes"]:
        for mount in observed[node].get("mounts", ()):
            if mount["links"] and not mount["problem"]:
                yield (
                    f"{node}: {mount['source']} is {mount['real']}, by the link "
                    f"{' and '.join(mount['links'])}"
                )
