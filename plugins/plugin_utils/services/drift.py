# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between the services that are declared and those that run. Pure."""

from __future__ import annotations

import dataclasses
import types
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
# Node -> container -> what the module overlay_info returned of it.
Overlays = t.Mapping[str, t.Mapping[str, t.Mapping[str, t.Any]]]


@dataclasses.dataclass(frozen=True)
class Service:
    """A declared service and how it is. node: that reports it, the head of its plan.

    state: `serves` as declared, `silent` (it runs as declared and does not answer), `differs`
    (another plan runs, or a part of it), `missing`, `refused` (it cannot be planned or launched),
    `unknown` (a node of it was not reached), `elsewhere` (a node of it is not part of the play),
    `watched` (it is not ours). runs: what runs in words.
    claim: GiB on its largest node, 0 where unknown.
    overlaid: whether its image is built with an overlay, or its recipe forbids distributions.
    by_hand: what somebody has changed in its containers. forbidden: what they must not have.
    unclear: why that is not known, empty if it is.
    """

    declared: Declared
    node: str
    state: str
    why: str = ""
    runs: str = "nothing"
    claim: float = 0.0
    overlaid: bool = False
    by_hand: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    unclear: str = ""

    @property
    def pending(self) -> bool:
        """Whether a launch makes it what is declared."""
        return self.state in ("differs", "missing") or self.renewed

    @property
    def renewed(self) -> bool:
        """Whether it runs with the declared plan and gets new containers all the same."""
        return self.state == "serves" and bool(self.by_hand)


def service(
    wanted: Declared,
    plan: LaunchPlan | None,
    error: str,
    observed: Observed,
    hosts: t.Sequence[str],
    overlays: Overlays = types.MappingProxyType({}),
) -> Service:
    """How a declared service is.

    plan: None with the error where there is none. observed: node name -> what the module
    workload_info returned there, of the nodes that were reached. hosts: all nodes of the play.
    overlays: node name -> `overlays` of the module overlay_info.
    """
    first = (*wanted.nodes, *hosts)[0]
    if wanted.url or wanted.port or wanted.bot:
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
        **_overlaid(plan, overlays),
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


def _overlaid(plan: LaunchPlan, overlays: Overlays) -> dict[str, t.Any]:
    """The fields of a service about its overlay."""
    found = [
        (rank["node"], dict(overlays.get(rank["node"], {}).get(rank["name"], {})))
        for rank in plan["ranks"]
    ]
    return {
        "overlaid": bool(plan.get("overlay") or plan.get("forbid")),
        "by_hand": _lines(found, "changed") if plan.get("overlay") else (),
        "forbidden": _lines(found, "forbidden"),
        "unclear": "; ".join(
            f"{node}: {one['problem']}" for node, one in found if one.get("problem")
        ),
    }


def _lines(found: t.Iterable[tuple[str, t.Mapping[str, t.Any]]], key: str) -> tuple[str, ...]:
    return tuple(f"{node}: {line}" for node, one in found for line in one.get(key, ()))


def pending(services: t.Iterable[Service]) -> list[dict[str, t.Any]]:
    """What has to be launched, the largest claim first: it finds room while there is some."""
    wanted = [service for service in services if service.pending]
    return [
        {**launch_of(one.declared), **({"recreate": True} if one.renewed else {})}
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
    here = [one for one in services if one.node == node]
    found = [_finding(one, launched) for one in here]
    found += [finding for one in here for finding in _overlay_findings(one, launched)]
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
    if one.declared.bot:
        where = f"{one.declared.bot.checkout} of {one.declared.bot.user}"
        what = f"the bot in {where} is updated by bot.yml, and shown by health.yml"
        return Finding(check, SKIPPED, f"bot {name} runs", what)
    if one.state == "watched":
        return Finding(check, SKIPPED, expected, f"{what} is not of this collection")
    if one.state == "elsewhere":
        return Finding(check, SKIPPED, expected, one.why)
    if one.state == "serves" and not launched.get(name):
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


def _overlay_findings(one: Service, launched: t.Mapping[str, str]) -> t.Iterator[Finding]:
    """What runs of a service as it is declared, compared with its image."""
    if not one.overlaid or one.state not in ("serves", "silent"):
        return
    name = one.declared.name
    short = name.replace("-", "_")
    expected = "the packages in the containers are those of the image"
    check = f"overlay_{short}"
    if one.unclear:
        hint = _logs(name)
        yield Finding(check, BLOCKED, expected, one.unclear, WARNING, hint=hint)
    elif one.by_hand:
        actual = "changed by hand: " + ", ".join(one.by_hand)
        if one.pending and not launched.get(name):
            fix = f"launch service {name} again"
            yield Finding(check, DRIFT, expected, actual, WARNING, fix=fix)
        else:
            yield Finding(check, BLOCKED, expected, actual, WARNING, hint=_logs(name))
    else:
        yield Finding(check, FIXED if name in launched else OK, expected, expected)
    check, expected = f"forbidden_{short}", "the containers have nothing that the recipe forbids"
    if one.forbidden:
        hint = "Take it out of the image, or out of the overlay of the recipe."
        yield Finding(check, BLOCKED, expected, "; ".join(one.forbidden), CRITICAL, hint=hint)
    elif not one.unclear:
        yield Finding(check, OK, expected, expected)


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
