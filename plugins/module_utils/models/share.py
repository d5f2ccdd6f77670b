# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Offer a directory to other nodes for the time of a copy: an rsync daemon, as a background job.

Nodes need not trust each other by SSH, and nothing is encrypted on a cable between them. The daemon
listens on one address, is read-only, admits the named clients by a secret, and ends by itself at a
time limit.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import (
    command,
    findings,
    interpreter,
    job,
    safe_folder,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner

TITLE = "dgxspark-offer:"
USER = "dgxspark"
MODULE = "model"
RSYNC = "/usr/bin/rsync"
_TIMEOUT = "/usr/bin/timeout"
_READY_SECONDS = 8.0

# What runs in the process of an offer; each finds its imports before.
_HOST = (command, interpreter, findings, safe_folder)
_MODULES = (*(module.__name__ for module in _HOST), Owner.__module__, job.__name__, __name__)


class ShareError(Exception):
    """The directory cannot be offered; the text says why."""


def configuration(
    folder: str, scratch: str, address: str, port: int, clients: Sequence[str], owner: Owner
) -> str:
    """rsyncd.conf; as root, the daemon reads as the owner of the directory.

    Raises ShareError for a directory that it cannot name.
    """
    if "%" in folder or folder != folder.strip() or not folder.isprintable():
        raise ShareError("%r cannot be offered: its name has characters that rsync reads" % folder)
    lines = [
        "address = %s" % address,
        "port = %d" % port,
        "use chroot = no",
        *(["uid = %d" % owner.uid, "gid = %d" % owner.gid] if owner.root_acts else []),
        "log file = %s" % os.path.join(scratch, "rsync.log"),
        "max connections = 32",
        "timeout = 120",
        "[%s]" % MODULE,
        "path = %s" % folder,
        "read only = yes",
        "list = no",
        "munge symlinks = no",
        "hosts allow = %s" % " ".join(clients),
        "hosts deny = *",
        "auth users = %s" % USER,
        "secrets file = %s" % os.path.join(scratch, "secret"),
    ]
    return "".join("%s\n" % line for line in lines)


def start(
    folder: str, address: str, clients: Sequence[str], secret: str, seconds: int
) -> tuple[str, int]:
    """Offer a directory for at most that many seconds; the job that `job.end` takes, the port.

    Raises ShareError or OSError, and then nothing is left.
    """
    for program in (RSYNC, _TIMEOUT):
        if not os.access(program, os.X_OK):
            raise ShareError("%s is missing: install rsync and coreutils" % program)
    request = {
        "folder": folder,
        "address": address,
        "clients": list(clients),
        "secret": secret,
        "seconds": seconds,
        "rsync": RSYNC,
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
        except (ShareError, OSError) as error:
            return str(error)

    job.work(request, serve)


def _serve(request: Mapping[str, Any], progress: job.Progress) -> str:
    """Run the daemon until it ends, which it does not by itself; the reason."""
    scratch, address = request["job"]["folder"], request["address"]
    with socket.create_server((address, 0)) as listening:
        port = int(listening.getsockname()[1])
    _write(scratch, "secret", "%s:%s\n" % (USER, request["secret"]))
    whose = Owner.of(request["folder"])
    text = configuration(request["folder"], scratch, address, port, request["clients"], whose)
    _write(scratch, "rsyncd.conf", text)
    # The limit of the job ends it; this one, where the job itself was killed.
    argv = [
        *(_TIMEOUT, "--foreground", str(request["seconds"]), request["rsync"]),
        *("--daemon", "--no-detach", "--config=%s" % os.path.join(scratch, "rsyncd.conf")),
    ]
    # A child of the job's process group, which ends with it.
    process = subprocess.Popen(  # pylint: disable=ansible-bad-function,consider-using-with
        argv, stdin=subprocess.DEVNULL
    )
    if _listens(process, address, port):
        progress.begin(job.OFFERING)
        progress.announce(port=port)
        process.wait()
        return "rsync has ended"
    process.terminate()
    return "rsync does not listen on %s: %s" % (address, _read(scratch, "rsync.log")[-300:])


def _listens(process: subprocess.Popen[bytes], address: str, port: int) -> bool:
    deadline = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((address, port), 1):
            return True
        time.sleep(0.1)
    return False


def _write(folder: str, name: str, text: str) -> None:
    descriptor = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return ""
