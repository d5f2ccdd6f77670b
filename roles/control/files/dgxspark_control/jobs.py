# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs: runs of ansible-runner in sessions of their own, each with a folder, which is all there is.

A job runs as long as its process has the lock of the file `running`, which it inherits. A job of an
earlier process of control is followed from its first event, like any other.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import re
import secrets
import shlex
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from dgxspark_control import files, plays
from dgxspark_control.config import Config
from dgxspark_control.events import Event, Progress, masked
from dgxspark_control.guard import Refusal
from dgxspark_control.plays import Play

_log = logging.getLogger("dgxspark_control")

ID = re.compile(r"[0-9a-f]{11}-[0-9a-f]{8}")
RUNNING, SUCCEEDED, FAILED, CANCELLED, LOST = "running", "succeeded", "failed", "cancelled", "lost"
# Of ansible-runner's events; temporary ones end otherwise.
_EVENT = re.compile(r"(\d+)-[0-9A-Za-z-]+\.json")
# Seconds between two looks for new events, and between two messages of one job.
_PACE, _NEWS = 0.2, 1.0
# Seconds for ansible-runner to end, which asks every five whether it should.
_PATIENCE = 10.0
# Bytes of one event: what a task returned for all nodes.
_LARGEST = 64 << 20
_MIB = 1 << 20
# The name of the runs below artifacts/, one in each folder.
_RUN = "run"
# What is left of them: the events of a job as clients get them, as lines of JSON.
_EVENTS = "events.jsonl"


@dataclass
class Job:
    """A job with what is known of it. final: its last state, as stored; empty while it runs."""

    id: str
    folder: Path
    about: dict[str, Any]
    progress: Progress = field(default_factory=Progress)
    final: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False

    @property
    def kind(self) -> str:
        return str(self.about["kind"])

    @property
    def running(self) -> bool:
        return not self.final

    def shown(self, lines: bool = True) -> dict[str, Any]:
        """As of answers.Job."""
        known = self.final or _shown(self.progress)
        about = {key: value for key, value in self.about.items() if key != "pid"}
        return {
            **about,
            "state": RUNNING,
            "ended": None,
            "code": "",
            "why": "",
            **known,
            **({} if lines else {"lines": []}),
        }


def _shown(progress: Progress) -> dict[str, Any]:
    return {
        "task": progress.task,
        "step": progress.step,
        "phase": progress.phase,
        "phases": [dict(phase) for phase in progress.phases],
        "lines": list(progress.lines),
        "result": dict(progress.result),
    }


class Jobs:
    """All jobs. changed: is called with each job that began, went on or ended.

    Those that are started quietly are not listed, and leave nothing.
    """

    def __init__(self, config: Config, changed: Callable[[Job], None]) -> None:
        self._config = config
        self._changed = changed
        self._folder = config.state / "jobs"
        self._quiet = config.state / "quiet"
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._children: set[asyncio.Task[int]] = set()

    def restore(self) -> None:
        """Take up what is stored, and follow what still runs. Once, in the loop."""
        shutil.rmtree(self._quiet, ignore_errors=True)
        for folder in (self._folder, self._quiet):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(self._folder.iterdir()):
            about = files.read_json(path / "job.json")
            if not ID.fullmatch(path.name) or not isinstance(about, dict):
                continue
            final = about.pop("final", {})
            job = Job(path.name, path, about, final=final)
            self._jobs[job.id] = job
            if job.running:
                job.progress.secrets |= _secrets(path)
                self._follow(job)

    def listed(self) -> list[Job]:
        """The newest first."""
        return [self._jobs[name] for name in sorted(self._jobs, reverse=True)]

    def running(self) -> list[Job]:
        return [job for job in self.listed() if job.running]

    def get(self, name: str) -> Job:
        """Raises Refusal."""
        if name not in self._jobs:
            raise Refusal(404, "not_found", "There is no such job", "GET /api/jobs lists them")
        return self._jobs[name]

    def refuse_second(self, play: Play) -> None:
        """Raises Refusal if a running job is in the way of this one."""
        for job in self.running():
            if play.kind in plays.CHANGES and job.kind in plays.CHANGES:
                what = f"A job changes the services already: {job.kind} of {job.about['subject']}"
            elif (play.kind, play.service, play.subject) == (
                job.kind,
                job.about["service"],
                job.about["subject"],
            ):
                what = f"The same runs already: {job.kind} of {job.about['subject'] or 'all'}"
            else:
                continue
            raise Refusal(409, "running", what, "Wait until it ends", job=job.id)

    async def start(self, play: Play) -> Job:
        """Begin a job. Raises Refusal."""
        self.refuse_second(play)
        job = await self._begun(play, self._folder)
        self._jobs[job.id] = job
        self._follow(job)
        self._changed(job)
        return job

    async def ran(self, play: Play, timeout: float) -> Job:
        """Run a play that is not listed until its end; it leaves nothing. Raises Refusal.

        timeout: seconds, after which it is ended.
        """
        job = await self._begun(play, self._quiet)
        try:
            await asyncio.wait_for(self._until_end(job, lambda _job: None), timeout)
        except asyncio.TimeoutError:
            await _ended(job)
            job.final = {**_shown(job.progress), "state": LOST, "code": "unreachable"}
            job.final["why"] = f"no answer within {timeout:.0f} s"
        except asyncio.CancelledError:
            await _ended(job)
            raise
        finally:
            shutil.rmtree(job.folder, ignore_errors=True)
        return job

    async def _begun(self, play: Play, parent: Path) -> Job:
        started = time.time()
        name = f"{int(started * 1000):011x}-{secrets.token_hex(4)}"
        folder = parent / name
        about: dict[str, Any] = {
            "id": name,
            "kind": play.kind,
            "service": play.service,
            "subject": play.subject,
            "owner": play.owner,
            "command": plays.command(play, self._config),
            "started": files.moment(started),
        }
        job = Job(name, folder, about)
        try:
            folder.mkdir(mode=0o700)
            (folder / "env").mkdir(mode=0o700)
            _store(job)
            variables = json.dumps(plays.extra_vars(play, self._config))
            files.replace(folder / "env" / "extravars", variables.encode())
            words = [word for one in self._config.inventory for word in ("-i", one)]
            command = shlex.join([*words, *self._config.options, *play.words])
            files.replace(folder / "env" / "cmdline", command.encode())
            job.progress.secrets |= _secrets(folder)
            about["pid"] = await self._spawned(play, folder)
            _store(job)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            what = f"The job could not be stored: {error.strerror or error}"
            raise Refusal(507, "no_room", what, "Free some space on the controller") from error
        return job

    async def _spawned(self, play: Play, folder: Path) -> int:
        """Start ansible-runner; it is the leader of a session, and outlives this process."""
        project = self._config.project or self._config.state
        alive = os.open(folder / "running", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(alive, fcntl.LOCK_EX)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "ansible_runner", "run", "-q"),
                *("--ident", _RUN, "--project-dir", str(project)),
                *("-p", f"dgxspark.suite.{play.playbook}", str(folder)),
                cwd=project,
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                umask=0o077,
                pass_fds=(alive,),
            )
        finally:
            os.close(alive)
        reaped = asyncio.create_task(process.wait())
        self._children.add(reaped)
        reaped.add_done_callback(self._children.discard)
        return process.pid

    def _environment(self) -> dict[str, str]:
        """Of plays. ansible-runner stores it in each job: nothing secret may be in it."""
        home = self._config.state / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        path = f"{self._config.ansible_playbook.parent}:/usr/local/bin:/usr/bin:/bin"
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ") if name in os.environ}
        return {
            "LANG": "C.UTF-8",
            **kept,
            "HOME": str(home),
            "USER": "dgxspark-control",
            "PATH": path,
            "ANSIBLE_COLLECTIONS_PATH": str(self._config.collections),
            "ANSIBLE_NOCOLOR": "1",
        }

    def _follow(self, job: Job) -> None:
        task = asyncio.create_task(self._until_end(job, self._changed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_report)

    async def _until_end(self, job: Job, changed: Callable[[Job], None]) -> None:
        """Take the events of a job as they come, and store its end."""
        tail, shown_at = _Tail(job.folder), 0.0
        while True:
            # In this order: what is written before the end is read after it.
            alive = _runs(job.folder)
            fresh = [event for raw in tail.read() for event in job.progress.feed(raw)]
            if fresh:
                job.events += fresh
                _wake(job)
            now = time.monotonic()
            if fresh and now - shown_at > _NEWS:
                changed(job)
                shown_at = now
            if not alive:
                break
            await asyncio.sleep(_PACE)
        self._ended(job)
        changed(job)

    def _ended(self, job: Job) -> None:
        progress = job.progress
        progress.end()
        state, code, why = _outcome(job)
        ended = files.moment(time.time())
        shown = {**_shown(progress), "state": state, "code": code, "why": why, "ended": ended}
        if state == SUCCEEDED:
            shown["phase"] = ""
        last = job.events[-1].id if job.events else 0
        end = {"state": state, "code": code, "why": why, "at": ended}
        job.events.append(Event(last + 1, "end", end))
        job.final = shown
        try:
            _store_events(job)
            _store(job)
        except OSError as error:
            _log.warning("the end of job %s is not stored: %s", job.id, error)
        else:
            # With it go what tasks were given and returned, which may have tokens.
            shutil.rmtree(job.folder / "artifacts", ignore_errors=True)
        shutil.rmtree(job.folder / "env", ignore_errors=True)
        _wake(job)
        if job.id in self._jobs:
            self._rotate()

    def _rotate(self) -> None:
        """Remove the oldest jobs beyond the limits of the settings."""
        ended = [job for job in self.listed() if not job.running]
        total = 0
        for number, job in enumerate(ended):
            total += _size(job.folder)
            if number >= self._config.keep_jobs or (
                number and total > self._config.keep_mib * _MIB
            ):
                shutil.rmtree(job.folder, ignore_errors=True)
                del self._jobs[job.id]
            elif number >= 5:
                # They are read again from the folder if somebody asks.
                job.events = []

    async def events(self, job: Job, after: int) -> AsyncIterator[Event]:
        """The events of a job with larger numbers, until its end."""
        if job.final and not job.events:
            for event in _stored_events(job):
                if event.id > after:
                    yield event
            return
        position = 0
        while True:
            news = job.news
            while position < len(job.events):
                event = job.events[position]
                position += 1
                if event.id > after:
                    yield event
                if event.name == "end":
                    return
            if job.final:
                return
            await news.wait()

    def cancel(self, job: Job) -> None:
        """Raises Refusal."""
        if not job.running or job.kind in plays.CHANGES:
            what = "The job has ended" if not job.running else "The job changes services"
            hint = "" if not job.running else "To go back, launch with back"
            raise Refusal(409, "not_cancellable", what, hint)
        job.cancelled = True
        _end(job)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        _log.error("a job is not followed any more: %r", error)


def _wake(job: Job) -> None:
    news, job.news = job.news, asyncio.Event()
    news.set()


def _store(job: Job) -> None:
    about = {**job.about, **({"final": job.final} if job.final else {})}
    files.replace(job.folder / "job.json", json.dumps(about, indent=1).encode())


def _runs(folder: Path) -> bool:
    """Whether the process of a job has its lock."""
    try:
        descriptor = os.open(folder / "running", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _end(job: Job) -> None:
    """Have ansible-runner end its playbook, and itself."""
    pid = job.about.get("pid")
    if isinstance(pid, int) and _runs(job.folder):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)


async def _ended(job: Job) -> None:
    """End a job, and wait until it writes nothing any more."""
    _end(job)
    for _turn in range(round(_PATIENCE / _PACE)):
        if not _runs(job.folder):
            return
        await asyncio.sleep(_PACE)


def _outcome(job: Job) -> tuple[str, str, str]:
    """State, code and why of a job whose process has ended."""
    folder, progress = job.folder / "artifacts" / _RUN, job.progress
    try:
        status = (folder / "rc").read_text(encoding="utf-8").strip()
    except OSError:
        status = ""
    if status == "0":
        return SUCCEEDED, "", ""
    with suppress(OSError):
        if job.cancelled or (folder / "status").read_text(encoding="utf-8") == "canceled":
            return CANCELLED, "cancelled", "It was cancelled"
    if not status:
        why = "Its process ended without a result. A swap goes on at the nodes"
        return LOST, "lost", why
    return FAILED, progress.code or "error", progress.why or _last_words(job)


def _last_words(job: Job) -> str:
    """What ansible-playbook printed last, if no task has failed."""
    try:
        text = (job.folder / "artifacts" / _RUN / "stdout").read_text("utf-8", "replace")
    except OSError:
        text = ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR", "[ERROR]"))]
    said = (errors or lines[-1:] or ["ansible-playbook has failed, and says nothing"])[0]
    return masked(said[:500], job.progress.secrets)


def _size(folder: Path) -> int:
    total = 0
    for path, _folders, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_size
    return total


def _store_events(job: Job) -> None:
    lines = [json.dumps([one.id, one.name, one.data], ensure_ascii=False) for one in job.events]
    text = "".join(f"{line}\n" for line in lines)
    files.replace(job.folder / _EVENTS, text.encode("utf-8", "replace"))


def _stored_events(job: Job) -> Iterator[Event]:
    """The events of a job that has ended, from its folder."""
    with suppress(OSError), (job.folder / _EVENTS).open(encoding="utf-8") as stream:
        for line in stream:
            with suppress(ValueError):
                number, name, data = foreign.json_of(line)
                yield Event(number, name, data)


def _secrets(folder: Path) -> set[str]:
    """The token of a reservation that a job was given, as long as it runs."""
    variables = files.read_json(folder / "env" / "extravars")
    given = variables.get("lock_token") if isinstance(variables, dict) else None
    token = given.get("__ansible_unsafe") if isinstance(given, dict) else None
    return {token} if isinstance(token, str) and token else set()


class _Tail:
    """Reads the events of a folder once each, in their order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "artifacts" / _RUN / "job_events"
        self._last = 0

    def read(self) -> Iterator[dict[str, Any]]:
        try:
            names = os.listdir(self._folder)
        except OSError:
            return
        fresh = []
        for name in names:
            match = _EVENT.fullmatch(name)
            if match and int(match[1]) > self._last:
                fresh.append((int(match[1]), name))
        for number, name in sorted(fresh):
            self._last = number
            path = self._folder / name
            with suppress(OSError):
                if path.stat().st_size > _LARGEST:
                    continue
            raw = files.read_json(path)
            if isinstance(raw, dict):
                yield raw
