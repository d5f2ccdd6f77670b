# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks for a lock, and when a holder counts as gone."""

from __future__ import annotations

import os
import shutil
import subprocess
import types
from pathlib import Path
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


def proc_of(folder: Path, *pids: int) -> Path:
    """A /proc that shows only these processes."""
    real, proc = Path("/proc"), folder / "proc"
    for name in ("sys/kernel/random/boot_id", *(f"{pid}/stat" for pid in pids)):
        (proc / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(real / name, proc / name)
    (proc / "self/ns").mkdir(parents=True)
    (proc / "self/ns/pid").symlink_to(os.readlink(real / "self/ns/pid"))
    return proc


def test_a_holder_that_proc_hides_has_not_ended(tmp_path: Path) -> None:
    """As with hidepid=2 and a launch of another user."""
    proc = proc_of(tmp_path)
    assert has_ended(process(os.getpid()), proc) is False
    child = subprocess.Popen(["true"])
    seen = process(child.pid)
    child.wait()
    assert has_ended(seen, proc) is True


def test_without_proc_nobody_has_ended(tmp_path: Path) -> None:
    """As on a Mac: neither this machine nor the process is known."""
    nowhere = tmp_path / "proc"
    assert process(os.getpid(), nowhere) == {}
    assert has_ended({**process(os.getpid()), "start": "1"}, nowhere) is False


def test_a_process_whose_state_is_unreadable_has_not_ended(tmp_path: Path) -> None:
    proc = proc_of(tmp_path, os.getpid())
    (proc / f"{os.getpid()}/stat").write_text("")
    assert has_ended(process(os.getpid()), proc) is False


def test_another_boot_is_another_machine(tmp_path: Path) -> None:
    proc = proc_of(tmp_path, os.getpid())
    seen = {**process(os.getpid(), proc), "start": "1"}
    assert has_ended(seen, proc) is True
    (proc / "sys/kernel/random/boot_id").write_text("another")
    assert has_ended(seen, proc) is False


@pytest.mark.parametrize(
    "change",
    [{"pid": "1"}, {"pid": 0}, {"pid": -1}, {"pid": 10**30}, {"pid": None}, {"start": None}],
)
def test_a_holder_of_another_shape_has_not_ended(change: Answer) -> None:
    assert has_ended({**process(os.getpid()), "start": "1", **change}) is False


@pytest.mark.parametrize("answer", [None, [], "x", {"holder": []}, {"holder": {}}])
def test_an_answer_of_another_shape_is_returned_as_it_is(answer: object) -> None:
    ask = Ask([{"failed": True, "blocker": answer}])
    assert ask.run(task_vars={}) == {"failed": True, "blocker": answer}


def test_the_id_of_the_machine_does_not_leave_it() -> None:
    known = Path("/etc/machine-id")
    if not known.exists() or not known.read_text("ascii").strip():
        pytest.skip("this machine has no id")
    assert known.read_text("ascii").strip() not in str(process(os.getpid()))


def test_who_asks_is_said_and_a_token_made_up() -> None:
    ask = Ask([{"token": "t"}], reason="r", bound=True)
    assert ask.run(task_vars={}) == {"token": "t"}
    (given,) = ask.asked
    assert len(given["token"]) == 32
    assert "@" in given["owner"]
    assert given["holder"]["pid"] == os.getppid()


@pytest.mark.parametrize(
    ("variables", "owner"),
    [
        ({"awx_user_name": "alice", "awx_job_id": 17}, "alice@awx-job-17"),
        ({"awx_schedule_name": "nightly", "awx_job_id": 18}, "nightly@awx-job-18"),
        ({"tower_user_name": "bob", "tower_job_id": 19}, "bob@tower-job-19"),
        ({"awx_user_name": "alice", "tower_user_name": "alice"}, "alice@awx-job-unknown"),
    ],
)
def test_in_a_job_of_awx_its_user_asks(variables: Answer, owner: str) -> None:
    ask = Ask([{}])
    ask.run(task_vars=variables)
    assert ask.asked[0]["owner"] == owner
    ask = Ask([{}], owner="Carol")
    ask.run(task_vars=variables)
    assert ask.asked[0]["owner"] == "Carol"


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
    refused = {"failed": True, "msg": "locked", "blocker": {"holder": gone}}
    ask = Ask([refused, {"token": "t", "taken_from": "Alice until then"}])
    assert "failed" not in ask.run(task_vars={})
    assert [given.get("gone") for given in ask.asked] == [None, gone]


def test_a_lock_whose_holder_is_at_work_stays_refused() -> None:
    busy = {"failed": True, "blocker": {"holder": process(os.getpid())}}
    ask = Ask([busy])
    assert ask.run(task_vars={})["failed"] is True
    assert len(ask.asked) == 1


def test_giving_back_needs_no_holder() -> None:
    ask = Ask([{}], state="released", token="a")
    ask.run(task_vars={})
    assert ask.asked == [{"state": "released", "token": "a"}]
