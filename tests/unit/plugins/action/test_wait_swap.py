# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following a swap, with fake looks and a fake clock."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.dgxspark.suite.plugins.action.wait_swap import SwapFollower
from ansible_collections.dgxspark.suite.plugins.plugin_utils import follow

Seen = dict[str, Any]

OPEN: Seen = {
    "phase": "open",
    "step": "waits until the new plan answers",
    "missing": [],
    "server": "starting",
    "last_log": "",
    "why": "",
}
STOPS = {**OPEN, "step": "stops the old plan", "server": ""}
COMPLETE = {**OPEN, "phase": "complete", "step": "ended: complete"}


class Clock:
    """A time that passes with each sleep and each look."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(follow, "time", clock)
    return clock


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    printed: list[str] = []
    monkeypatch.setattr(
        follow.display, "display", lambda text: printed.append(text.split("s  ")[1])
    )
    return printed


def followed(clock: Clock, *script: Seen | Exception, timeout: float = 7200) -> Seen:
    """The result over a script of what each look sees; the last entry repeats."""
    looks = list(script)

    def look(_more: Seen) -> Seen:
        clock.now += 1
        seen = looks.pop(0) if len(looks) > 1 else looks[0]
        if isinstance(seen, Exception):
            raise seen
        return dict(seen)

    follower = SwapFollower(look)
    follower.timeout = timeout
    return follower.result(follower.follow())


def test_each_step_is_one_line(clock: Clock, lines: list[str]) -> None:
    shards = "Loading safetensors checkpoint shards: 50% Completed | 2/4 [00:03<00:03, 1s/it]"
    loads = {**OPEN, "last_log": shards, "server": "loading"}
    waits = {**STOPS, "missing": ["spark2"]}
    result = followed(clock, STOPS, STOPS, waits, OPEN, loads, COMPLETE)

    assert (result["phase"], result.get("failed")) == ("complete", None)
    assert lines == [
        "stops the old plan",
        "stops the old plan; no answer from spark2",
        "starting: ",
        "loading: loading weights: 2 of 4 shards",
    ]


@pytest.mark.usefixtures("lines")
def test_a_swap_that_was_undone_fails_with_its_reason(clock: Clock) -> None:
    undone = {**OPEN, "phase": "rolled_back", "why": "spark2: Container c has ended"}

    result = followed(clock, OPEN, undone)

    assert (result["failed"], result["msg"]) == (True, "spark2: Container c has ended")


def test_a_decider_that_boots_is_waited_for(clock: Clock, lines: list[str]) -> None:
    gone = AnsibleConnectionFailure("no route")

    assert followed(clock, OPEN, *[gone] * 400, COMPLETE)["phase"] == "complete"
    assert "the decider does not answer; the nodes go on" in lines


@pytest.mark.usefixtures("lines")
def test_a_decider_without_a_guard_is_not_waited_for(clock: Clock) -> None:
    nothing = {**OPEN, "phase": "unknown", "step": ""}

    result = followed(clock, nothing)

    assert "journalctl" in result["msg"]
    assert clock.now < 1200


@pytest.mark.usefixtures("lines")
def test_a_limit_leaves_the_swap_to_the_nodes(clock: Clock) -> None:
    result = followed(clock, OPEN, timeout=20)

    assert result["msg"] == "The swap has not ended within 20 s; the nodes go on"
