# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes lack a model of a plan, and who has it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Seen = Mapping[str, Mapping[str, Any]]


def model_steps(
    plan: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """What has to be done so that all nodes of the plan have its models, whole and the same.

    observed: node name -> what the module workload_info returned there; nodes beside those of the
    plan may be among them, and may have what the plan's nodes lack.

    Returns a dict: `copies` (each a dict of `name`, `quant`, `revision`, `source` (the node that
    has it) and `receive` (nodes that take it from there)), `refusals` (why it cannot be), `ready`
    (whether there is nothing to do).
    """
    copies, refusals = [], []
    for at, wanted in enumerate(plan["models"]):
        seen = {node: observed[node]["models"][at] for node in [*plan["nodes"], *observed]}
        having = [node for node in seen if seen[node]["complete"]]
        # The head's is right where they differ: it is what a launch on it alone would serve.
        source = next(iter(having), "")
        receive = [
            node
            for node in plan["nodes"]
            if node not in having or _content(seen[node]) != _content(seen[source])
        ]
        if not receive:
            continue
        refusal = _refusal(wanted, seen, source, receive)
        if refusal:
            refusals.append(refusal)
        else:
            quant = seen[source]["quant"]
            copies.append({**wanted, "quant": quant, "source": source, "receive": receive})
    return {
        "copies": [] if refusals else copies,
        "refusals": refusals,
        "ready": not copies and not refusals,
    }


def _content(seen: Mapping[str, Any]) -> Any:
    return seen["revision"] or seen["size"]


def _refusal(wanted: Mapping[str, str], seen: Seen, source: str, receive: Sequence[str]) -> str:
    name = ":".join(filter(None, (wanted["name"], wanted["quant"])))
    loading = [node for node in receive if seen[node]["downloading"]]
    if loading:
        return "%s is being downloaded on %s; launch it when that is through" % (
            name,
            " and ".join(loading),
        )
    if not source:
        return "%s is not whole on any node. %s. %s" % (name, _problems(seen), _way_out(wanted))
    if seen[source]["kind"] == "other":
        return "%s is on %s only, and no model that could be copied: put it on %s" % (
            name,
            source,
            " and ".join(receive),
        )
    return ""


def _problems(seen: Seen) -> str:
    told: dict[str, list[str]] = {}
    for node, one in seen.items():
        told.setdefault(one["problem"], []).append(node)
    return "; ".join("%s: %s" % (" and ".join(nodes), text) for text, nodes in told.items())


def _way_out(wanted: Mapping[str, str]) -> str:
    if wanted["name"].startswith("/"):
        return "Put it on one of them, or correct the recipe"
    quant = " -e quant=%s" % wanted["quant"] if wanted["quant"] else ""
    revision = " -e revision=%s" % wanted["revision"] if wanted["revision"] else ""
    return "Download it: ansible-playbook playbooks/model_download.yml -e model=%s%s%s" % (
        wanted["name"],
        quant,
        revision,
    )
