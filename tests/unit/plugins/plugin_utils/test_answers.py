# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a node answers, it is a finding, and what is none counts as wrong."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    STATUSES,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.answers import (
    FAILED,
    FINDINGS,
    IN_ORDER,
    TEXT,
    TEXTS,
    complete,
    findings_of,
    is_id,
    wrong_checks,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.documents import (
    ORDER,
    Report,
    ReportEntry,
    to_html,
    to_json,
    to_junit,
)

GOOD: dict[str, Any] = asdict(Finding("swap_now", "ok", "no swap", "there is none"))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
# Of which some are findings, and most are nearly.
NEARLY = st.builds(
    lambda changes, gone: {
        key: value for key, value in {**GOOD, **changes}.items() if key not in gone
    },
    st.dictionaries(st.sampled_from([*GOOD, "more"]), ANYTHING | st.sampled_from(STATUSES)),
    st.sets(st.sampled_from([*GOOD])),
)
OUTCOMES = ANYTHING | st.fixed_dictionaries({"findings": st.lists(NEARLY | ANYTHING) | ANYTHING})


@pytest.mark.parametrize("status", STATUSES)
def test_a_finding_stays_as_it_is(status: str) -> None:
    given = {**GOOD, "status": status}
    assert [asdict(one) for one in findings_of({"findings": [given]}, "kernel")] == [given]


MALFORMED = {
    "unknown status": {"status": "DRIFT"},
    "no status": {"status": None},
    "status is a list": {"status": ["ok"]},
    "actual is a list": {"actual": ["x"]},
    "expected is a number": {"expected": 3},
    "one key more": {"extra": "x"},
    "unknown severity": {"severity": "fatal"},
    "no id": {"check": "../x"},
    "id with an escape": {"check": "\x1b[2J"},
    "too long": {"actual": "a" * (TEXT + 1)},
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_has_failed(change: dict[str, Any]) -> None:
    (finding,) = findings_of({"findings": [{**GOOD, **change}]}, "kernel")
    assert finding.status == FAILED
    assert finding.check == ("kernel_answer" if "check" in change else "swap_now")
    assert finding.actual.startswith("malformed: ")
    assert wrong_checks({"kernel": {"findings": [{**GOOD, **change}]}}) == [finding.check]


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_field_has_failed(name: str) -> None:
    given = {key: value for key, value in GOOD.items() if key != name}
    (finding,) = findings_of({"findings": [given]}, "kernel")
    assert (finding.status, name in finding.actual) == (FAILED, True)


@pytest.mark.parametrize("outcome", ["text", None, ["x"], {"findings": "x"}, {"findings": {}}])
def test_what_is_no_list_of_findings_has_failed(outcome: object) -> None:
    assert [one.status for one in findings_of(outcome, "kernel")] == [FAILED]


def test_the_others_of_a_node_remain() -> None:
    found = findings_of({"findings": [GOOD, None, {**GOOD, "check": "b"}]}, "kernel")
    assert [(one.check, one.status) for one in found] == [
        ("swap_now", "ok"),
        ("kernel_answer", FAILED),
        ("b", "ok"),
    ]


def test_there_is_an_end_of_findings() -> None:
    found = findings_of({"findings": [GOOD] * (FINDINGS + 5)}, "kernel")
    assert len(found) == FINDINGS + 1
    assert found[-1].status == FAILED
    long = findings_of({"findings": [{**GOOD, "actual": "a" * TEXT}] * 100}, "kernel")
    assert sum(len(one.actual) for one in long) <= TEXTS
    assert long[-1].status == FAILED


@settings(deadline=None)
@given(OUTCOMES)
def test_every_answer_becomes_findings_that_a_report_can_show(outcome: object) -> None:
    found = findings_of(outcome, "kernel")
    for one in found:
        assert one.status in ORDER
        assert is_id(one.check)
        for text in (one.expected, one.actual, one.fix, one.hint):
            controls = {char for char in text if unicodedata.category(char) in {"Cc", "Cs"}}
            assert controls <= {"\t", "\n"}
    entries = [ReportEntry("spark1", "kernel", **asdict(one)) for one in found]
    report = Report(["spark1"], ["kernel"], {("spark1", "kernel"): "failed"}, entries)
    assert len(json.loads(to_json(report))["findings"]) == len(set(entries))
    assert to_junit(report)
    assert to_html(report)


@settings(deadline=None)
@given(OUTCOMES)
def test_what_is_not_in_order_is_counted(outcome: object) -> None:
    found = findings_of(outcome, "kernel")
    wrong = wrong_checks({"kernel": outcome})
    if isinstance(outcome, dict) and isinstance(outcome.get("results"), list):
        return
    assert {one.check for one in found if one.status not in IN_ORDER} <= set(wrong)


@pytest.mark.parametrize(
    ("result", "wrong"),
    [
        ({"findings": []}, []),
        ({"skipped": True}, []),
        ({"results": [], "skipped": True}, []),
        ({"results": [{"findings": [GOOD]}, {"skipped": True}]}, []),
        ({"changed": False}, ["kernel_answer"]),
        ({"failed": True, "msg": "MODULE FAILURE"}, ["kernel_answer"]),
        ({"results": "x"}, ["kernel_answer"]),
        ({"results": [{"findings": [GOOD]}, 3]}, ["kernel_answer"]),
        (None, ["kernel_answer"]),
        *(({"findings": [{**GOOD, "status": s}]}, []) for s in ("ok", "fixed", "accepted")),
        *(({"findings": [{**GOOD, "status": s}]}, ["swap_now"]) for s in ("drift", "blocked")),
    ],
)
def test_what_fails_a_run(result: object, wrong: list[str]) -> None:
    assert wrong_checks({"kernel": result}) == wrong


@pytest.mark.parametrize("results", [None, "x", [], [3], [{"spec": "ptxas", "findings": []}]])
def test_a_spec_of_an_audit_that_has_not_answered_has_failed(results: object) -> None:
    answered = complete(["kernel", "ptxas", "ptxas"], results)
    named = [one["spec"] for one in answered if isinstance(one, dict)]
    assert sorted(named) == ["kernel", "ptxas", "ptxas"]
    assert "kernel_answer" in wrong_checks({"audit": {"results": answered}})
