# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node deviates from the others in what must be the same on all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    OK,
    SKIPPED,
    WARNING,
    Finding,
)

# What roles register: dgxspark_result_<spec>.
PREFIX = "dgxspark_result_"


def values_of(variables: Mapping[str, Any]) -> dict[str, str]:
    """What one node's results say must be the same on all nodes, name -> value."""
    values: dict[str, str] = {}
    for name in sorted(name for name in variables if name.startswith(PREFIX)):
        result = variables[name]
        for outcome in result.get("results", [result]) if isinstance(result, Mapping) else ():
            if isinstance(outcome, Mapping):
                values.update(outcome.get("parity") or {})
    return values


def check_id(name: str) -> str:
    """same_cuda, same_image_vllm_25_11: a finding's id for the name of what is compared."""
    words = "".join(char if char.isalnum() else " " for char in name.lower()).split()
    return "_".join(["same", *words])


def compare(nodes: Mapping[str, Mapping[str, str]], node: str) -> list[Finding]:
    """The findings about one node; nodes: node -> (name -> value), in the order of the inventory.

    There are none if fewer than two nodes have values. The most frequent value is expected; of
    equally frequent ones, that of the first node.
    """
    findings: list[Finding] = []
    if sum(1 for values in nodes.values() if values) < 2:
        return findings
    for name, value in sorted(nodes[node].items()):
        having = {other: values[name] for other, values in nodes.items() if name in values}
        check = check_id(name)
        if len(having) < 2:
            reason = "no other node reports its %s" % name
            findings.append(Finding(check, SKIPPED, "%s the same on all nodes" % name, reason))
            continue
        usual = _usual(list(having.values()))
        expected = "%s %s, as on %s" % (name, usual, _listed(having, usual))
        if value == usual:
            findings.append(Finding(check, OK, expected, value))
            continue
        hint = "Bring the nodes to one state; see the finding of the spec that reports this value."
        findings.append(Finding(check, BLOCKED, expected, value, WARNING, hint=hint))
    return findings


def _usual(values: Sequence[str]) -> str:
    counted = Counter(values)
    return max(values, key=lambda value: (counted[value], -values.index(value)))


def _listed(having: Mapping[str, str], value: str) -> str:
    return ", ".join(node for node, other in having.items() if other == value)
