# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""A background job on a node: a process that outlives the module that starts it.

It is known by a directory with its process (pid), its progress (state), how it ended (result), and
its log. What it has to do, secrets included, reaches it on standard input. It ends by itself at its
time limit, and where that is asked for, when nobody has asked for its progress for a while.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import (
    command,
    foreign,
    interpreter,
)

PREFIX = "dgxspark-job-"

# Phases. The progress of PULLING is in layers, that of all others in bytes.
FETCHING = "fetching"
VERIFYING = "verifying"
UNPACKING = "unpacking"
PULLING = "pulling"
OFFERING = "offering"
DONE = "done"

# The time without a question after which a job's controller is gone, in seconds.
ABANDONED_SECONDS = 60.0
_READY_SECONDS = 10.0
_TICK = 0.5

_PID = "pid"
_STATE = "state"
_RESULT = "result"
_LOG = "log"


class JobError(Exception):
    """There is no such job, or it ended without a result; the text says why."""


def start(
    title: str,
    modules: Sequence[str],
    request: Mapping[str, Any],
    folder: str = "",
    limit: float = 0,
    unasked: float = 0,
) -> str:
    """Start a job; returns the directory by which it is known. Raises OSError.

    title: shown by a list of processes. modules: loaded ones by name, each after what it imports;
    the last one's answer(request, sources) does the work, by `work`. folder: a directory by which
    later runs find the job, in one that exists; a job that is known by it already is ended. Empty
    for a new one. limit: seconds after which the job ends; unasked: seconds without `look` after
    which it ends; 0 for never.
    """
    if folder:
        end(folder, os.path.dirname(folder))
        os.mkdir(folder, 0o700)
    else:
        folder = tempfile.mkdtemp(prefix=PREFIX)
    try:
        _write(folder, _STATE, {"phase": FETCHING, "progress": 0})
        descriptor = os.open(os.path.join(folder, _LOG), os.O_WRONLY | os.O_CREAT, 0o600)
        with open(descriptor, "w", encoding="utf-8") as log:
            sources = interpreter.sources_of(modules)
            about = {"folder": folder, "limit": limit, "unasked": unasked}
            asked = {**request, "job": about}
            pid = interpreter.detach([sys.executable], [title, folder], sources, asked, log)
        _write(folder, _PID, {"pid": pid})
    except BaseException:
        shutil.rmtree(folder)
        raise
    return folder


def running(folder: str) -> bool:
    """Whether the job of this directory is at work."""
    return _process(folder) is not None


def look(folder: str, parent: str = "") -> dict[str, Any]:
    """Its progress, {phase, progress, total?, ...}, or its end, {phase: DONE, problem}.

    After its end the job is forgotten. parent: the directory that has the job's; empty for that of
    temporary files. Raises JobError for another directory, and where the job is gone.
    """
    _check(folder, parent)
    # Before the result is read: it is written when the process is gone.
    alive = running(folder)
    result = _read(folder, _RESULT)
    if alive and not result:
        os.utime(os.path.join(folder, _PID))
        return _read(folder, _STATE)
    last = command.last_line(_text(os.path.join(folder, _LOG)))
    shutil.rmtree(folder, ignore_errors=True)
    if not result:
        reason = " (%s)" % last if last else ""
        raise JobError("the background job exited without a result" + reason)
    return result


def announced(folder: str, name: str, parent: str = "") -> Any:
    """What a job announces by that name soon after its start. Raises JobError where it does not."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        state = look(folder, parent)
        if name in state:
            return state[name]
        if state["phase"] == DONE:
            raise JobError(state["problem"])
        time.sleep(0.05)
    raise JobError("the background job has no %s within %d s" % (name, _READY_SECONDS))


def end(folder: str, parent: str = "") -> bool:
    """End a job and remove its directory; whether there was one. Raises JobError as `look` does."""
    _check(folder, parent)
    pid = _process(folder)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)
    existed = os.path.isdir(folder)
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
    return existed


def _check(folder: str, parent: str) -> None:
    inside = os.path.dirname(folder) == os.path.normpath(parent or tempfile.gettempdir())
    if not inside or not (parent or os.path.basename(folder).startswith(PREFIX)):
        raise JobError("%s is not the directory of a background job" % folder)


def _process(folder: str) -> int | None:
    pid = _read(folder, _PID).get("pid")
    words = _words(pid)
    # A process that has just been started has none for a moment; one that has ended, for good.
    for _again in range(20):
        if words != [""]:
            break
        time.sleep(0.01)
        words = _words(pid)
    # The number may be another process's by now; a job's process names its directory.
    return pid if folder in words else None


def _words(pid: int | None) -> list[str]:
    path = "/proc/%s/cmdline" % pid
    return _text(path).split("\0") if os.path.exists(path) else []


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _read(folder: str, name: str) -> dict[str, Any]:
    text = _text(os.path.join(folder, name))
    return dict(foreign.json_of(text)) if text else {}


def _write(folder: str, name: str, content: Mapping[str, Any]) -> None:
    path = os.path.join(folder, name)
    new = "%s.%d" % (path, threading.get_ident())
    with open(new, "w", encoding="utf-8") as stream:
        json.dump(content, stream)
    os.replace(new, path)


def work(request: Mapping[str, Any], do: Callable[[Progress], str]) -> None:
    """In the process of a job: do it, and note how it ended. do returns the problem, if any."""
    progress = Progress(**request["job"])
    threading.Thread(target=progress.watch, daemon=True).start()
    try:
        problem = do(progress)
    except Exception as error:  # not to the log: a traceback might show the request
        problem = "unexpected: %s: %s" % (type(error).__name__, error)
    progress.close(problem)


class Progress:
    """In the process of a job: writes its progress every half second, and ends it in time.

    count: how much of the present phase is done, in bytes or in layers. total: of how much, 0 where
    that is not known.
    """

    def __init__(self, folder: str, limit: float = 0, unasked: float = 0) -> None:
        self.count = 0
        self.total = 0
        self._folder = folder
        self._limit = limit
        self._unasked = unasked
        self._started = time.monotonic()
        self._phase = FETCHING
        self._paths: Sequence[str] = ()
        self._announced: dict[str, Any] = {}

    def begin(self, phase: str, paths: Sequence[str] = ()) -> None:
        """Begin a phase. paths: files whose sizes are its progress; without them it is count."""
        self.count = self.total = 0
        self._phase, self._paths = phase, paths

    def announce(self, **values: Any) -> None:
        """Let those who `look` know these as well, at once."""
        self._announced.update(values)
        self._report()

    def close(self, problem: str) -> None:
        _write(self._folder, _RESULT, {"phase": DONE, "problem": problem})

    def watch(self) -> None:
        while True:
            time.sleep(_TICK)
            with suppress(OSError):
                if self._is_abandoned():
                    shutil.rmtree(self._folder, ignore_errors=True)
                    _exit()
                if self._limit and time.monotonic() - self._started > self._limit:
                    self.close("it has not ended within %d s" % self._limit)
                    _exit()
                self._report()

    def _is_abandoned(self) -> bool:
        asked = os.stat(os.path.join(self._folder, _PID)).st_mtime
        return bool(self._unasked) and time.time() - asked > self._unasked

    def _report(self) -> None:
        done = sum(map(_size, self._paths)) if self._paths else self.count
        state = {"phase": self._phase, "progress": done, **self._announced}
        _write(self._folder, _STATE, {**state, "total": self.total} if self.total else state)


def _exit() -> None:
    """End this process, its children, and their process groups."""
    for task in os.listdir("/proc/self/task"):
        for child in _text("/proc/self/task/%s/children" % task).split():
            with suppress(OSError):
                os.killpg(int(child), signal.SIGKILL)
    with suppress(OSError):
        os.killpg(os.getpid(), signal.SIGTERM)
    os._exit(1)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
