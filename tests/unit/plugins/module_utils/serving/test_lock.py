# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets the lock, who holds it, and why others are refused."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.lock import (
    Request,
    acquire,
    describe,
    public,
    release,
    remove,
    renew,
)

NOW = 1_764_036_000.0  # 2025-11-25T02:00:00Z
BOB = Request("b", "Bob", "launch of x", 600, holder={"pid": 2})

Lock = dict[str, t.Any]


def held(token: str = "a", expires: float = NOW + 60, run: Lock | None = None) -> Lock:
    return {
        "schema": 1,
        "token": token,
        "owner": "Alice",
        "reason": "benchmarks",
        "since": NOW - 60,
        "expires": expires,
        "holder": {"pid": 1},
        "run": run,
    }


def run(id: str, expires: float = NOW + 30) -> Lock:
    return {"id": id, "holder": {"pid": 3}, "since": NOW - 5, "expires": expires}


@pytest.mark.parametrize("found", [{}, held(expires=NOW), held(expires=NOW - 9)])
def test_a_free_or_expired_lock_is_taken(found: Lock) -> None:
    verdict = acquire(found, BOB, NOW)
    assert not verdict.refusal
    assert verdict.lock == {
        "schema": 1,
        "token": "b",
        "owner": "Bob",
        "reason": "launch of x",
        "since": NOW,
        "expires": NOW + 600,
        "holder": {"pid": 2},
        "run": None,
    }


def test_a_held_lock_is_refused_with_its_holder_and_its_end() -> None:
    verdict = acquire(held(), BOB, NOW)
    assert verdict.refusal == (
        "The cluster is locked by Alice (benchmarks) until 2025-11-25T02:01:00Z. "
        "To take it over: -e force=true"
    )
    assert verdict.lock == held()
    assert verdict.blocker["holder"] == {"pid": 1}


@pytest.mark.parametrize("how", [{"force": True}, {"gone": "a"}])
def test_force_and_an_ended_holder_take_over_and_report_the_owner(how: Lock) -> None:
    verdict = acquire(held(), Request("b", "Bob", "", 600, **how), NOW)
    assert verdict.lock is not None
    assert verdict.lock["token"] == "b"
    assert verdict.taken_from == "Alice (benchmarks) until 2025-11-25T02:01:00Z"


def test_another_holder_that_is_gone_does_not_matter() -> None:
    assert acquire(held(), Request("b", "Bob", gone="other"), NOW).refusal


def test_the_token_of_a_reservation_lets_one_launch_in() -> None:
    first = acquire(held(), Request("a", "Alice", seconds=20, run="r1", holder={"pid": 3}), NOW)
    assert first.lock == held(
        run={"id": "r1", "holder": {"pid": 3}, "since": NOW, "expires": NOW + 20}
    )
    second = acquire(first.lock or {}, Request("a", "Alice", seconds=20, run="r2"), NOW + 1)
    assert "A launch has been using this reservation since 2025-11-25T02:00:00Z" in second.refusal
    assert second.blocker == {**(first.lock or {})["run"], "token": "r1"}


@pytest.mark.parametrize("how", [{"force": True}, {"gone": "r1"}])
def test_a_launch_within_a_reservation_can_be_taken_over(how: Lock) -> None:
    verdict = acquire(held(run=run("r1")), Request("a", seconds=9, run="r2", **how), NOW)
    assert verdict.lock is not None
    assert verdict.lock["run"]["id"] == "r2"
    assert verdict.taken_from.startswith("a launch within this reservation")


def test_a_launch_that_expired_within_a_reservation_is_not_in_the_way() -> None:
    verdict = acquire(held(run=run("r1", NOW)), Request("a", seconds=9, run="r2"), NOW)
    assert not verdict.refusal
    assert not verdict.taken_from


def test_a_launch_that_outlasts_its_reservation_keeps_the_lock() -> None:
    verdict = acquire(held(), Request("a", seconds=900, run="r1"), NOW)
    assert verdict.lock is not None
    assert verdict.lock["expires"] == NOW + 60
    refused = acquire(verdict.lock, BOB, NOW + 100)
    assert "locked by Alice (benchmarks) until 2025-11-25T02:15:00Z" in refused.refusal
    ended = release(verdict.lock, Request("a", run="r1")).lock
    assert not acquire(ended or {}, BOB, NOW + 100).refusal


def test_a_launch_after_its_reservation_takes_the_lock_for_itself() -> None:
    verdict = acquire({}, Request("a", "Alice", seconds=9, run="r1"), NOW)
    assert verdict.lock is not None
    assert (verdict.lock["token"], verdict.lock["run"]) == ("r1", None)


def test_a_reservation_is_prolonged_by_its_own_token() -> None:
    verdict = acquire(held(), Request("a", seconds=900), NOW)
    assert verdict.lock == held(expires=NOW + 900)


def test_an_expired_lock_is_renewed_if_nobody_took_it() -> None:
    verdict = renew(held(expires=NOW - 5), Request("a", seconds=60), NOW)
    assert not verdict.refusal
    assert verdict.lock == held(expires=NOW + 60)


@pytest.mark.parametrize(
    ("found", "request_", "message"),
    [
        ({}, Request("b"), "it is now held by nobody"),
        (held(), Request("b"), "it is now held by Alice (benchmarks) until 2025-11-25T02:01:00Z"),
        (held(run=run("r2")), Request("a", run="r1"), "another launch has taken over"),
        (held(), Request("a", run="r1"), "another launch has taken over"),
    ],
)
def test_a_lost_lock_is_refused_with_its_holder(
    found: Lock, request_: Request, message: str
) -> None:
    assert message in renew(found, request_, NOW).refusal


def test_renewing_never_shortens() -> None:
    found = held(expires=NOW + 5000, run=run("r1", NOW + 4000))
    assert renew(found, Request("a", run="r1", seconds=1), NOW).lock == found


@pytest.mark.parametrize(
    ("found", "request_", "left"),
    [
        ({}, Request("a"), None),
        (held(), Request("a"), None),
        (held(), Request("b"), held()),
        (held(run=run("r1")), Request("a", run="r1"), held()),
        (held(run=run("r2")), Request("a", run="r1"), held(run=run("r2"))),
    ],
)
def test_release_leaves_somebody_elses_lock(
    found: Lock, request_: Request, left: Lock | None
) -> None:
    verdict = release(found, request_)
    assert (verdict.lock, verdict.refusal) == (left, "")


def test_somebody_elses_lock_is_removed_only_by_force() -> None:
    assert "To remove the lock: -e force=true" in remove(held(), Request("b")).refusal
    verdict = remove(held(), Request("b", force=True))
    assert (verdict.lock, verdict.taken_from) == (None, describe(held()))


def test_the_public_lock_has_no_token() -> None:
    shown = public(held(run=run("r1")))
    assert shown == {
        "owner": "Alice",
        "reason": "benchmarks",
        "since": "2025-11-25T01:59:00Z",
        "expires": "2025-11-25T02:01:00Z",
        "run_since": "2025-11-25T01:59:55Z",
    }
    assert public({}) == {}
