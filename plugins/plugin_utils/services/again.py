# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services an action of services.yml launches again. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import Declared

# restart: the plan that runs, once more. update: the same if its image has changed. reapply: what
# is declared, or else what runs, by its recipe as it is now, also where that is what runs.
RESTART, UPDATE, REAPPLY = ACTIONS = ("restart", "update", "reapply")

# Confirms that all services are meant.
ALL = "all"

Workload = t.Mapping[str, t.Any]


class Refused(RecipeError):
    """Why nothing is launched again. playbook: what leads on, its name and arguments."""

    def __init__(self, why: str, *playbook: str) -> None:
        self.playbook = playbook
        super().__init__(why)


def chosen(
    action: str,
    name: str,
    confirm: str,
    wanted: t.Sequence[Declared],
    running: t.Sequence[Workload],
) -> list[Declared]:
    """The services that an action launches again, by name.

    name: of the service, empty for none. confirm: ALL for all of them. wanted: what is declared.
    running: of the filter workloads, without retained ones. Raises Refused where it is not clear
    which, or none.
    """
    if action not in ACTIONS:
        raise Refused(f"again is {action!r:.40}, expected one of {', '.join(ACTIONS)}", "status")
    declared = {one.name: one for one in wanted if one.recipe}
    launched = {one["service"]: _as_it_runs(one, declared) for one in running}
    known = {**launched, **declared} if action == REAPPLY else launched
    if name:
        if name not in known:
            raise _unknown(action, name, wanted, known)
        return [known[name]]
    if not known:
        raise Refused("No service of this collection runs" + _or_declared(action), "recipes")
    if len(known) > 1 and confirm != ALL:
        raise Refused(
            f"Several services can be meant: {', '.join(sorted(known))}. Name one, -e service="
            f"{min(known)}, or confirm that all are meant, -e confirm={ALL}",
            "status",
        )
    return [known[name] for name in sorted(known)]


def _as_it_runs(workload: Workload, declared: t.Mapping[str, Declared]) -> Declared:
    """By its containers; whether a silent server is restarted, only the inventory says."""
    name = workload["service"]
    return Declared(
        name,
        workload["recipe_path"],
        dict(workload["overrides"]),
        tuple(workload["nodes"]),
        restart_on_deep_failure=declared.get(name, Declared(name)).restart_on_deep_failure,
    )


def _unknown(
    action: str, name: str, wanted: t.Sequence[Declared], known: t.Iterable[str]
) -> Refused:
    what = f"service {foreign.line(name)}"
    if any(one.name == name and not one.recipe for one in wanted):
        return Refused(
            f"{what} is declared by url or port: it is not of this collection, and is not touched",
            "health",
        )
    if action != REAPPLY and any(one.name == name for one in wanted):
        return Refused(
            f"{what} does not run. Without -e again, what is declared is launched", "services"
        )
    names = ", ".join(sorted(known)) or "nothing"
    return Refused(f"There is no {what}. What runs{_or_declared(action)}: {names}", "status")


def _or_declared(action: str) -> str:
    return " or is declared" if action == REAPPLY else ""


def differs(name: str, runs: str, plan: t.Mapping[str, t.Any]) -> str:
    """Why neither restart nor update is possible, empty if both are. runs: the hash that runs."""
    if plan["hash"] == runs:
        return ""
    return (
        f"service {name} runs with plan {foreign.line(runs)[:12]}. Its recipe with the inventory "
        f"gives plan {plan['hash'][:12]} now, which neither restart nor update launches"
    )
