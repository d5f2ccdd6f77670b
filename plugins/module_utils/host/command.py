# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Run a program that may be missing, hang, crash or print anything.

Standard library and foreign.py only, since both are sent to other interpreters.
"""

from __future__ import annotations

import errno
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, cast

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

# English messages, numbers with a dot, and nothing from the login environment.
BASE_ENVIRONMENT: Mapping[str, str] = {
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
}

NOT_FOUND = "not_found"
NOT_EXECUTABLE = "not_executable"
NOT_STARTED = "not_started"
TIMED_OUT = "timed_out"
SIGNALLED = "signalled"
EXITED = "exited"

_CHUNK = 65536
# How long a child may hold the pipes open after the program itself has ended, in seconds.
_LINGER = 0.5


@dataclass(frozen=True)
class Result:
    """The result of a program.

    outcome is EXITED (code is the exit status), SIGNALLED (code is the signal's number),
    TIMED_OUT, NOT_FOUND, NOT_EXECUTABLE or NOT_STARTED; reason is a text for the last four.
    stdout and stderr are decoded with replacement, and cut in the middle when too long.
    """

    argv: tuple[str, ...]
    outcome: str
    code: int | None = None
    reason: str = ""
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.outcome == EXITED and self.code == 0

    def describe(self) -> str:
        """One line: how it ended, and its last line of output."""
        how = self.reason
        if self.outcome == EXITED:
            how = "exit status %s" % self.code
        elif self.outcome == SIGNALLED:
            how = "died by signal %s" % _signal_name(self.code or 0)
        line = foreign.shown(last_line(self.stderr) or last_line(self.stdout))
        return "%s: %s" % (how, line) if line else how


def last_line(text: str, limit: int = 300) -> str:
    """The last line that is not empty, cut to limit characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:limit] if lines else ""


def run(
    argv: Sequence[str],
    timeout: float,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: str = "/",
    limit: int = 1 << 20,
) -> Result:
    """Run argv for at most timeout seconds, without a shell; failures are returned, not raised.

    env is added to BASE_ENVIRONMENT. limit is in bytes, for each of stdout and stderr.
    All processes of its group have ended when this returns.
    """
    started = time.monotonic()
    argv = tuple(argv)
    try:
        # Not AnsibleModule.run_command: this file runs in other interpreters as well.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**BASE_ENVIRONMENT, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        outcome, reason = _why_not_started(argv[0], error)
        return Result(argv, outcome, reason=reason)
    stdout, stderr = _Buffer(limit), _Buffer(limit)
    try:
        in_time = _communicate(process, stdin.encode(), stdout, stderr, started + timeout)
    finally:
        # Not yet reaped, so that the number cannot belong to another group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            _close(stream)
    output = (stdout.text(), stderr.text(), time.monotonic() - started)
    if not in_time:
        reason = "did not end within %g s" % timeout
        return Result(argv, TIMED_OUT, None, reason, *output)
    if code < 0:
        return Result(argv, SIGNALLED, -code, "", *output)
    return Result(argv, EXITED, code, "", *output)


class _Buffer:
    """The head and the tail of a stream of any length, within limit bytes."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def add(self, data: bytes) -> None:
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        surplus = len(self._tail) - self._half
        if surplus > 0:
            del self._tail[:surplus]
            self._dropped += surplus

    def text(self) -> str:
        gap = b"\n[... %d bytes left out ...]\n" % self._dropped if self._dropped else b""
        return bytes(self._head + gap + self._tail).decode("utf-8", "replace")


def _communicate(
    process: subprocess.Popen[bytes],
    stdin: bytes,
    stdout: _Buffer,
    stderr: _Buffer,
    deadline: float,
) -> bool:
    """Feed and drain the process until it ends; False if it has not by the deadline."""
    source = cast("IO[bytes]", process.stdin)
    sinks: dict[IO[bytes], _Buffer] = {
        cast("IO[bytes]", process.stdout): stdout,
        cast("IO[bytes]", process.stderr): stderr,
    }
    pending = memoryview(stdin)
    ended: float | None = None
    with selectors.DefaultSelector() as selector:
        for stream in (source, *sinks):
            os.set_blocking(stream.fileno(), False)
            event = selectors.EVENT_WRITE if stream is source else selectors.EVENT_READ
            selector.register(stream, event)
        while True:
            now = time.monotonic()
            if ended is None and _has_ended(process.pid):
                ended = now
            reading = any(key.fileobj is not source for key in selector.get_map().values())
            if ended is not None and (not reading or now > ended + _LINGER):
                return True
            if now >= deadline:
                return ended is not None
            if not selector.get_map():
                time.sleep(0.01)  # it closed its streams and runs on
                continue
            for key, _events in selector.select(min(0.05, deadline - now)):
                stream = cast("IO[bytes]", key.fileobj)
                if stream is source:
                    pending = _feed(stream, pending)
                    finished = not pending
                else:
                    data = _read(stream)
                    sinks[stream].add(data or b"")
                    finished = data == b""
                if finished:
                    selector.unregister(stream)
                    _close(stream)


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _feed(stream: IO[bytes], pending: memoryview) -> memoryview:
    """Write what fits; the rest to write, empty once the reader has closed."""
    if not pending:
        return pending
    try:
        return pending[os.write(stream.fileno(), pending[:_CHUNK]) :]
    except BlockingIOError:
        return pending
    except OSError:
        return memoryview(b"")


def _read(stream: IO[bytes]) -> bytes | None:
    """Some bytes, none at the end of the stream, or None when there is nothing yet."""
    try:
        return os.read(stream.fileno(), _CHUNK)
    except BlockingIOError:
        return None


def _close(stream: IO[bytes] | None) -> None:
    if stream:
        with suppress(OSError):
            stream.close()


def _signal_name(number: int) -> str:
    try:
        return "%d (%s)" % (number, signal.Signals(number).name)
    except ValueError:
        return str(number)


def _why_not_started(program: str, error: Exception) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError) and not os.path.lexists(program):
        return NOT_FOUND, "%s does not exist" % program
    if isinstance(error, FileNotFoundError) and not os.path.exists(program):
        return NOT_FOUND, "%s is a broken link" % program
    if isinstance(error, FileNotFoundError):
        return NOT_EXECUTABLE, "%s exists, but its interpreter or loader does not" % program
    if os.path.isdir(program):
        return NOT_EXECUTABLE, "%s is a directory" % program
    if isinstance(error, PermissionError):
        return NOT_EXECUTABLE, "%s is not executable" % program
    if isinstance(error, OSError) and error.errno == errno.ENOEXEC:
        return NOT_EXECUTABLE, "%s is not a program that this machine can run" % program
    return NOT_STARTED, "%s could not be started: %s" % (program, error)
