# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who asks for a lock, and when a holder counts as gone."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
import types
from pathlib import Path
from typing import Any

import pytest
from ansible import context
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.dgxspark.suite.plugins.action import cluster_lock
from ansible_collections.dgxspark.suite.plugins.action.cluster_lock import WAIT, has_ended, process
from ansible_collections.dgxspark.suite.plugins.plugin_utils import commands, follow

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
    found = ask.run(task_vars={})
    assert (found["failed"], found["blocker"]) == (True, answer)


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


STATUS = "next: ansible-playbook dgxspark.suite.status"
LOCK = {"owner": "Bob", "reason": "launch of x", "since": "2026-11-25T12:00:00Z"}
BUSY: Answer = {"failed": True, "msg": "locked by Bob", "by_run": True, "lock": LOCK, "blocker": {}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses; they pass without any time, and the clock follows them."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    ticks = itertools.count()  # a request takes 1 s
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks) + sum(pauses))
    return pauses


def test_a_run_that_holds_the_lock_is_waited_for(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(follow.display, "display", lines.append)
    ask = Ask([BUSY] * 8 + [{"token": "t"}], wait="60", bound=True)
    assert ask.run(task_vars={}) == {"token": "t"}
    assert len({given["token"] for given in ask.asked}) == 1
    assert all("wait" not in given and given["bound"] is True for given in ask.asked)
    assert 2 <= len(lines) <= 4
    assert "of Bob (launch of x), held since 2026-11-25T12:00:00Z" in lines[0]
    assert lines[0].endswith(" left")


def test_the_wait_ends_with_the_refusal_when_the_time_is_over(clock: list[float]) -> None:
    ask = Ask([BUSY] * 40, wait=30)
    answer = ask.run(task_vars={})
    assert answer["failed"] is True
    assert answer["msg"].startswith("Waited 3")
    # Who has waited already learns who holds the lock.
    assert answer["msg"].endswith(f"locked by Bob\n{STATUS}")
    assert 4 <= len(ask.asked) <= 8


@pytest.mark.parametrize("by_run", [False, None, "true", 1])
def test_a_reservation_is_refused_at_once(clock: list[float], by_run: object) -> None:
    reserved = {**BUSY, "by_run": by_run}
    ask = Ask([reserved], wait=900)
    assert ask.run(task_vars={}) == {**reserved, "msg": f"locked by Bob\n{STATUS}"}
    assert clock == []


def test_a_reservation_that_follows_a_run_ends_the_wait(clock: list[float]) -> None:
    ask = Ask([BUSY, {**BUSY, "by_run": False}], wait=900)
    assert ask.run(task_vars={})["msg"] == f"locked by Bob\n{STATUS}"
    assert len(ask.asked) == 2


def test_nobody_waits_in_check_mode(clock: list[float]) -> None:
    ask = Ask([BUSY], wait=900)
    ask._task.check_mode = True
    assert ask.run(task_vars={}) == {**BUSY, "msg": f"locked by Bob\n{STATUS}"}


def test_a_run_that_ends_without_a_release_is_taken_over_while_waiting(clock: list[float]) -> None:
    ended = {**BUSY, "blocker": {"holder": {**process(os.getpid()), "start": "1"}}}
    ask = Ask([BUSY, ended, {"token": "t"}], wait=900)
    assert ask.run(task_vars={}) == {"token": "t"}


def test_a_head_that_does_not_answer_ends_the_wait(clock: list[float]) -> None:
    ask = Ask([BUSY], wait=900)

    def lost(**_call: Any) -> Answer:
        raise AnsibleConnectionFailure("no route")

    ask._execute_module = lost  # type: ignore[method-assign]
    assert ask.run(task_vars={}) == {"unreachable": True, "msg": "no route"}
    assert sum(clock) < 120


@pytest.mark.parametrize("lock", [None, [], {}, {"owner": 5}])
def test_a_lock_of_another_shape_is_waited_for_all_the_same(
    clock: list[float], lock: object
) -> None:
    assert Ask([{**BUSY, "lock": lock}, {"token": "t"}], wait=60).run(task_vars={})["token"] == "t"


@pytest.mark.parametrize("wait", ["soon", -1, "1.5", True, "", None])
def test_a_time_that_is_no_number_of_seconds_is_refused(wait: object) -> None:
    ask = Ask([], wait=wait)
    assert "in seconds" in ask.run(task_vars={})["msg"]


@pytest.mark.parametrize(
    ("given", "by_run", "expected"),
    [
        ({}, True, f"ansible-playbook dgxspark.suite.launch -e recipe=a -e lock_wait={WAIT}"),
        ({}, False, "ansible-playbook dgxspark.suite.status"),
        ({"wait": 60}, False, "ansible-playbook dgxspark.suite.status"),
    ],
)
def test_a_refusal_ends_with_what_leads_on(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, int], by_run: bool, expected: str
) -> None:
    run = {"args": ("dgxspark.suite.launch",), "extra_vars": ("recipe=a",)}
    monkeypatch.setattr(context, "CLIARGS", run)
    monkeypatch.setattr(commands, "load_extra_vars", lambda _loader: {"recipe": "a"})
    answer = Ask([{**BUSY, "by_run": by_run, "msg": "x\nnext: rm"}], **given).run(task_vars={})
    assert answer["msg"].splitlines()[-1] == f"next: {expected}"
