# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""From which node a model is copied, and which nodes of a plan lack it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.refusals import (
    Refusal,
    refusal,
)

Seen = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Choice:
    """The node that a model is copied from; empty with a refusal, or where no copy is complete."""

    source: str
    refusal: str = ""


def choose_source(copies: Mapping[str, str], given: str = "") -> Choice:
    """The one rule by which model_sync and a launch choose the source of a model.

    copies: node name -> `content_of` its copy, for the nodes whose copy is complete, in order of
    preference. given: the node that a person has named; empty for none.

    A given node is the source if its copy is complete. Otherwise all complete copies have to be the
    same, and the first is the source: which of different ones is right is for a person to say.
    """
    if given:
        if given in copies:
            return Choice(given)
        others = f" (complete on {', '.join(copies)})" if copies else ""
        return Choice("", f"{given} has no complete copy{others}")
    if len(set(copies.values())) > 1:
        listed = ", ".join(f"{node} has {content}" for node, content in copies.items())
        return Choice("", f"the nodes have different copies: {listed}")
    return Choice(next(iter(copies), ""))


def content_of(copy: Mapping[str, Any]) -> str:
    """What is the same where two nodes have the same: the commit, or of a directory its size."""
    return str(copy["revision"] or f"{copy['size']} bytes")


def model_steps(plan: Mapping[str, Any], observed: Seen) -> dict[str, Any]:
    """What has to be done so that all nodes of the plan have complete, equal copies of its models.

    observed: node name -> what the module workload_info returned there; nodes that are not in the
    plan may be among them, and may have what the nodes of the plan lack.

    Returns a dict: `copies` (each a dict of `name`, `quant`, `revision`, `source` (the node that
    has it) and `receive` (the nodes that copy it from there)), `refusals` (why it cannot be done,
    see refusals.py), `ready` (whether there is nothing to do).
    """
    copies, refusals = [], []
    for at, wanted in enumerate(plan["models"]):
        seen = {node: observed[node]["models"][at] for node in [*plan["nodes"], *observed]}
        # A node beside the plan has no say in what is right, and is asked only where no other can.
        choice = choose_source(_complete(seen, plan["nodes"]) or _complete(seen, seen))
        receive = [
            node
            for node in plan["nodes"]
            if not choice.source
            or not seen[node]["complete"]
            or content_of(seen[node]) != content_of(seen[choice.source])
        ]
        if not receive:
            continue
        problem = _refusal(plan, wanted, seen, choice, receive)
        if problem:
            refusals.append(problem)
        else:
            quant = seen[choice.source]["quant"]
            copies.append({**wanted, "quant": quant, "source": choice.source, "receive": receive})
    return {
        "copies": [] if refusals else copies,
        "refusals": refusals,
        "ready": not copies and not refusals,
    }


def _complete(seen: Seen, nodes: Iterable[str]) -> dict[str, str]:
    return {node: content_of(seen[node]) for node in nodes if seen[node]["complete"]}


def _refusal(
    plan: Mapping[str, Any],
    wanted: Mapping[str, str],
    seen: Seen,
    choice: Choice,
    receive: list[str],
) -> Refusal | None:
    name = ":".join(filter(None, (wanted["name"], wanted["quant"])))
    downloading = [node for node in receive if seen[node]["downloading"]]
    if downloading:
        where = " and ".join(downloading)
        why = f"{name} is being downloaded on {where}; launch it when that is done"
        return refusal(why, "models")
    if choice.refusal:
        return refusal(
            f"{name} is not copied: {choice.refusal}. Choose the node whose copy the others get by"
            " model_sync, -e source=NODE",
            "models",
        )
    if not choice.source:
        problem = f"{name} is not complete on any node. {_problems(seen)}"
        if wanted["name"].startswith("/"):
            way_out = "Put it on one of them, or correct the recipe"
            return refusal(f"{problem}. {way_out}", "recipes", "-e", f"show={plan['recipe_path']}")
        return refusal(problem, *_download(wanted))
    if seen[choice.source]["kind"] == "other":
        return refusal(
            f"{name} is on {choice.source} only, and is not a model that can be copied:"
            f" put it on {' and '.join(receive)}",
            "models",
        )
    return None


def _problems(seen: Seen) -> str:
    nodes_by_problem: dict[str, list[str]] = {}
    for node, copy in seen.items():
        nodes_by_problem.setdefault(copy["problem"], []).append(node)
    return "; ".join(
        f"{' and '.join(nodes)}: {problem}" for problem, nodes in nodes_by_problem.items()
    )


def _download(wanted: Mapping[str, str]) -> list[str]:
    given = {"model": wanted["name"], "quant": wanted["quant"], "revision": wanted["revision"]}
    words = [f"{name}={value}" for name, value in given.items() if value]
    return ["model_download", *(part for word in words for part in ("-e", word))]
