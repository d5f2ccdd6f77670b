# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress loop, with simulated answers of the node and a simulated clock."""

from __future__ import annotations

import types
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.dgxspark.suite.plugins.action import (
    image_receive,
    model_download,
    model_receive,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils import follow

Seen = dict[str, Any]
BEGUN: Seen = {
    "changed": True,
    "id": "/tmp/x",
    "bytes": 100 << 20,
    "revision": "abc",
    "manifest": {"name": "org/one"},
}
DONE: Seen = {"changed": True, "phase": "done", "progress": 0, "problems": []}


def fetching(mib: int, phase: str = "fetching") -> Seen:
    return {"phase": phase, "progress": mib << 20}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Played:
    """An action over a script of its module's answers; the last one repeats."""

    module: str

    def __init__(self, script: list[Seen | Exception]) -> None:
        self.script = script
        self.asked: list[dict[str, Any]] = []
        arguments = {"name": "org/one", "token": "t", "hf_home": "/h"}
        task = types.SimpleNamespace(
            args=arguments, async_val=0, check_mode=False, action=f"dgxspark.suite.{self.module}"
        )
        connection = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/tmp"))
        super().__init__(task, connection, None, None, None)

    def _execute_module(self, **call: Any) -> Seen:
        self.asked.append(dict(call["module_args"]))
        answer = self.script[min(len(self.asked), len(self.script)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)


class Download(Played, model_download.ActionModule):
    pass


class Copy(Played, model_receive.ActionModule):
    pass


class Image(Played, image_receive.ActionModule):
    pass


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(follow, "display", types.SimpleNamespace(display=lines.append))
    monkeypatch.setattr(follow, "time", Clock())
    return lines


def test_progress_is_printed_at_intervals_and_the_end_returned(screen: list[str]) -> None:
    looks = [fetching(10 * number) for number in range(1, 10)]
    download = Download([BEGUN, *looks, fetching(20, "verifying"), DONE])
    result = download.run(task_vars={"inventory_hostname": "spark1"})
    assert screen == [
        "    spark1: fetching: 30.0 MiB of 100.0 MiB",
        "    spark1: fetching: 70.0 MiB of 100.0 MiB, 6.7 MiB/s, 4 s left",
        "    spark1: verifying: 20.0 MiB of 100.0 MiB",
    ]
    assert result == {**BEGUN, "id": "", "problems": []}
    # The token is sent once.
    assert (
        download.asked[1:]
        == [{"name": "org/one", "hf_home": "/h", "id": "/tmp/x", "revision": "abc"}] * 11
    )


def test_a_phase_is_printed_in_one_line_without_control_characters(screen: list[str]) -> None:
    looks = [fetching(10 * number, "\x1b[2J\nPLAY") for number in range(1, 10)]
    Download([BEGUN, *looks, DONE]).run(task_vars={"inventory_hostname": "spark1"})
    assert screen
    assert all("\\x1b[2J\\nPLAY" in line and line.isprintable() for line in screen)


@pytest.mark.parametrize(
    "answer", [{"failed": True, "msg": "gated"}, {"changed": False, "id": "", "files": 0}]
)
def test_a_job_that_was_not_started_is_not_followed(screen: list[str], answer: Seen) -> None:
    download = Download([answer])
    assert download.run() == answer
    assert len(download.asked) == 1


def test_a_failure_on_the_node_is_the_result(screen: list[str]) -> None:
    result = Download([BEGUN, fetching(1), {"failed": True, "msg": "the disk is full"}]).run()
    assert (result["failed"], result["msg"]) == (True, "the disk is full")
    assert "manifest" not in result


@pytest.mark.parametrize(
    "lost", [AnsibleConnectionFailure("no route"), {"unreachable": True, "msg": "no route"}]
)
def test_a_connection_may_be_lost_for_a_while(screen: list[str], lost: Any) -> None:
    assert "failed" not in Download([BEGUN, lost, lost, fetching(1), DONE]).run()
    result = Download([BEGUN, fetching(1), lost]).run(task_vars={"inventory_hostname": "spark1"})
    assert result["failed"] is True
    assert result["msg"].startswith("spark1 has not been reachable for 50 s: no route. ")
    assert "    spark1: not reachable: no route" in screen


def test_a_copy_is_followed_by_nothing_but_its_id(screen: list[str]) -> None:
    copy = Copy([BEGUN, fetching(1), DONE])
    assert copy.run()["changed"] is True
    assert copy.asked[1:] == [{"id": "/tmp/x"}] * 2


def test_an_image_is_followed_by_its_job_with_all_that_identifies_it(screen: list[str]) -> None:
    script: list[Seen] = [
        {"changed": True, "job": "/run/j", "bytes": 100 << 20, "image_id": ""},
        *(fetching(10 * number) for number in range(3)),
        {"phase": "unpacking", "progress": 40 << 20},
        {"phase": "pulling", "progress": 1, "total": 3},
        {"changed": True, "phase": "done", "progress": 0, "image_id": "sha256:1"},
    ]
    image = Image(script)
    result = image.run(task_vars={"inventory_hostname": "spark2"})
    assert result == {"changed": True, "job": "", "bytes": 100 << 20, "image_id": "sha256:1"}
    assert image.asked[1:] == [{**image.asked[0], "job": "/run/j"}] * 6
    assert screen == [
        "    spark2: fetching: 20.0 MiB of about 100.0 MiB",
        "    spark2: unpacking: 40.0 MiB of about 100.0 MiB",
        "    spark2: pulling: 1 of 3 layers",
    ]


def test_an_image_may_be_unreachable_until_its_time_limit(screen: list[str]) -> None:
    begun = {"changed": True, "job": "/run/j", "bytes": 0, "image_id": ""}
    image = Image([begun, AnsibleConnectionFailure("busy")])
    image._task.args["seconds"] = 600
    result = image.run(task_vars={"inventory_hostname": "spark2"})
    assert result["failed"] is True
    assert 600 < follow.time.monotonic() - 1000 < 605


@pytest.mark.parametrize(
    ("total", "looks", "line"),
    [
        (0, [(0, 0), (9, 5 << 10)], "fetching: 5.0 KiB"),
        # Counted from the first bytes.
        (
            1 << 20,
            [(0, 0), (60, 100), (62, 300)],
            "fetching: 300 B of 1.0 MiB, 100 B/s, 2.9 h left",
        ),
        (200, [(0, 100), (2, 300)], "fetching: 300 B of 200 B, 100 B/s"),
    ],
)
def test_the_pace(total: int, looks: list[tuple[float, int]], line: str) -> None:
    pace = follow.Pace(total)
    lines = [pace.line(now, {"phase": "fetching", "progress": done}) for now, done in looks]
    assert lines[-1] == line


class Counting(follow.Follower):
    """Inspects a script of states, each with how long the look takes, in seconds."""

    def __init__(self, script: list[tuple[float, Seen]], **settings: Any) -> None:
        super().__init__()
        self.script, self.looks, self.naps = script, 0, []
        vars(self).update(settings)

    def look(self) -> Seen:
        seconds, state = self.script[min(self.looks, len(self.script) - 1)]
        self.looks += 1
        follow.time.sleep(seconds)
        return state

    def pause(self, seconds: float) -> None:
        self.naps.append(seconds)
        super().pause(seconds)

    def ended(self, state: Seen) -> bool:
        return state.get("phase") == "done"

    def line(self, state: Seen) -> str:
        return str(state.get("phase", ""))


def test_pauses_grow_to_the_interval_and_include_the_look(screen: list[str]) -> None:
    counting = Counting([(0.5, {"phase": "a"})] * 6 + [(0, {"phase": "done"})], first=0.3)
    assert counting.follow() == follow.ENDED
    assert counting.naps == pytest.approx([0.3, 0.1, 0.7, 1.0, 1.0, 1.0, 1.0])


def test_an_eager_one_follows_a_change_at_once(screen: list[str]) -> None:
    script: list[tuple[float, Seen]] = [(0, {"phase": phase}) for phase in ("a", "a", "b", "done")]
    counting = Counting(script, eager=True, interval=2)
    assert counting.follow() == follow.ENDED
    assert counting.naps == [2]
    assert screen == ["    a", "    b"]


def test_a_line_is_repeated_after_a_silence_and_an_empty_one_not_printed(screen: list[str]) -> None:
    Counting([(0, {"phase": "a"})] * 10 + [(0, {"phase": "done"})], interval=2, silence=7).follow()
    assert screen == ["    a"] * 3
    Counting([(0, {}), (0, {"phase": "done"})]).follow()
    assert len(screen) == 3


def test_a_time_limit_ends_it_with_the_last_state(screen: list[str]) -> None:
    counting = Counting([(0, {"phase": "a"}), (9, {"phase": "b"})], timeout=30)
    assert counting.follow() == follow.TIMEOUT
    assert counting.state == {"phase": "b"}
    assert 30 < counting.elapsed < 41


def test_an_end_that_comes_after_the_time_limit_still_counts(screen: list[str]) -> None:
    assert Counting([(0, {}), (99, {"phase": "done"})], timeout=30).follow() == follow.ENDED


def test_nothing_is_followed_once_ansible_playbook_was_killed(
    screen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = iter([100, 100, 1])
    monkeypatch.setattr(follow.os, "getppid", lambda: next(parents))
    counting = Counting([(0, {"phase": "a"})])
    assert counting.follow() == follow.ORPHANED
    assert counting.looks == 2
