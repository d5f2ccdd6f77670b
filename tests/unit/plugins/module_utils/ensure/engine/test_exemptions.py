# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exemptions from the inventory."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.exemptions import (
    Acceptance,
    Exemptions,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import LinkWrite
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    DRIFT,
    OK,
    Finding,
    Plan,
)

DRIFTS = Finding("a", DRIFT, "1", "2", fix="set it", hint="Look.")
BOTH = LinkWrite("/x", "/y", "", ("a", "b"))
TODAY = date(2027, 1, 31)


def until(day: date) -> Exemptions:
    return Exemptions(accepted=[Acceptance("a", "Alice is on it", day)], today=TODAY)


@pytest.mark.parametrize("status", [DRIFT, BLOCKED])
def test_accepted_until_its_last_day(status: str) -> None:
    actions = (replace(BOTH, repairs=("a",)),) if status == DRIFT else ()
    plan = until(TODAY).applied(Plan((replace(DRIFTS, status=status),), actions))
    assert plan.findings[0].status == "accepted"
    assert plan.findings[0].hint == "Accepted until 2027-01-31: Alice is on it"
    assert plan.actions == ()


def test_drift_again_once_expired_and_the_report_says_why() -> None:
    plan = until(date(2027, 1, 30)).applied(Plan((DRIFTS,), (BOTH,)))
    assert plan.findings[0].status == DRIFT
    assert plan.findings[0].hint == "It was accepted until 2027-01-30: Alice is on it. Look."
    assert plan.actions == (BOTH,)


def test_of_several_entries_the_one_that_lasts_longest_counts() -> None:
    entries = [Acceptance("a", str(day), date(2027, 1, day)) for day in (1, 31, 5)]
    plan = Exemptions(accepted=entries, today=TODAY).applied(Plan((DRIFTS,), (BOTH,)))
    assert plan.findings[0].hint == "Accepted until 2027-01-31: 31"


def test_what_is_as_it_should_be_is_not_accepted() -> None:
    plan = until(TODAY).applied(Plan((replace(DRIFTS, status=OK),)))
    assert plan.findings[0].status == OK


def test_an_action_stays_where_it_repairs_anything_else() -> None:
    other = replace(DRIFTS, check="b")
    plan = until(TODAY).applied(Plan((DRIFTS, other), (BOTH,)))
    assert [finding.status for finding in plan.findings] == ["accepted", "drift"]
    assert plan.actions == (BOTH,)


def test_a_check_that_does_not_apply_is_skipped_whatever_it_saw() -> None:
    exempt = Exemptions(skip={"a": "no GPU here"})
    for status in (OK, BLOCKED):
        finding = exempt.applied(Plan((replace(DRIFTS, status=status),))).findings[0]
        assert (finding.status, finding.actual) == ("skipped", "not applicable: no GPU here")


@pytest.mark.parametrize(
    ("skip", "accepted", "message"),
    [
        ({"a": ""}, [], "skip: a: expected the reason"),
        ({"a": None}, [], "skip: a: expected the reason"),
        ({}, [{"check": "a", "reason": " ", "until": "2027-01-31"}], "the reason is empty"),
        ({}, [{"check": "a", "reason": "x", "until": "2027-02-31"}], "until: expected a day"),
        ({}, [{"check": "a", "reason": "x", "until": "next week"}], "until: expected a day"),
    ],
)
def test_what_cannot_be_meant_is_refused(skip: Any, accepted: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Exemptions.given(skip, accepted)


def test_the_checks_for_which_nothing_is_repaired_today() -> None:
    entries = [Acceptance("a", "", TODAY), Acceptance("b", "", date(2027, 1, 30))]
    assert Exemptions({"c": "no GPU"}, entries, TODAY).checks == {"a", "c"}
