# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drift report as statistics of a run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.answers import wrong_checks
from ansible_collections.dgxspark.suite.plugins.plugin_utils.run_stats import (
    FINDINGS,
    REPORT,
    TEXT,
    drift,
)


def finding(check: str, status: str = "drift", **others: str) -> dict[str, str]:
    return {
        "check": check,
        "status": status,
        "severity": "warning",
        "expected": "e",
        "actual": "a",
        "fix": "f",
        "hint": "",
        **others,
    }


def node(results: dict[str, Any], of: int = 1) -> dict[str, Any]:
    stats = drift({"spark1": results}, of)
    assert (stats["per_host"], stats["aggregate"]) == (False, True)
    of_node: dict[str, Any] = stats["data"][REPORT]["nodes"]["spark1"]
    return of_node


RESULTS: dict[str, Any] = {
    "audit": {
        "results": [
            {"spec": "kernel", "findings": [finding("a", "ok"), finding("b")]},
            {"spec": "ptxas", "findings": [finding("c", "blocked", hint="h")]},
        ]
    },
    "storage": {"failed": True, "msg": "no answer"},
    "fabric": {"skipped": True},
    "empty": {"results": []},
    "parity": {"findings": [finding("same_kernel", "accepted")]},
}


def test_what_is_wrong_is_what_fails_a_run() -> None:
    report = node(RESULTS)
    assert [one["check"] for one in report["wrong"]] == wrong_checks(RESULTS)
    assert [(one["spec"], one["status"], one["hint"]) for one in report["wrong"]] == [
        ("kernel", "drift", "f"),
        ("ptxas", "blocked", "h"),
        ("storage", "failed", ""),
    ]
    assert report["checks"] == {
        "accepted": 1,
        "blocked": 1,
        "drift": 1,
        "failed": 1,
        "not assessed": 1,
        "ok": 1,
    }
    assert report["in_order"] is False


def test_a_node_without_an_answer_is_not_in_order() -> None:
    assert node({}) == {
        "in_order": False,
        "checks": {"not assessed": 1},
        "wrong": [],
        "left_out": 0,
    }
    assert node({"kernel": {"findings": [finding("a", "ok")]}})["in_order"] is True
    # Where a role's own tasks run, the task that audits is skipped.
    roles = {"audit": {"skipped": True}, "kernel": {"findings": [finding("a", "fixed")]}}
    assert node(roles)["in_order"] is True


@pytest.mark.parametrize(
    "odd", ["text", None, {"findings": 7}, {"findings": [7]}, {"results": [7]}]
)
def test_a_malformed_answer_is_not_in_order(odd: object) -> None:
    report = node({"kernel": odd})
    assert report["checks"] == {"failed": 1}
    assert [one["check"] for one in report["wrong"]] == wrong_checks({"kernel": odd})


def test_no_text_is_a_template_for_the_next_job() -> None:
    texts = {"actual": "{{ lookup('pipe', 'id') }} {% if %} {{{{", "hint": "{# x #}"}
    text = json.dumps(node({"kernel": {"findings": [finding("a", **texts)]}}))
    for opening in ("{{", "{%", "{#"):
        assert opening not in text


@pytest.mark.parametrize("of", [1, 4, 5000])
def test_the_size_is_limited(of: int) -> None:
    many = [finding(f"c{number}", actual="x" * 1000) for number in range(900)]
    report = node({"kernel": {"findings": many}}, of)
    assert len(report["wrong"]) == max(1, FINDINGS // of)
    assert report["left_out"] == 900 - len(report["wrong"])
    assert report["checks"] == {"drift": 900}
    assert max(len(one["actual"]) for one in report["wrong"]) == TEXT
