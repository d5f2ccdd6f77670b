# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between the services that are declared and those that run. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    DRIFT,
    FIXED,
    OK,
    SKIPPED,
    WARNING,
    Finding,
    Plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import gib_of, service_of
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.refusals import reasons
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.swap_steps import (
    launch_steps,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import Declared

Observed = t.Mapping[str, t.Mapping[str, t.Any]]
LaunchPlan = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Service:
    """A declared service and how it is. node: that reports it, the head of its plan.

    state: `serves` as declared, `silent` (it runs as declared and does not answer), `differs`
    (another plan runs, or a part of it), `missing`, `refused` (it cannot be planned or launched),
    `unknown` (a node of it was not reached), `elsewhere` (a node of it is not part of the play),
    `watched` (it is not ours). runs: what runs in words.
    claim: GiB on its largest node, 0 where unknown.
    """

    declared: Declared
    node: str
    state: str
    why: str = ""
    runs: str = "nothing"
    claim: float = 0.0

    @property
    def pending(self) -> bool:
        """Whether a launch makes it what is declared."""
        return self.state in ("differs", "missing")


def service(
    wanted: Declared,
    plan: LaunchPlan | None,
    error: str,
    observed: Observed,
    hosts: t.Sequence[str],
) -> Service:
    """How a declared service is.

    plan: None with the error where there is none. observed: node name -> what the module
    workload_info returned there, of the nodes that were reached. hosts: all nodes of the play.
    """
    first = (*wanted.nodes, *hosts)[0]
    if wanted.url or wanted.port:
        return Service(wanted, first, "watched")
    outside = [node for node in wanted.nodes if node not in hosts]
    if outside:
        why = f"{', '.join(outside)} is not part of this run"
        return Service(
            wanted, next((n for n in wanted.nodes if n in hosts), first), "elsewhere", why
        )
    lost = [node for node in wanted.nodes or hosts if node not in observed]
    if lost:
        head = first if first in observed else next(iter(observed), first)
        return Service(wanted, head, "unknown", f"{', '.join(lost)} could not be reached")
    if plan is None:
        return Service(wanted, first, "refused", error)
    steps = launch_steps(plan, observed)
    known = Service(
        wanted,
        str(plan["head"]),
        "serves",
        runs=_runs(wanted.name, observed),
        claim=max(
            gib_of(plan["claim"], observed[node].get("memory_total_bytes", 0)) or 0.0
            for node in plan["nodes"]
        ),
    )
    if steps["serves"]:
        return known
    if steps["refusals"]:
        return dataclasses.replace(known, state="refused", why=reasons(steps["refusals"]))
    if steps["running"] and not any(
        any(steps[key].values()) for key in ("remove", "supervise", "drop")
    ):
        return dataclasses.replace(known, state="silent", why="it runs, and does not answer")
    return dataclasses.replace(known, state="missing" if known.runs == "nothing" else "differs")


def pending(services: t.Iterable[Service]) -> list[dict[str, t.Any]]:
    """What has to be launched, the largest claim first: it finds room while there is some."""
    wanted = [service for service in services if service.pending]
    return [
        launch_of(one.declared)
        for one in sorted(wanted, key=lambda one: (-one.claim, one.declared.name))
    ]


def launch_of(one: Declared) -> dict[str, t.Any]:
    """What the role launch is given for a service."""
    return {
        "name": one.name,
        "recipe": one.recipe,
        "overrides": dict(one.overrides),
        "nodes": list(one.nodes),
        **one.launch,
    }


def undeclared(services: t.Iterable[Service], observed: Observed) -> dict[str, list[str]]:
    """The services that run and are not declared, with their nodes."""
    names = {service.declared.name for service in services}
    out: dict[str, list[str]] = {}
    for node, facts in observed.items():
        for name in sorted({service_of(c["labels"]) for c in facts["containers"] if c["ours"]}):
            if name not in names:
                out.setdefault(name, []).append(node)
    return out


@dataclasses.dataclass(frozen=True)
class Launch:
    """The repair of a service: what a launch replaces by what."""

    subject: str
    before: str
    after: str
    repairs: tuple[str, ...]

    def apply(self) -> None:
        raise NotImplementedError("services.yml launches services by the role launch")


def plan_of(services: t.Sequence[Service], node: str, launched: t.Mapping[str, str]) -> Plan:
    """The findings about the services that a node reports, and the launches that repair them.

    launched: services that this run has launched -> the error of the launch, empty for none.
    """
    found = [_finding(one, launched) for one in services if one.node == node]
    return Plan(
        tuple(found),
        tuple(
            Launch(finding.check, f"{finding.actual}\n", f"{finding.expected}\n", (finding.check,))
            for finding in found
            if finding.status == DRIFT
        ),
    )


def _finding(one: Service, launched: t.Mapping[str, str]) -> Finding:
    name = one.declared.name
    check = f"service_{name.replace('-', '_')}"
    what = one.declared.recipe or one.declared.url or f"port {one.declared.port}"
    expected = f"{what} answers as service {name}"
    if one.state == "watched":
        return Finding(check, SKIPPED, expected, f"{what} is not of this collection")
    if one.state == "elsewhere":
        return Finding(check, SKIPPED, expected, one.why)
    if one.state == "serves":
        return Finding(check, FIXED if name in launched else OK, expected, one.runs)
    if launched.get(name):
        return Finding(check, BLOCKED, expected, launched[name], CRITICAL, hint=_logs(name))
    if one.pending:
        fix = f"launch {what} as service {name}"
        return Finding(check, DRIFT, expected, one.runs, CRITICAL, fix=fix)
    if one.state == "silent":
        return Finding(
            check, BLOCKED, expected, f"{one.runs}: {one.why}", CRITICAL, hint=_logs(name)
        )
    severity = WARNING if one.state == "unknown" else CRITICAL
    return Finding(check, BLOCKED, expected, one.why, severity, hint="See the reason.")


def _logs(name: str) -> str:
    return f"ansible-playbook dgxspark.suite.logs -e service={name} shows why."


def _runs(name: str, observed: Observed) -> str:
    """What runs of a service, in words."""
    parts = [
        f"{container['recipe']} on {node} ({container['status']})"
        for node, facts in observed.items()
        for container in facts["containers"]
        if container["ours"] and service_of(container["labels"]) == name
    ]
    return ", ".join(parts) or "nothing"
