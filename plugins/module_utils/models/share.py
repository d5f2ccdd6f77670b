# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Offer a directory to other nodes for the time of a copy, as a background job; and copy from it.

Nodes need not trust each other by SSH. The job listens on one address, admits the named clients by
a secret, reads as the owner of the directory, and ends by itself at a time limit. Both ends prove
that they know the secret, and what arrives is verified; see host/channel.py. No rsync: its daemon
proves nothing to its clients.

A client asks for one file after the other, {path, offset}. The answer is {size} or {problem}, then
the content from that offset.
"""

from __future__ import annotations

import json
import os
import posixpath
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import (
    channel,
    command,
    findings,
    foreign,
    handshake,
    interpreter,
    job,
    safe_folder,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner

TITLE = "dgxspark-offer:"

# One who sends or takes nothing for so long is gone, in seconds.
_QUIET_SECONDS = 120.0
_ABOUT = "model"
_MODE = 0o644

# What runs in the process of an offer; each finds its imports before.
_HOST = (command, interpreter, findings, safe_folder, handshake, channel)
_MODULES = (*(module.__name__ for module in _HOST), Owner.__module__, job.__name__, __name__)


class ShareError(Exception):
    """The directory cannot be offered, or a file not be copied; the text says why."""


def start(
    folder: str, address: str, clients: Sequence[str], secret: str, seconds: int
) -> tuple[str, int]:
    """Offer a directory for at most that many seconds; the job that `job.end` takes, the port.

    Raises ShareError or OSError, and then nothing is left.
    """
    request = {
        "folder": folder,
        "address": address,
        "clients": list(clients),
        "secret": secret,
    }
    scratch = job.start(TITLE + folder, _MODULES, request, limit=seconds)
    try:
        return scratch, int(job.announced(scratch, "port"))
    except job.JobError as error:
        job.end(scratch)
        raise ShareError(str(error)) from None


def answer(request: dict[str, Any], _sources: interpreter.Sources) -> None:
    """What the process does that `start` has started."""

    def serve(progress: job.Progress) -> str:
        try:
            return _serve(request, progress)
        except OSError as error:
            return "%s: %s" % (request["address"], error)

    try:
        whose = Owner.reader_of(request["folder"])
    except (findings.Blocked, OSError) as error:
        refusal = str(error)
        job.work(request, lambda _progress: refusal)
    else:
        job.work(request, serve, whose)


def _serve(request: Mapping[str, Any], progress: job.Progress) -> str:
    """Answer clients until the job ends."""
    address = request["address"]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def give(taker: channel.Channel) -> None:
        while question := taker.receive():
            _give(taker, request["folder"], question)

    with socket.create_server((address, 0), family=family) as listening:
        progress.begin(job.OFFERING)
        progress.announce(port=listening.getsockname()[1])
        clients, secret = request["clients"], request["secret"]
        channel.serve(listening, clients, secret, _ABOUT, _QUIET_SECONDS, give)
    return "the offer has ended"


def _give(taker: channel.Channel, folder: str, question: bytes) -> None:
    """Send one file, or why not. Raises OSError."""
    try:
        path, offset = _asked(question)
        descriptor = _opened(os.path.join(folder, path))
    except (ValueError, OSError) as error:
        taker.send(json.dumps({"problem": str(error)}).encode())
        return
    with open(descriptor, "rb") as stream:
        size = os.fstat(descriptor).st_size
        taker.send(json.dumps({"size": size}).encode())
        stream.seek(offset)
        left = size - offset
        while left > 0:
            data = stream.read(min(left, channel.FRAME))
            if not data:
                raise channel.ChannelError("%s has become shorter" % path)
            taker.send(data)
            left -= len(data)


def _opened(path: str) -> int:
    """Raises OSError for what is no file; a pipe, which nobody may ever write, opens at once."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("%s is not a file" % path)
    return descriptor


def _asked(question: bytes) -> tuple[str, int]:
    """Raises ValueError."""
    asked = foreign.json_of(question)
    try:
        path, offset = asked["path"], asked["offset"]
    except (TypeError, KeyError):
        raise ValueError("not a question") from None
    if not isinstance(path, str) or not inside(path) or not is_size(offset):
        raise ValueError("not a file of this offer")
    return path, offset


def inside(path: str) -> bool:
    """Whether a relative path is normal and stays below its folder."""
    return (
        bool(path)
        and path.isprintable()
        and posixpath.normpath(path) == path
        and path.split("/")[0] not in ("", ".", "..")
    )


def is_size(value: object) -> bool:
    """Whether a value of somebody else is a number of bytes. True is an int as well."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 60


def fetch(
    source: tuple[str, int, str],
    files: Sequence[tuple[str, str, int]],
    make_folders: Callable[[str], None],
) -> None:
    """Copy files of an offer; what an earlier copy has of them is kept. ShareError, OSError.

    source: address, port and secret of the offer. files: (path there, path here, bytes).
    """
    address, port, secret = source
    with channel.join(address, port, secret, _ABOUT, _QUIET_SECONDS) as giver:
        for path, here, size in files:
            make_folders(os.path.dirname(here))
            descriptor = os.open(here, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, _MODE)
            with open(descriptor, "wb") as stream:
                os.fchmod(descriptor, _MODE)
                offset = os.fstat(descriptor).st_size
                if offset > size:
                    os.ftruncate(descriptor, 0)
                    offset = 0
                stream.seek(offset)
                _take(giver, path, offset, size, stream.write)
        giver.send(b"")


def _take(
    giver: channel.Channel, path: str, offset: int, size: int, write: Callable[[bytes], Any]
) -> None:
    giver.send(json.dumps({"path": path, "offset": offset}).encode())
    said = foreign.json_of(giver.receive())
    if not isinstance(said, dict) or said.get("size") != size:
        why = said.get("problem") if isinstance(said, dict) else None
        raise ShareError("%s: %s" % (path, foreign.shown(str(why or "it has changed there"))))
    while offset < size:
        data = giver.receive()
        if not data or offset + len(data) > size:
            raise ShareError("%s: it has changed there" % path)
        write(data)
        offset += len(data)
