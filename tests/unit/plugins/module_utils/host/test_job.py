# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Background jobs: real processes, which do what `answer` of this file says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host import (
    command,
    findings,
    interpreter,
    job,
    owner,
    safe_folder,
)

MODULES = (
    *(one.__name__ for one in (command, interpreter, findings, safe_folder, owner, job)),
    __name__,
)
SECRET = "s3cret-of-this-job"

# What a job of these tests runs, in a process that has no pytest.
WORK = """
import os, subprocess, time
from ansible_collections.dgxspark.suite.plugins.module_utils.host import job, owner

def answer(request, sources):
    def do(progress):
        if request["what"] == "announce":
            progress.begin(job.OFFERING)
            progress.announce(port=7)
        if request["what"] == "count":
            progress.begin(job.PULLING)
            progress.count, progress.total = 2, 5
        if request["what"] == "child":
            child = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
            progress.begin(job.FETCHING)
            progress.count = child.pid
            progress.announce(child=child.pid)
        if request["what"] == "who":
            return str(os.geteuid())
        if request["what"] == "raise":
            raise RuntimeError("as it does")
        if request["what"] == "end":
            return ""
        if request["what"] == "refuse":
            return "it is refused"
        time.sleep(300)
    whose = owner.Owner(request["user"], request["user"], True) if "user" in request else None
    job.work(request, do, whose)
"""


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sources = interpreter.sources_of(MODULES[:-1])
    monkeypatch.setattr(interpreter, "sources_of", lambda _names: {**sources, __name__: WORK})
    yield
    for folder in tmp_path.iterdir():
        job.end(str(folder), str(tmp_path))


def start(what: str, user: int = 0, **settings: t.Any) -> str:
    request = {"what": what, "secret": SECRET, **({"user": user} if user else {})}
    return job.start("dgxspark-test", MODULES, request, **settings)


def pid_of(folder: str) -> int:
    return int(json.loads(Path(folder, "pid").read_text())["pid"])


def until(true: Callable[[], t.Any]) -> t.Any:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError("not within 20 s")


def ended(folder: str) -> dict[str, t.Any] | None:
    state = job.look(folder)
    return state if state["phase"] == job.DONE else None


def is_gone(pid: int) -> bool:
    """Whether a process is gone, or only waited for."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == b""
    except OSError:
        return True


@pytest.mark.parametrize(
    ("what", "problem"),
    [("end", ""), ("refuse", "it is refused"), ("raise", "unexpected: RuntimeError: as it does")],
)
def test_it_ends_with_its_problem_and_is_forgotten(what: str, problem: str) -> None:
    folder = start(what)
    assert until(lambda: ended(folder)) == {"phase": job.DONE, "problem": problem}
    assert not Path(folder).exists()
    with pytest.raises(job.JobError, match="without a result"):
        job.look(folder)


def test_its_progress_is_what_it_counts() -> None:
    folder = start("count")
    state = until(lambda: (state := job.look(folder))["phase"] == job.PULLING and state)
    assert state == {"phase": job.PULLING, "progress": 2, "total": 5}


def test_what_it_announces_is_awaited() -> None:
    folder = start("announce")
    assert job.announced(folder, "port") == 7
    assert job.look(folder)["phase"] == job.OFFERING
    with pytest.raises(job.JobError, match="it is refused"):
        job.announced(start("refuse"), "port")


def test_no_secret_is_in_an_argument_an_environment_or_a_file() -> None:
    folder = start("sleep")
    pid = pid_of(folder)
    # A process that is being started has no command line for a moment.
    text = until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes())
    words = text.split(b"\0")
    assert words[-3:-1] == [b"dgxspark-test", folder.encode()]
    texts = [*words, Path(f"/proc/{pid}/environ").read_bytes()]
    texts += [path.read_bytes() for path in Path(folder).iterdir()]
    assert not any(SECRET.encode() in text for text in texts)
    assert Path(folder).stat().st_mode & 0o077 == 0


def test_a_named_one_is_found_and_a_second_takes_its_place(tmp_path: Path) -> None:
    place = str(tmp_path / "run-1")
    assert start("sleep", folder=place) == place
    first = pid_of(place)
    assert job.running(place)
    start("sleep", folder=place)
    until(lambda: is_gone(first))
    assert job.running(place)
    assert job.end(place, str(tmp_path)) is True
    assert job.end(place, str(tmp_path)) is False


def test_a_time_limit_ends_it_and_says_so() -> None:
    folder = start("sleep", limit=1)
    pid = pid_of(folder)
    assert "not ended within 1 s" in until(lambda: ended(folder))["problem"]
    until(lambda: is_gone(pid))


def test_one_that_nobody_asks_for_ends_with_its_children() -> None:
    folder = start("child", unasked=2)
    child = int(job.announced(folder, "child"))
    pid = pid_of(folder)
    for _second in range(3):
        time.sleep(1)
        assert job.look(folder)["child"] == child
    until(lambda: not Path(folder).exists())
    until(lambda: is_gone(pid))
    until(lambda: is_gone(child))


def test_a_killed_one_has_no_result() -> None:
    folder = start("sleep")
    os.kill(pid_of(folder), signal.SIGKILL)
    until(lambda: not job.running(folder))
    with pytest.raises(job.JobError, match="without a result"):
        job.look(folder)
    assert not Path(folder).exists()


def test_the_number_of_another_process_is_not_taken_for_it() -> None:
    folder = start("sleep")
    os.kill(pid_of(folder), signal.SIGKILL)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    Path(folder, "pid").write_text(json.dumps({"pid": other.pid}))
    assert not job.running(folder)
    assert job.end(folder) is True
    assert other.poll() is None
    other.kill()
    other.wait()


@pytest.mark.parametrize("folder", ["/etc", "/tmp/x", "{place}/dgxspark-job-1/../../etc"])
def test_no_other_directory_is_asked_or_ended(folder: str, tmp_path: Path) -> None:
    folder = folder.format(place=tmp_path)
    for do in (job.look, job.end):
        with pytest.raises(job.JobError, match="not the directory of a background job"):
            do(folder)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts for another user: run it as root")
USER = 65534


@as_root
@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("who", str(USER)),
        ("end", ""),
        ("refuse", "it is refused"),
        ("raise", "unexpected: RuntimeError: as it does"),
    ],
)
def test_its_work_can_be_done_as_another_user(what: str, problem: str) -> None:
    folder = start(what, USER)
    assert until(lambda: ended(folder)) == {"phase": job.DONE, "problem": problem}


@as_root
def test_the_progress_of_another_user_is_its_progress() -> None:
    folder = start("count", USER)
    state = until(lambda: (state := job.look(folder))["phase"] == job.PULLING and state)
    assert state == {"phase": job.PULLING, "progress": 2, "total": 5}


def worker_of(folder: str) -> int:
    """The process that acts for a job as another user."""
    pid = pid_of(folder)
    text = until(lambda: Path(f"/proc/{pid}/task/{pid}/children").read_text())
    return int(text.split()[0])


@as_root
@pytest.mark.parametrize("how", ["killed", "abandoned"])
def test_what_it_does_as_another_user_ends_with_it(how: str) -> None:
    folder = start("child", USER, unasked=2)
    child = until(lambda: job.look(folder)["progress"])
    worker, pid = worker_of(folder), pid_of(folder)
    if how == "killed":
        os.kill(pid, signal.SIGKILL)
    for one in (pid, worker, child):
        until(lambda one=one: is_gone(one))


@as_root
def test_a_worker_that_is_killed_is_a_problem() -> None:
    folder = start("sleep", USER)
    os.kill(worker_of(folder), signal.SIGKILL)
    assert "ended without a result" in until(lambda: ended(folder))["problem"]


def fake(folder: Path, mode: int = 0o700) -> str:
    folder.mkdir()
    folder.chmod(mode)
    (folder / "result").write_text('{"phase": "done", "problem": ""}')
    return str(folder)


def refused(folder: str, parent: str = "") -> None:
    for do in (job.look, job.end):
        with pytest.raises(job.JobError, match="not the directory of a background job"):
            do(folder, parent)
    assert not job.running(folder)


def test_a_directory_that_others_may_enter_is_not_a_job(tmp_path: Path) -> None:
    for mode in (0o755, 0o711, 0o770):
        folder = fake(tmp_path / f"{job.PREFIX}{mode:o}", mode)
        refused(folder)
        assert Path(folder, "result").exists()
        shutil.rmtree(folder)


def test_a_link_is_not_a_job(tmp_path: Path) -> None:
    fake(tmp_path / "elsewhere")
    link = tmp_path / f"{job.PREFIX}link"
    link.symlink_to(tmp_path / "elsewhere")
    refused(str(link))
    link.unlink()


@as_root
def test_the_directory_of_another_user_is_not_a_job(tmp_path: Path) -> None:
    folder = fake(tmp_path / f"{job.PREFIX}other")
    os.chown(folder, USER, USER)
    refused(folder)
    os.chown(folder, 0, 0)


def test_a_place_where_others_may_exchange_it_has_no_jobs(tmp_path: Path) -> None:
    place = tmp_path / f"{job.PREFIX}place"
    folder = fake(place)
    run = fake(place / "run")
    place.chmod(0o777)
    for do in (job.look, job.end):
        with pytest.raises(job.JobError, match="no other user can exchange"):
            do(run, folder)
    with pytest.raises(FileExistsError, match="no other user can exchange"):
        start("end", folder=run)
    place.chmod(0o700)


def test_a_process_with_the_words_of_a_job_is_not_taken_for_it() -> None:
    folder = start("sleep")
    known = json.loads(Path(folder, "pid").read_text())
    os.kill(known["pid"], signal.SIGKILL)
    time.sleep(0.05)  # the clock of processes has hundredths of a second
    words = ["/bin/sh", "-c", "sleep 300; true", "dgxspark-test", folder]
    with subprocess.Popen(words, start_new_session=True) as other:
        Path(folder, "pid").write_text(json.dumps({**known, "pid": other.pid}))
        running = job.running(folder)
        existed = job.end(folder)
        alive = other.poll() is None
        os.killpg(other.pid, signal.SIGKILL)
    assert (running, existed, alive) == (False, True, True)
