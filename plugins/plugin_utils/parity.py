# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node deviates from the others in what must be the same on all of them, or must differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    OK,
    SKIPPED,
    WARNING,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.answers import outcomes

# What roles register: dgxspark_result_<spec>.
PREFIX = "dgxspark_result_"


# Names of what must differ between nodes -> what to do where it does not.
_UNIQUE = {
    "machine_id": (
        "DHCP and mDNS take them for one machine. On one of them: `rm /etc/machine-id"
        " /var/lib/dbus/machine-id`, `systemd-machine-id-setup`, reboot; its address may change."
    ),
}
# Characters of a name, and of a value.
_NAME, _VALUE = 150, 1000
# Instead of what is no text, or too long; compared with nothing.
MALFORMED = "malformed"


def values_of(variables: Mapping[str, Any]) -> dict[str, str]:
    """What one node's results say must be the same on all nodes, name -> value.

    Of several names with the same check_id it is the first.
    """
    values: dict[str, tuple[str, str]] = {}  # id -> (name, value)
    for result in results_of(variables).values():
        for outcome in outcomes(result) if isinstance(result, Mapping) else ():
            given = outcome.get("parity") if isinstance(outcome, Mapping) else None
            for name, value in given.items() if isinstance(given, Mapping) else ():
                if isinstance(name, str) and len(name) <= _NAME:
                    usable = isinstance(value, str) and len(value) <= _VALUE
                    values.setdefault(check_id(name), (name, value if usable else MALFORMED))
    return dict(values.values())


def results_of(variables: Mapping[str, Any]) -> dict[str, Any]:
    """One node's results, spec -> what was registered."""
    keys = sorted(key for key in variables if key.startswith(PREFIX))
    return {key.removeprefix(PREFIX): variables[key] for key in keys}


def check_id(name: str) -> str:
    """same_cuda, same_image_vllm_25_11: a finding's id for the name of what is compared.

    unique_machine_id for what must differ.
    """
    kind = "unique" if name in _UNIQUE else "same"
    return "_".join([kind, *re.findall("[a-z0-9]+", name.lower())])


def compare(nodes: Mapping[str, Mapping[str, str]], node: str) -> list[Finding]:
    """The findings about one node; nodes: node -> (name -> value), in the order of the inventory.

    There are none if fewer than two nodes have values. The most frequent value is expected; of
    equally frequent ones, that of the first node.
    """
    findings: list[Finding] = []
    if sum(1 for values in nodes.values() if values) < 2:
        return findings
    for name, value in sorted(nodes[node].items()):
        check = check_id(name)
        if value == MALFORMED:
            findings.append(Finding(check, BLOCKED, "%s as a text" % name, value, WARNING))
            continue
        having = {
            other: values[name]
            for other, values in nodes.items()
            if values.get(name, MALFORMED) != MALFORMED
        }
        if name in _UNIQUE:
            findings.append(_unique(name, having, node))
            continue
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


def _unique(name: str, having: Mapping[str, str], node: str) -> Finding:
    """Whether the value of this node is that of no other one."""
    others = {other: value for other, value in having.items() if other != node}
    finding = Finding(check_id(name), OK, "a %s of its own" % name, "as expected")
    twins = _listed(others, having[node])
    if not twins:
        return finding
    actual = "the same as on %s" % twins
    hint = _UNIQUE[name]
    return replace(finding, status=BLOCKED, severity=WARNING, actual=actual, hint=hint)


def _usual(values: Sequence[str]) -> str:
    counted = Counter(values)
    return max(values, key=lambda value: (counted[value], -values.index(value)))


def _listed(having: Mapping[str, str], value: str) -> str:
    return ", ".join(node for node, other in having.items() if other == value)
