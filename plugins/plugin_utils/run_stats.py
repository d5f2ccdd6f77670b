# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drift report as statistics of a run, like those of `set_stats`: artifacts of AWX.

Statistics outlive the controller's pod. They become variables of the next job of a workflow, so
that nothing in them may be a template.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import CRITICAL, Finding
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.answers import (
    FAILED,
    IN_ORDER,
    findings_of,
    outcomes,
    spec_of,
    text_of,
)

REPORT = "dgxspark_report"
# Variables of the next job; the second is set by the role launch.
ARTIFACTS = frozenset((REPORT, "dgxspark_plan"))
# Findings of all nodes together, and characters of one text.
FINDINGS = 500
TEXT = 300
_NOT_ASSESSED = "not assessed"
_TEMPLATE = re.compile(r"\{(?=[{%#])")


def drift(nodes: Mapping[str, Mapping[str, Any]], of: int) -> dict[str, Any]:
    """What a result returns as `ansible_stats`; nodes: node -> spec -> registered result.

    of: how many nodes the run has. The statistics of all results are merged, node by node.
    """
    share = max(1, FINDINGS // max(of, 1))
    data = {"schema": 1, "nodes": {node: _node(nodes[node], share) for node in nodes}}
    # Plain data, without Ansible's own subclasses of str.
    return {
        "data": {REPORT: foreign.json_of(json.dumps(data))},
        "per_host": False,
        "aggregate": True,
    }


def _node(results: Mapping[str, Any], most: int) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    wrong: list[dict[str, str]] = []
    for spec, finding in _findings(results):
        status = finding.status if finding else _NOT_ASSESSED
        counts[status] += 1
        if finding and status not in IN_ORDER:
            wrong.append(
                {
                    "spec": spec,
                    "check": finding.check,
                    "status": status,
                    "severity": finding.severity,
                    "actual": _text(finding.actual),
                    "hint": _text(finding.hint or finding.fix),
                }
            )
    if not counts:  # as of a node that was unreachable from the start
        counts[_NOT_ASSESSED] = 1
    return {
        "in_order": not wrong and not counts[_NOT_ASSESSED],
        "checks": {status: count for status, count in sorted(counts.items()) if count},
        "wrong": wrong[:most],
        "left_out": max(0, len(wrong) - most),
    }


def _findings(results: Mapping[str, Any]) -> Iterator[tuple[str, Finding | None]]:
    """Spec and finding of all results; no finding for a spec that was skipped."""
    for spec, result in results.items():
        if isinstance(result, Mapping) and result.get("results") == []:
            continue
        for outcome in outcomes(result) if isinstance(result, Mapping) else [result]:
            named = spec_of(outcome, spec)
            if not isinstance(outcome, Mapping) or "findings" in outcome:
                for finding in findings_of(outcome, named):
                    yield named, finding
            elif not outcome.get("skipped"):
                said = text_of(outcome.get("msg"))
                yield named, Finding(f"{spec}_answer", FAILED, "findings", said, CRITICAL)
            elif spec != "audit":  # skipped where the role's own tasks run instead
                yield named, None


def _text(text: str) -> str:
    line = " ".join(text.split())
    short = line if len(line) <= TEXT else line[: TEXT - 4] + " ..."
    return _TEMPLATE.sub("{ ", short)
