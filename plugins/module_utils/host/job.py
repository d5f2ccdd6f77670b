# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on a model in a process of its own: begun by one task, asked by others how far it is.

A broken connection does not end it. It ends by itself when nobody has asked for a while. Each is
known by a folder, which has what it is (pid), how far (state), how it ended (result), and its log.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command, interpreter

PREFIX = "dgxspark-job-"

FETCHING = "fetching"
VERIFYING = "verifying"
DONE = "done"

# Nobody has asked for so long: the controller is gone.
ABANDONED_SECONDS = 60.0
_TICK = 0.5


class JobError(Exception):
    """There is no such work any more; the text says why, and what a person does."""


def start(title: str, modules: Sequence[str], request: Mapping[str, Any]) -> str:
    """Begin it; the folder by which `look` finds it. Raises OSError.

    title: in the list of processes. modules: loaded ones by name, each after what it imports; the
    last one's answer(request, sources) does the work, by `work`, and finds the folder as
    request["scratch"].
    """
    scratch = tempfile.mkdtemp(prefix=PREFIX)
    try:
        _note(scratch, "state", {"phase": FETCHING, "bytes": 0})
        descriptor = os.open(os.path.join(scratch, "log"), os.O_WRONLY | os.O_CREAT, 0o600)
        with open(descriptor, "w", encoding="utf-8") as log:
            sources = interpreter.sources_of(modules)
            asked = {**request, "scratch": scratch}
            pid = interpreter.detach([sys.executable], title, sources, asked, log)
        _note(scratch, "pid", {"pid": pid, "title": title})
    except BaseException:
        shutil.rmtree(scratch)
        raise
    return scratch


def look(scratch: str) -> dict[str, Any]:
    """How far it is: {phase, bytes}, or the end: {phase: DONE, problem}. It is forgotten then.

    Raises JobError where it is gone.
    """
    inside = os.path.dirname(scratch) == tempfile.gettempdir()
    if not inside or not os.path.basename(scratch).startswith(PREFIX):
        raise JobError("%s is no folder of ours" % scratch)
    known = _noted(scratch, "pid")
    # Before its result is read: it has written that when it is gone. The number may be another's.
    words = _text("/proc/%d/cmdline" % known.get("pid", 0)).split("\0")
    alive = bool(known) and known["title"] in words
    result = _noted(scratch, "result")
    if alive and not result:
        os.utime(os.path.join(scratch, "pid"))
        return _noted(scratch, "state")
    said = command.last_line(_text(os.path.join(scratch, "log")))
    shutil.rmtree(scratch, ignore_errors=True)
    if not result:
        gone = "it has ended without a word%s. Run again; what has arrived is kept"
        raise JobError(gone % (" (%s)" % said if said else ""))
    return result


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _noted(scratch: str, name: str) -> dict[str, Any]:
    text = _text(os.path.join(scratch, name))
    return dict(json.loads(text)) if text else {}


def _note(scratch: str, name: str, what: Mapping[str, Any]) -> None:
    path = os.path.join(scratch, name)
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump(what, stream)
    os.replace(path + ".new", path)


def work(scratch: str, do: Callable[[Progress], str]) -> None:
    """Do it, in a process of its own, and note how it ended; do returns the problem, if any."""
    progress = Progress(scratch)
    threading.Thread(target=progress.watch, daemon=True).start()
    try:
        problem = do(progress)
    except Exception as error:  # not to the log: a traceback might show the request
        problem = "unexpected: %s: %s" % (type(error).__name__, error)
    _note(scratch, "result", {"phase": DONE, "problem": problem})


class Progress:
    """Says every half second how far it is, and ends the process when nobody wants to know."""

    def __init__(self, scratch: str) -> None:
        self._scratch = scratch
        self._phase = FETCHING
        self._paths: Sequence[str] = ()
        self.verified = 0

    def of(self, phase: str, paths: Sequence[str] = ()) -> None:
        self._paths, self._phase = paths, phase

    def watch(self) -> None:
        while True:
            time.sleep(_TICK)
            looked = os.path.join(self._scratch, "pid")
            with suppress(OSError):
                if time.time() - os.stat(looked).st_mtime > ABANDONED_SECONDS:
                    shutil.rmtree(self._scratch, ignore_errors=True)
                    os._exit(1)
                _note(self._scratch, "state", {"phase": self._phase, "bytes": self._bytes()})

    def _bytes(self) -> int:
        if self._phase == VERIFYING:
            return self.verified
        return sum(_size(path) for path in self._paths)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
