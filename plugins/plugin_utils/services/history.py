# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of services as nodes have returned it. Pure.

A line is one of module_utils/serving/history.py, with its `age` in seconds.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import is_service
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.checked import is_moment
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.history import LIMIT, misfit
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.journal import COMPLETE
from ansible_collections.dgxspark.suite.plugins.plugin_utils.quantities import duration
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.workloads import (
    workloads,
)

Line = t.Mapping[str, t.Any]
Lines = dict[str, list[dict[str, t.Any]]]

_DAY = 86400


def merged(observed: t.Mapping[str, t.Any], most: int) -> Lines:
    """Service -> its last lines, the newest first, from all nodes that have some.

    observed: node name -> what the module workload_info returned there. What is no line is left
    out. All nodes of a change have its line.
    """
    out: dict[str, dict[tuple[str, float], dict[str, t.Any]]] = {}
    for facts in observed.values():
        for service, lines in _map(_map(facts).get("history")).items():
            if is_service(service) and isinstance(lines, list):
                known = {(line["run"], line["at"]): line for line in lines if _fits(line)}
                out[service] = {**known, **out.get(service, {})}
    return {
        service: sorted(lines.values(), key=lambda line: -float(line["at"]))[:most]
        for service, lines in sorted(out.items())
        if lines and most > 0
    }


def _map(value: object) -> t.Mapping[str, t.Any]:
    return value if isinstance(value, t.Mapping) else {}


def _fits(line: t.Any) -> bool:
    return not misfit(line) and is_moment(line.get("age"))


def table(history: t.Mapping[str, t.Sequence[Line]]) -> list[str]:
    """The lines of all services as text, in columns."""
    out = []
    for service, lines in history.items():
        out.append(f"History of {service}, the newest first:")
        cells = [(f"{ago(line['age'])} ago", line["result"], _what(line)) for line in lines]
        widths = [max(len(row[column]) for row in cells) for column in (0, 1)] if cells else []
        out += [
            f"  {age:>{widths[0]}}  {result:<{widths[1]}}  {what}" for age, result, what in cells
        ]
    return [foreign.line(text) for text in out]


def _what(line: Line) -> str:
    name = line["served_model_name"]
    served = f" as {name}" if name and name != line["recipe"] else ""
    where = f" on {' and '.join(line['nodes'])}" if line["nodes"] else ""
    return (
        f"{line['recipe'] or 'an unknown recipe'}{served}{where}, plan {line['plan_hash'][:12]}, "
        f"by {line['owner'] or 'an unknown owner'} in {duration(line['seconds'])}"
    )


def ago(seconds: float) -> str:
    """3 d for 259200 seconds."""
    return f"{seconds / _DAY:.0f} d" if seconds >= 2 * _DAY else duration(seconds)


def proven_before(
    history: t.Any,
    observed: t.Mapping[str, t.Mapping[str, t.Any]],
    service: str,
    hosts: t.Collection[str],
) -> dict[str, t.Any]:
    """What a service served last with another plan than now; what it served last if nothing runs.

    history: of the module service_history. observed: node name -> what the module workload_info
    returned there. hosts: nodes that a launch can use.

    Returns a dict: `problem` (why nothing can be served again; empty if something can),
    `recipe_path`, `overrides`, `nodes`, `plan_hash`, `what` (all of it in words).
    """
    lines = merged({"": {"history": history}}, LIMIT).get(service, [])
    proven = [line for line in lines if line["result"] == COMPLETE and _can_be_launched(line)]
    runs = [
        one
        for one in workloads(observed)
        if one["service"] == service and one["state"] not in ("retained", "ended")
    ]
    present = {one["plan_hash"] for one in runs}
    line = next((line for line in proven if line["plan_hash"] not in present), None)
    if line is None:
        nothing = {"recipe_path": "", "overrides": {}, "nodes": [], "plan_hash": "", "what": ""}
        return {**nothing, "problem": _nothing_before(service, proven, runs)}
    lost = [node for node in line["nodes"] if node not in hosts]
    what = f"{_what(line)}, {ago(line['age'])} ago"
    problem = f"{', '.join(lost)} cannot be used in this run, but is needed for {what}"
    return {
        "problem": foreign.line(problem) if lost else "",
        "recipe_path": line["recipe_path"],
        "overrides": dict(line["overrides"]),
        "nodes": list(line["nodes"]),
        "plan_hash": line["plan_hash"],
        "what": foreign.line(what),
    }


def _can_be_launched(line: Line) -> bool:
    return bool(os.path.isabs(line["recipe_path"]) and line["nodes"])


def _nothing_before(service: str, proven: t.Sequence[Line], runs: t.Sequence[Line]) -> str:
    by_name = "Launch a recipe by name"
    if not proven:
        return f"The history of service {service} has no complete launch yet. {by_name}"
    recipe = foreign.line(runs[0]["recipe"])
    return f"The history of service {service} has nothing before {recipe}, which runs. {by_name}"
