# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets the lock, who holds it, and why others are refused."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import state_files
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.lock import (
    Request,
    acquire,
    describe,
    public,
    release,
    remove,
    stored,
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


@pytest.mark.parametrize(
    ("found", "whose"),
    [
        ({}, ""),
        (
            held(expires=NOW),
            "Alice (benchmarks) until 2025-11-25T02:00:00Z, which has expired",
        ),
        (
            held(expires=NOW - 9),
            "Alice (benchmarks) until 2025-11-25T01:59:51Z, which has expired",
        ),
    ],
)
def test_a_free_or_expired_lock_is_taken_and_whose_it_was_is_reported(
    found: Lock, whose: str
) -> None:
    verdict = acquire(found, BOB, NOW)
    assert (verdict.refusal, verdict.taken_from) == ("", whose)
    assert verdict.lock == {
        "schema": 1,
        "token": "b",
        "owner": "Bob",
        "reason": "launch of x",
        "since": NOW,
        "expires": NOW + 600,
        "holder": {"pid": 2},
        "bound": False,
        "run": None,
    }


def test_a_held_lock_is_refused_with_its_holder_and_its_end() -> None:
    verdict = acquire(held(), BOB, NOW)
    assert verdict.refusal == (
        "The cluster is locked by Alice (benchmarks) until 2025-11-25T02:01:00Z. "
        "To take it over: -e force=true"
    )
    assert verdict.lock == held()
    assert verdict.blocker == {"pid": 1}


@pytest.mark.parametrize("how", [{"force": True}, {"gone": {"pid": 1}}])
def test_force_and_an_ended_holder_take_over_and_report_the_owner(how: Lock) -> None:
    verdict = acquire(held(), Request("b", "Bob", "", 600, **how), NOW)
    assert verdict.lock is not None
    assert verdict.lock["token"] == "b"
    assert verdict.taken_from == "Alice (benchmarks) until 2025-11-25T02:01:00Z"


def test_another_holder_that_is_gone_does_not_matter() -> None:
    assert acquire(held(), Request("b", "Bob", gone={"pid": 2}), NOW).refusal


def test_an_unknown_holder_is_never_gone() -> None:
    assert acquire({**held(), "holder": {}}, Request("b", "Bob", gone={}), NOW).refusal


def test_the_token_of_a_reservation_lets_one_launch_in() -> None:
    first = acquire(held(), Request("a", "Alice", seconds=20, run="r1", holder={"pid": 3}), NOW)
    assert first.lock == held(
        run={"id": "r1", "holder": {"pid": 3}, "since": NOW, "expires": NOW + 20}
    )
    second = acquire(first.lock or {}, Request("a", "Alice", seconds=20, run="r2"), NOW + 1)
    assert "A launch has been using this reservation since 2025-11-25T02:00:00Z" in second.refusal
    assert second.blocker == {"pid": 3}


@pytest.mark.parametrize("how", [{"force": True}, {"gone": {"pid": 3}}])
def test_a_launch_within_a_reservation_can_be_taken_over(how: Lock) -> None:
    verdict = acquire(held(run=run("r1")), Request("a", seconds=9, run="r2", **how), NOW)
    assert verdict.lock is not None
    assert verdict.lock["run"]["id"] == "r2"
    assert verdict.taken_from.startswith("a launch within this reservation")


def test_a_launch_that_expired_within_a_reservation_is_not_in_the_way() -> None:
    verdict = acquire(held(run=run("r1", NOW)), Request("a", seconds=9, run="r2"), NOW)
    assert not verdict.refusal
    assert verdict.taken_from == "a launch within this reservation, since 2025-11-25T01:59:55Z"


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


@pytest.mark.parametrize("describing", [public, describe])
def test_control_characters_of_a_holder_are_displayed(
    describing: t.Callable[[Lock], t.Any],
) -> None:
    """Whoever can take the lock names its owner and its reason."""
    assert "\x1b" not in str(describing({**held(), "owner": "\x1b[2J", "reason": "\x1b]0;x\x07"}))


def kept(folder: Path, content: object) -> str:
    (folder / "lock.json").write_text(json.dumps(content), encoding="utf-8")
    return str(folder)


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert stored(str(tmp_path)) == {}
    full = held(run=run("r1"))
    assert stored(kept(tmp_path, full)) == full


WRONG: tuple[object, ...] = (None, "", 7, True, [], {}, -1, 1e300, 10**400)
FITS: dict[str, tuple[object, ...]] = {
    "owner": ("",),
    "reason": ("",),
    "since": (7,),
    "expires": (7,),
    "holder": ({},),
    "run": (None,),
}


@pytest.mark.parametrize("key", ["token", *FITS])
@pytest.mark.parametrize("value", ["gone", *WRONG], ids=lambda value: repr(value)[:20])
def test_a_lock_that_lacks_a_key_or_has_another_type_there_is_broken(
    tmp_path: Path, key: str, value: object
) -> None:
    lock = held(run=run("r1"))
    fits = any(value == one and type(value) is type(one) for one in FITS.get(key, ()))
    lock[key] = value
    if value == "gone":
        del lock[key]
        fits = key == "run"
    folder = kept(tmp_path, lock)
    if fits:
        assert stored(folder) == lock
        return
    with pytest.raises(state_files.Broken, match=rf"lock\.json is not a lock.*{key}.*remove"):
        stored(folder)


def test_the_text_about_a_broken_lock_has_no_token(tmp_path: Path) -> None:
    folder = kept(tmp_path, {**held("secret-token"), "owner": 7})
    with pytest.raises(state_files.Broken) as error:
        stored(folder)
    assert "secret-token" not in str(error.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
TIMES = st.floats(allow_nan=False) | st.integers() | st.floats(0, 4e9)
RUNS = st.none() | st.fixed_dictionaries(
    {}, optional={"id": st.text() | JSON, "holder": JSON, "since": TIMES, "expires": TIMES}
)
LOCKS = JSON | st.fixed_dictionaries(
    {},
    optional={
        "token": st.text(max_size=2) | JSON,
        "owner": st.text() | JSON,
        "reason": st.text() | JSON,
        "since": TIMES | JSON,
        "expires": TIMES | JSON,
        "holder": st.dictionaries(st.text(), JSON, max_size=2) | JSON,
        "run": RUNS | JSON,
    },
)
REQUESTS = st.builds(
    Request,
    token=st.text(min_size=1, max_size=2),
    owner=st.text(),
    seconds=st.integers() | st.floats(allow_nan=False),
    run=st.text(max_size=1),
    force=st.booleans(),
)


# It writes files, on a machine that others use as well.
@settings(deadline=None)
@given(LOCKS, REQUESTS)
def test_whatever_a_lock_has_it_is_broken_or_the_rules_work_on_it(
    tmp_path_factory: pytest.TempPathFactory, content: object, request_: Request
) -> None:
    folder = tmp_path_factory.mktemp("lock")
    try:
        lock = stored(kept(folder, content))
    except state_files.Broken:
        return
    for verdict in (
        acquire(lock, request_, NOW),
        release(lock, request_),
        *([remove(lock, request_)] if lock else []),
    ):
        assert "token" not in public(verdict.lock or {})
        # What the rules write, they read.
        assert stored(kept(folder, verdict.lock or {})) == (verdict.lock or {})


@pytest.mark.parametrize(
    ("lock", "by_run"),
    [
        ({**held(), "bound": True}, True),
        ({**held(), "bound": True, "holder": {}}, True),
        ({**held(), "bound": False}, False),
        # A reservation within which a launch works is a reservation, until it has expired.
        ({**held(run=run("r1")), "bound": False}, False),
        ({**held(expires=NOW - 1, run=run("r1")), "bound": False}, True),
        # As earlier versions have written them.
        (held(), True),
        ({**held(), "holder": {}}, False),
    ],
)
def test_a_refusal_says_whether_a_run_holds_the_lock(lock: Lock, by_run: bool) -> None:
    verdict = acquire(lock, BOB, NOW)
    assert (bool(verdict.refusal), verdict.by_run) == (True, by_run)


def test_another_launch_within_a_reservation_is_a_run() -> None:
    assert acquire(held(run=run("r1")), Request("a", run="r2"), NOW).by_run is True


def test_the_lock_of_a_run_says_that_it_is_one() -> None:
    taken = acquire({}, Request("b", bound=True), NOW)
    assert (taken.lock or {})["bound"] is True
