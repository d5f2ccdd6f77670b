# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of outages as a file of JSON lines, which is also the state between two runs.

The time of the last observation is the file's modification time.
"""

from __future__ import annotations

import fcntl
import json
import os
import typing as t
from contextlib import contextmanager, suppress

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.outages import (
    Line,
    Observation,
    State,
    continued,
    of_json,
    reduce,
    restored,
    to_json,
)

LIMIT = 5 << 20  # bytes, then the file is rotated
BEFORE = ".1"  # the end of the name of the file before
# Characters of a line; those that are written have less.
_LINE = 1 << 16


def read(path: str) -> tuple[State, list[Line]]:
    """The state, and all lines of the file and of the one before. Raises OSError.

    Text that is not a line of the log is ignored, such as a last line that a crash has cut off.
    """
    state = State()
    lines: list[Line] = []
    for name in (path + BEFORE, path):
        with suppress(FileNotFoundError), open(name, encoding="utf-8", errors="replace") as stream:
            # A new file begins with the state, so that both can be read one after the other.
            lines += _lines(stream)
            state = restored(lines, int(os.fstat(stream.fileno()).st_mtime))
    return state, lines


def _lines(stream: t.Iterable[str]) -> t.Iterator[Line]:
    for text in stream:
        with suppress(ValueError):
            yield of_json(foreign.json_of(text, _LINE))


def observe(
    path: str, observations: t.Sequence[Observation], limit: int = LIMIT
) -> tuple[State, list[Line]]:
    """Read the file, add what the observations change, and return as read. Raises OSError.

    limit: bytes of a file that is rotated before the next line. Two processes that observe at the
    same time wait for each other.
    """
    with _locked(path):
        state, lines = read(path)
        after, more = reduce(state, observations)
        _append(path, more, state, limit)
        if after.watched is not None:
            os.utime(path, (after.watched, after.watched))
    return after, [*lines, *more]


class Log:
    """The file for a process that observes often, which reads it again only if another has written.

    state, lines: after the last observation.
    """

    def __init__(self, path: str, limit: int = LIMIT) -> None:
        self._path, self._limit = path, limit
        self._known: tuple[int, int] | None = None
        self.state = State()
        self.lines: list[Line] = []

    def observe(self, observations: t.Sequence[Observation]) -> list[Line]:
        """As the function; returns only the lines that are new. Raises OSError."""
        with _locked(self._path):
            before = self._size()
            if before != self._known:
                self.state, self.lines = read(self._path)
            after, more = reduce(self.state, observations)
            _append(self._path, more, self.state, self._limit)
            if after.watched is not None:
                os.utime(self._path, (after.watched, after.watched))
            now = self._size()
            self.state, self.lines = after, [*self.lines, *more] if more else self.lines
            # A new file begins without the oldest lines.
            self._known = now if before and now and now[0] == before[0] else None
        return more

    def _size(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_size


@contextmanager
def _locked(path: str) -> t.Iterator[None]:
    with open(path + ".lock", "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _append(path: str, lines: t.Sequence[Line], before: State, limit: int) -> None:
    """Add lines, on disk when this returns. before: the state without them."""
    with suppress(FileNotFoundError):
        if lines and os.path.getsize(path) > limit:
            _rotate(path, before)
    with open(path, "a+b") as stream:
        end = stream.seek(0, os.SEEK_END)
        if end:
            stream.seek(end - 1)
            # After a crash the last line may have no end.
            stream.write(b"" if stream.read(1) == b"\n" else b"\n")
        stream.write(_text(lines))
        if lines:
            stream.flush()
            os.fsync(stream.fileno())


def _rotate(path: str, state: State) -> None:
    draft = path + ".new"
    with open(draft, "wb") as stream:
        stream.write(_text(continued(state)))
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path, path + BEFORE)
    os.replace(draft, path)
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _text(lines: t.Iterable[Line]) -> bytes:
    return b"".join(
        json.dumps(to_json(line), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        for line in lines
    )
