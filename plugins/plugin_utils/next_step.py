# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that leads on from a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import DRIFT
from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import (
    ending,
    playbook_command,
    request_command,
    selection,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    RecipeAmbiguous,
    RecipeError,
    RecipeNotFetched,
    RecipeNotFound,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.refusals import (
    launch_words,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.answers import IN_ORDER
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.documents import Report

# The playbooks that report all specs of the nodes.
PLAYBOOKS = ("site.yml", "audit.yml")
# What only those have, also if another playbook imports them: they compare the nodes, and a check
# of a node without an answer is that of the audit.
THEIRS = {"parity", "audit"}
# Chooses checks that only a report can leave out.
FAST = "fast"


def next_command(report: Report, logins: Mapping[str, str], options: Mapping[str, Any]) -> str:
    """One line for a shell; "" for a report of something else than all specs of the nodes.

    logins: node -> the command that connects to it, for nodes that could not be reached.
    options: those of this run, as `context.CLIARGS` has them.
    """
    if report.playbook not in PLAYBOOKS and not THEIRS & set(report.specs):
        return ""
    for node in report.nodes:
        if node in report.unreachable and node in logins:
            return logins[node]
    found = {entry.status for entry in report.entries} | set(report.cells.values())
    chosen = selection(options, FAST)
    if DRIFT in found and report.check_mode:
        return playbook_command("site", chosen, options)
    # "not assessed" is what was left out, or skipped by a condition.
    if found - IN_ORDER - {"not assessed"}:
        return playbook_command("site", ["--check", *chosen], options)
    # Not above: most runs do not need it, and it takes 40 ms.
    from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.fabric import NO_PLAN

    apart = [
        entry.node
        for entry in report.entries
        if entry.check == "fabric_netplan" and entry.actual == NO_PLAN
    ]
    return playbook_command("discover" if len(set(apart)) > 1 else "status", (), options)


def status_command(report: Mapping[str, Any], lost: Sequence[str] = ()) -> str:
    """One line for a shell, from what is served.

    report: of the role status, with `workloads`, `answers` and `containers_unknown`. lost: nodes
    that did not answer.
    """
    if lost:
        return playbook_command("site", ["--check", "--limit", ",".join(lost)])
    running = [one for one in report["workloads"] if one["state"] != "retained"]
    as_root = ["-b"] if report.get("containers_unknown") else []
    if not running:
        return playbook_command(*(("status", as_root) if as_root else ("recipes",)))
    for workload in running:
        service = ["-e", f"service={workload['service']}"]
        if workload["state"] != "running" and workload.get("source") == "units":
            return playbook_command("status", as_root)
        if workload["state"] != "running":
            name, *words = launch_words(workload, workload["overrides"])
            return playbook_command(name, words)
        answer = report["answers"].get(workload["service"], {})
        if as_root and answer.get("denied"):
            return playbook_command("status", as_root)
        if answer.get("phase") != "serving":
            return playbook_command("logs", [*as_root, *service])
    first = running[0]
    kind = str(report["answers"][first["service"]].get("kind", ""))
    return request_command(first["url"], first["served_model_name"], kind)


def of_recipe(error: RecipeError, name: str, overrides: bool = False) -> str:
    """Why a recipe cannot be used, with what leads on.

    name: as it was given. overrides: whether some were given, too.
    """
    words = ["-e", f"{'show' if overrides else 'validate'}={name}"]
    if isinstance(error, RecipeNotFetched):
        words = ["-e", "fetch=true"]
    elif isinstance(error, (RecipeNotFound, RecipeAmbiguous)):
        words = []
    return refusal(str(error), "recipes", *words)


def refusal(reasons: Sequence[str | Mapping[str, Any]] | str, *playbook: str) -> str:
    """A message that ends with the line of the command that leads on.

    reasons: texts, or those of recipe/launch/refusals.py, of which the first says what leads on;
    otherwise playbook does: a name and arguments.
    """
    several = [reasons] if isinstance(reasons, str) else list(reasons)
    known = [one for one in several if not isinstance(one, str)]
    texts = [one if isinstance(one, str) else one["why"] for one in several]
    name, *words = known[0]["next"] if known else playbook
    return ending("; ".join(texts), playbook_command(name, words))
