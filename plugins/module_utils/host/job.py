# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""A background job on a node: a process that outlives the module that starts it.

It is known by a directory with its process (pid), its progress (state), how it ended (result), and
its log. What it has to do, secrets included, reaches it on standard input. It ends by itself at its
time limit, and where that is asked for, when nobody has asked for its progress for a while.

The directory belongs to the user who starts the job, and only that user may enter it: what is in it
is trusted because nobody else can have written it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import (
    command,
    foreign,
    interpreter,
)

if TYPE_CHECKING:  # most jobs act for nobody, and are sent without it
    from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner, Say

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
        try:
            end(folder, os.path.dirname(folder))
        except JobError as error:
            raise FileExistsError(errno.EEXIST, str(error), folder) from None
        os.mkdir(folder, 0o700)
    else:
        folder = tempfile.mkdtemp(prefix=PREFIX)
    try:
        _begin(folder, title, modules, {**request, "job": _about(folder, limit, unasked)})
    except BaseException:
        shutil.rmtree(folder)
        raise
    return folder


def _about(folder: str, limit: float, unasked: float) -> dict[str, Any]:
    return {"folder": folder, "limit": limit, "unasked": unasked}


def _begin(folder: str, title: str, modules: Sequence[str], request: Mapping[str, Any]) -> None:
    place = _opened(folder)
    try:
        _write(place, _STATE, {"phase": FETCHING, "progress": 0})
        with open(_new(place, _LOG), "w", encoding="utf-8") as log:
            sources = interpreter.sources_of(modules)
            pid = interpreter.detach([sys.executable], [title, folder], sources, request, log)
        _write(place, _PID, {"pid": pid, "started": _started(pid)})
    finally:
        os.close(place)


def running(folder: str) -> bool:
    """Whether the job of this directory is at work; nobody else's directory has one."""
    return _is_own(folder) and _process(folder) is not None


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
    place = os.path.normpath(parent or tempfile.gettempdir())
    inside = os.path.dirname(folder) == place
    if not inside or not (parent or os.path.basename(folder).startswith(PREFIX)):
        raise JobError("%s is not the directory of a background job" % folder)
    if os.path.lexists(folder) and not (_is_own(folder) and _is_safe(place)):
        raise JobError(
            "%s is not the directory of a background job of this user (a directory, of mode 0700,"
            " that no other user can exchange): look who has put it there, and remove it" % folder
        )


def _is_own(folder: str) -> bool:
    """Whether only this user can have written what is in the directory."""
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
    return private and status.st_uid == os.geteuid()


def _is_safe(place: str) -> bool:
    """Whether no other user can exchange a directory of this user there."""
    status = os.stat(place)
    closed = not status.st_mode & 0o022 or status.st_mode & stat.S_ISVTX
    return bool(closed) and status.st_uid in (0, os.geteuid())


def _process(folder: str) -> int | None:
    known = _read(folder, _PID)
    pid = known.get("pid", 0)
    # The number may be another process's by now, which has started later.
    started = known.get("started")
    return pid if started and started == _started(pid) else None


def _started(pid: int) -> int:
    """When a process has started, in ticks since the boot; 0 if it has ended."""
    # The name, in parentheses, may contain anything.
    fields = _text("/proc/%d/stat" % pid).rpartition(")")[2].split()
    return 0 if not fields or fields[0] in ("Z", "X") else foreign.whole(fields[19])


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _read(folder: str, name: str) -> dict[str, Any]:
    text = _text(os.path.join(folder, name))
    return dict(foreign.json_of(text)) if text else {}


def _opened(folder: str) -> int:
    """By descriptor: whatever takes the place of the directory later is not written."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _new(place: int, name: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    return os.open(name, flags, 0o600, dir_fd=place)


def _write(place: int, name: str, content: Mapping[str, Any]) -> None:
    new = "%s.%d" % (name, threading.get_ident())
    with open(_new(place, new), "w", encoding="utf-8") as stream:
        json.dump(content, stream)
    os.replace(new, name, src_dir_fd=place, dst_dir_fd=place)


def work(
    request: Mapping[str, Any], do: Callable[[Progress], str], whose: Owner | None = None
) -> None:
    """In the process of a job: do it, and note how it ended. do returns the problem, if any.

    whose: as whom it is done, in a process of its own where this one has more rights.
    """
    progress = Progress(**request["job"])
    # Before there is a thread, which a new process would not have.
    delegate = whose.delegate(lambda say: _delegated(do, say)) if whose else None
    threading.Thread(target=progress.watch, daemon=True).start()
    try:
        problem = delegate.result(progress.follow) if delegate else do(progress)
    except ChildProcessError as error:
        problem = str(error)
    except Exception as error:  # not to the log: a traceback might show the request
        problem = "unexpected: %s: %s" % (type(error).__name__, error)
    progress.close(problem)


def _delegated(do: Callable[[Progress], str], say: Say) -> str:
    """In the process that acts for a job: do it, saying how far it is."""
    progress = _Told(say)
    threading.Thread(target=progress.watch, daemon=True).start()
    return do(progress)


class Progress:
    """In the process of a job: writes its progress every half second, and ends it in time.

    count: how much of the present phase is done, in bytes or in layers. total: of how much, 0 where
    that is not known.
    """

    def __init__(self, folder: str, limit: float = 0, unasked: float = 0) -> None:
        self.count = 0
        self.total = 0
        self._folder = folder
        self._place = _opened(folder) if folder else -1
        self._limit = limit
        self._unasked = unasked
        self._started = time.monotonic()
        self._phase = FETCHING
        self._paths: Sequence[str] = ()
        self._announced: dict[str, Any] = {}

    def begin(self, phase: str, paths: Sequence[str] = ()) -> None:
        """Begin a phase. paths: files and folders whose sizes are its progress, otherwise count."""
        self.count = self.total = 0
        self._phase, self._paths = phase, paths

    def announce(self, **values: Any) -> None:
        """Let those who `look` know these as well, at once."""
        self._announced.update(values)
        self._report()

    def follow(self, state: Mapping[str, Any]) -> None:
        """Have the progress of another one, of a process that acts for this one."""
        announced = dict(state)
        self._phase = announced.pop("phase")
        self.count, self.total = announced.pop("progress"), announced.pop("total", 0)
        if announced != self._announced:
            self.announce(**announced)

    def close(self, problem: str) -> None:
        _write(self._place, _RESULT, {"phase": DONE, "problem": problem})

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

    def _state(self) -> dict[str, Any]:
        done = sum(map(size_of, self._paths)) if self._paths else self.count
        state = {"phase": self._phase, "progress": done, **self._announced}
        return {**state, "total": self.total} if self.total else state

    def _report(self) -> None:
        _write(self._place, _STATE, self._state())


class _Told(Progress):
    """Of a process that acts for a job's: says its progress to it, and ends with it."""

    def __init__(self, say: Say) -> None:
        super().__init__("")
        self._say = say
        self._parent = os.getppid()

    def watch(self) -> None:
        while os.getppid() == self._parent:
            time.sleep(_TICK)
            with suppress(OSError):
                self._report()
        _exit()

    def _report(self) -> None:
        self._say(self._state())


def _exit() -> None:
    """End this process, those that it has started, and their process groups."""
    for process in list(_descendants(os.getpid())):
        with suppress(OSError):
            os.killpg(process, signal.SIGKILL)
    with suppress(OSError):
        os.killpg(os.getpid(), signal.SIGTERM)
    os._exit(1)


def _descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in os.listdir("/proc/%d/task" % pid):
            for child in _text("/proc/%d/task/%s/children" % (pid, task)).split():
                yield int(child)
                yield from _descendants(int(child))


def size_of(path: str) -> int:
    """Of a file, or of all files in a folder: there what is on the disk, as holes are filled."""
    try:
        status = os.stat(path)
    except OSError:
        return 0
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size
    if os.path.islink(path):
        return 0
    return sum(
        _filled(os.path.join(folder, name))
        for folder, _folders, names in os.walk(path)
        for name in names
    )


def _filled(path: str) -> int:
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    return min(status.st_size, status.st_blocks * 512) if stat.S_ISREG(status.st_mode) else 0
