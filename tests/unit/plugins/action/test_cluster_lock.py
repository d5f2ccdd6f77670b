# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks for a lock, and when a holder counts as gone."""

from __future__ import annotations

import os
import subprocess
import types
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.action import cluster_lock
from ansible_collections.dgxspark.suite.plugins.action.cluster_lock import has_ended, process

Answer = dict[str, Any]


class Ask(cluster_lock.ActionModule):
    """The action, over the answers of a played module."""

    def __init__(self, answers: list[Answer], **arguments: Any) -> None:
        self.answers, self.asked = answers, [arguments][:0]
        task = types.SimpleNamespace(
            args=arguments, async_val=0, check_mode=False, action="dgxspark.suite.cluster_lock"
        )
        connection = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/tmp"))
        super().__init__(task, connection, None, None, None)

    def _execute_module(self, **call: Any) -> Answer:
        self.asked.append(dict(call["module_args"]))
        return self.answers[len(self.asked) - 1]


def test_a_process_that_runs_has_not_ended() -> None:
    mine = process(os.getpid())
    assert mine["pid"] == os.getpid()
    assert has_ended(mine) is False


def test_a_process_that_ended_has_ended() -> None:
    child = subprocess.Popen(["sleep", "60"])
    seen = process(child.pid)
    child.kill()
    child.wait()
    assert has_ended(seen) is True


def test_another_process_of_the_same_number_is_not_the_holder() -> None:
    assert has_ended({**process(os.getpid()), "start": "1"}) is True


@pytest.mark.parametrize(
    "holder", [{}, {"pid": 1}, {**process(os.getpid()), "machine": "another", "start": "1"}]
)
def test_a_holder_elsewhere_or_unknown_has_not_ended(holder: Answer) -> None:
    assert has_ended(holder) is False


def test_who_asks_is_said_and_a_token_made_up() -> None:
    ask = Ask([{"token": "t"}], reason="r", bound=True)
    assert ask.run(task_vars={}) == {"token": "t"}
    (given,) = ask.asked
    assert len(given["token"]) == 32
    assert "@" in given["owner"]
    assert given["holder"]["pid"] == os.getppid()


def test_a_reservation_outlives_who_made_it() -> None:
    ask = Ask([{"token": "t"}])
    ask.run(task_vars={})
    assert "holder" not in ask.asked[0]


def test_a_launch_within_a_reservation_gets_an_id_of_its_own() -> None:
    ask = Ask([{}], token="mine", run="new", owner="Alice")
    ask.run(task_vars={})
    (given,) = ask.asked
    assert (given["token"], given["owner"], len(given["run"])) == ("mine", "Alice", 16)


def test_a_lock_whose_holder_has_ended_is_asked_for_again() -> None:
    gone = {**process(os.getpid()), "start": "1"}
    refused = {"failed": True, "msg": "locked", "blocker": {"token": "b", "holder": gone}}
    ask = Ask([refused, {"token": "t", "taken_from": "Alice until then"}])
    assert "failed" not in ask.run(task_vars={})
    assert [given.get("gone") for given in ask.asked] == [None, "b"]


def test_a_lock_whose_holder_is_at_work_stays_refused() -> None:
    busy = {"failed": True, "blocker": {"token": "b", "holder": process(os.getpid())}}
    ask = Ask([busy])
    assert ask.run(task_vars={})["failed"] is True
    assert len(ask.asked) == 1


def test_giving_back_needs_no_holder() -> None:
    ask = Ask([{}], state="released", token="a")
    ask.run(task_vars={})
    assert ask.asked == [{"state": "released", "token": "a"}]
