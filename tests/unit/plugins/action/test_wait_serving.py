# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a server, with fake looks and a fake clock."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.dgxspark.suite.plugins.action import wait_serving
from ansible_collections.dgxspark.suite.plugins.plugin_utils import follow

Seen = dict[str, Any]


class Clock:
    """A time that passes with each sleep and each look."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


class Wait(wait_serving.ActionModule):
    """The action over a script of (duration of a look, its state); the last entry repeats."""

    def __init__(self, clock: Clock, script: list[tuple[float, Seen]], **arguments: Any) -> None:
        self.clock, self.script = clock, script
        self.looks: list[dict[str, Any]] = []
        task = types.SimpleNamespace(
            args={"url": "http://192.0.2.1:8000", "container": "c", **arguments},
            async_val=0,
            check_mode=False,
            action="dgxspark.suite.wait_serving",
            _uuid="task",
        )
        connection = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/tmp"))
        super().__init__(task, connection, None, None, None)

    def _execute_module(self, **call: Any) -> Seen:
        assert call["module_name"] == "dgxspark.suite.wait_serving"
        self.looks.append(dict(call["module_args"]))
        seconds, seen = self.script[min(len(self.looks), len(self.script)) - 1]
        self.clock.now += seconds
        return {"last_log": "", "detail": "", "elapsed": 0, **seen}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clock:
    clock = Clock()
    monkeypatch.setattr(wait_serving.C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    monkeypatch.setattr(wait_serving, "time", clock)
    monkeypatch.setattr(follow, "time", clock)
    return clock


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    display = types.SimpleNamespace(display=lines.append)
    monkeypatch.setattr(follow, "display", display)
    return lines


STARTING: Seen = {"phase": "starting", "detail": "Connection refused"}
LOADING: Seen = {
    "phase": "loading",
    "detail": "/health answers 503",
    "last_log": "Loading safetensors checkpoint shards: 50% " + "x" * 200,
}
HEALTHY: Seen = {"phase": "healthy", "detail": "/health answers", "last_log": "GET /health"}
REFUSING: Seen = {
    "phase": "refusing",
    "detail": "a completion was answered with 500: EngineDeadError",
    "last_log": "POST /v1/completions 500",
}
SERVING: Seen = {"phase": "serving", "detail": "a completion was answered", "completion": "!"}

ASKING = "healthy: asking for what it serves (a first completion may compile)"


def test_each_phase_is_printed_once_and_the_last_returned(clock: Clock, screen: list[str]) -> None:
    script = [(0.0, STARTING), (0.0, STARTING), (0.0, LOADING), (0.0, HEALTHY), (30.0, SERVING)]
    wait = Wait(clock, script, model="lab-tiny")
    result = wait.run()
    assert screen == [
        "       0 s  starting: Connection refused",
        "       2 s  loading: " + LOADING["last_log"][:100],
        f"       2 s  {ASKING}",
    ]
    assert result.pop("phases") == [
        {"phase": "model loaded", "seconds": 2.0},
        {"phase": "completion answered", "seconds": 30.0},
    ]
    assert result == {"last_log": "", **SERVING, "elapsed": 32}
    # After a change of phase the next look follows at once.
    assert clock.naps == [2]
    known = ["", "starting", "starting", "loading", "healthy"]
    assert [look["known"] for look in wait.looks] == known
    assert wait.looks[0]["model"] == "lab-tiny"


@pytest.mark.parametrize(
    ("kind", "milestone"),
    [("", "completion"), ("completion", "completion"), ("embeddings", "embeddings")],
)
def test_what_was_answered_is_a_milestone(
    clock: Clock, screen: list[str], kind: str, milestone: str
) -> None:
    wait = Wait(clock, [(1.0, HEALTHY), (1.0, {**SERVING, "kind": kind})], kind=["embeddings"])
    phases = [done["phase"] for done in wait.run()["phases"]]
    assert phases == ["model loaded", f"{milestone} answered"]
    assert wait.looks[1]["kind"] == ["embeddings"]


def test_a_completion_is_requested_only_after_health_has_answered(
    clock: Clock, screen: list[str]
) -> None:
    script = [(0.0, STARTING), (0.0, HEALTHY), (0.0, REFUSING), (0.0, LOADING), (0.0, HEALTHY)]
    wait = Wait(clock, [*script, (0.0, SERVING)])
    wait.run()
    assert [look["ask"] for look in wait.looks] == [False, False, True, True, False, True]


def test_a_look_may_take_no_longer_than_what_is_left(clock: Clock, screen: list[str]) -> None:
    wait = Wait(clock, [(0.0, LOADING), (40.0, HEALTHY), (70.0, HEALTHY)], timeout=60)
    result = wait.run()
    assert result["failed"] is True
    assert [look["remaining"] for look in wait.looks] == [60, 60, 20]


def test_a_refusal_is_printed_with_the_servers_answer(clock: Clock, screen: list[str]) -> None:
    Wait(clock, [(0.0, HEALTHY), (0.0, REFUSING), (0.0, SERVING)]).run()
    assert screen[1] == f"       0 s  refusing: {REFUSING['detail']}"


def test_there_is_no_pause_for_a_server_that_serves_already(
    clock: Clock, screen: list[str]
) -> None:
    result = Wait(clock, [(0.0, HEALTHY), (0.5, SERVING)]).run()
    assert clock.naps == []
    assert result["phase"] == "serving"


def test_an_unchanged_phase_is_printed_again_after_a_while(clock: Clock, screen: list[str]) -> None:
    Wait(clock, [(0.0, LOADING)] * 20 + [(0.0, SERVING)]).run()
    assert [line.split(" s ")[0].strip() for line in screen] == ["0", "16", "32"]


def test_a_container_that_ended_fails_at_once(clock: Clock, screen: list[str]) -> None:
    ended = {"failed": True, "msg": "Container c has ended (exited, exit status 1)."}
    wait = Wait(clock, [(0.0, LOADING), (0.0, ended), (0.0, SERVING)])
    result = wait.run()
    assert (result["failed"], result["msg"], result["elapsed"]) == (True, ended["msg"], 0)
    assert len(wait.looks) == 2


@pytest.mark.parametrize(
    ("given", "limit"), [({"timeout": 600}, 600), ({"timeout": "60"}, 60), ({}, 1800)]
)
def test_the_wait_ends_at_the_time_limit(
    clock: Clock, screen: list[str], given: dict[str, Any], limit: int
) -> None:
    result = Wait(clock, [(1.0, HEALTHY), (10.0, REFUSING)], **given).run()
    assert result["failed"] is True
    assert limit < result["elapsed"] <= limit + 12
    assert result["msg"] == (
        f"No answer within {limit} s: a completion was answered with 500: EngineDeadError. "
        "The server is refusing; its log ends with: POST /v1/completions 500. "
        "Give it longer with -e dgxspark_ready_timeout=SECONDS."
    )
    assert result["phase"] == "refusing"


def test_a_completion_that_comes_late_still_counts(clock: Clock, screen: list[str]) -> None:
    result = Wait(clock, [(0.0, HEALTHY), (170.0, SERVING)], timeout=60).run()
    assert result["phase"] == "serving"
    assert "failed" not in result


def test_a_lost_connection_is_tried_again_until_the_limit(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = Wait(clock, [(1, {"phase": "serving"})])
    play, lost = wait._execute_module, iter([True, False])

    def sometimes(**call: Any) -> Seen:
        if next(lost):
            raise AnsibleConnectionFailure("ssh: connect to host 192.0.2.1: timed out")
        return play(**call)

    monkeypatch.setattr(wait, "_execute_module", sometimes)
    assert wait.run(task_vars={})["phase"] == "serving"


def test_a_rejection_ends_the_wait_at_once(clock: Clock) -> None:
    wait = Wait(clock, [(1, {"phase": "rejected", "detail": "answered with 401: no key"})])
    result = wait.run(task_vars={})
    assert result["failed"] is True
    assert "answered with 401: no key" in result["msg"]
    assert len(wait.looks) == 1


RUNNING: Seen = {"phase": "running", "detail": "the container runs"}
ENDED: Seen = {"failed": True, "phase": "", "msg": "Container w has ended (exited, exit status 1)"}


def test_a_rank_that_ends_ends_the_wait_of_the_head_at_its_next_look(
    clock: Clock, screen: list[str]
) -> None:
    watched = Wait(clock, [(0.0, RUNNING), (0.0, ENDED)], url="")
    assert watched.run(task_vars={"inventory_hostname": "spark2"})["msg"] == ENDED["msg"]
    head = Wait(clock, [(0.0, LOADING)])
    result = head.run(task_vars={"inventory_hostname": "spark1"})
    assert result["failed"] is True
    assert result["msg"] == f"Another rank has failed. spark2: {ENDED['msg']}"
    assert len(head.looks) == 1


def test_the_watch_of_a_rank_ends_once_the_head_serves(clock: Clock, screen: list[str]) -> None:
    Wait(clock, [(0.0, SERVING)]).run(task_vars={})
    watched = Wait(clock, [(0.0, RUNNING)], url="")
    result = watched.run(task_vars={})
    assert "failed" not in result
    assert len(watched.looks) == 1


def test_the_watch_of_a_rank_prints_nothing(clock: Clock, screen: list[str]) -> None:
    watched = Wait(clock, [(0.0, RUNNING)] * 5 + [(0.0, ENDED)], url="")
    watched.run(task_vars={})
    assert (len(watched.looks), screen) == (6, [])
    assert clock.now == 1000 + 5 * wait_serving.RankFollower.interval


def test_a_node_that_is_lost_for_long_ends_the_watch(clock: Clock, screen: list[str]) -> None:
    lost: Seen = {"phase": "unknown", "detail": "no route to host"}
    result = Wait(clock, [(0.0, RUNNING), (45.0, lost)], url="").run(task_vars={})
    assert result["failed"] is True
    assert "s: no route to host" in result["msg"]
    assert clock.now > 1000 + wait_serving.RankFollower.lost


def test_a_node_that_is_busy_for_a_while_is_not_lost(clock: Clock, screen: list[str]) -> None:
    lost: Seen = {"phase": "unknown", "detail": "no route to host"}
    busy = Wait(clock, [(45.0, lost)] * 5 + [(0.0, RUNNING)] * 70 + [(0.0, ENDED)], url="")
    assert busy.run(task_vars={})["msg"] == ENDED["msg"]


def test_the_formation_of_ray_is_a_phase_of_its_own(clock: Clock, screen: list[str]) -> None:
    joined = {**LOADING, "joined": True}
    script = [(0.0, STARTING), (3.0, joined), (10.0, joined), (0.0, HEALTHY), (1.0, SERVING)]
    assert Wait(clock, script).run(task_vars={})["phases"] == [
        {"phase": "Ray formed", "seconds": 3.0},
        {"phase": "model loaded", "seconds": 10.0},
        {"phase": "completion answered", "seconds": 1.0},
    ]


def test_the_wait_ends_when_ansible_playbook_was_killed(
    clock: Clock, screen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = iter([100, 100, 1])
    monkeypatch.setattr(follow.os, "getppid", lambda: next(parents))
    wait = Wait(clock, [(0.0, LOADING)])
    assert wait.run(task_vars={})["msg"] == "ansible-playbook has ended"
    assert len(wait.looks) == 2
