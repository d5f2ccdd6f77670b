# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Following work on a node: what the node says is played, and so is the clock."""

from __future__ import annotations

import types
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.dgxspark.suite.plugins.action import model_download, model_receive
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
    """An action, over a script of what its module answers; the last entry repeats."""

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


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(follow, "display", types.SimpleNamespace(display=lines.append))
    monkeypatch.setattr(follow, "time", Clock())
    return lines


def test_progress_is_told_now_and_then_and_the_end_returned(screen: list[str]) -> None:
    looks = [fetching(10 * number) for number in range(1, 10)]
    download = Download([BEGUN, *looks, fetching(20, "verifying"), DONE])
    result = download.run(task_vars={"inventory_hostname": "spark1"})
    assert screen == [
        "    spark1: fetching: 30.0 MiB of 100.0 MiB",
        "    spark1: fetching: 70.0 MiB of 100.0 MiB, 6.7 MiB/s, 4 s left",
        "    spark1: verifying: 20.0 MiB of 100.0 MiB",
    ]
    assert result == {**BEGUN, "id": "", "problems": []}
    # The token goes over once.
    assert (
        download.asked[1:]
        == [{"name": "org/one", "hf_home": "/h", "id": "/tmp/x", "revision": "abc"}] * 11
    )


@pytest.mark.parametrize(
    "answer", [{"failed": True, "msg": "gated"}, {"changed": False, "id": "", "files": 0}]
)
def test_what_was_not_begun_is_not_followed(screen: list[str], answer: Seen) -> None:
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
def test_a_connection_may_break_for_a_while(screen: list[str], lost: Any) -> None:
    assert "failed" not in Download([BEGUN, lost, lost, fetching(1), DONE]).run()
    result = Download([BEGUN, fetching(1), lost]).run(task_vars={"inventory_hostname": "spark1"})
    assert "spark1 is not reached any more: no route. The download there ends" in result["msg"]


@pytest.mark.parametrize(
    ("seconds", "told"), [(5, "5 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h")]
)
def test_times_are_told_as_people_say_them(seconds: float, told: str) -> None:
    assert follow.left(seconds) == told


def test_a_copy_is_followed_by_nothing_but_its_id(screen: list[str]) -> None:
    copy = Copy([BEGUN, fetching(1), DONE])
    assert copy.run()["changed"] is True
    assert copy.asked[1:] == [{"id": "/tmp/x"}] * 2
