# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Offer one folder to other nodes for the time of a copy: rsync's daemon, read-only, by a secret.

Nodes need not trust each other by SSH, and nothing is encrypted twice on a cable between them. The
daemon listens on one address, lets in the named clients alone, and ends by itself after a while.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress

from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner

PREFIX = "dgxspark-share-"
USER = "dgxspark"
MODULE = "model"
RSYNC = "/usr/bin/rsync"
_TIMEOUT = "/usr/bin/timeout"
_READY_SECONDS = 10.0


class ShareError(Exception):
    """The folder cannot be offered; the text says why."""


def configuration(
    folder: str, scratch: str, address: str, port: int, clients: Sequence[str], owner: Owner
) -> str:
    """rsyncd.conf; as root, the daemon reads as the owner of the folder.

    Raises ShareError for a folder that it cannot name.
    """
    if "%" in folder or folder != folder.strip() or not folder.isprintable():
        raise ShareError("%r cannot be offered: its name has characters that rsync reads" % folder)
    lines = [
        "address = %s" % address,
        "port = %d" % port,
        "use chroot = no",
        *(["uid = %d" % owner.uid, "gid = %d" % owner.gid] if owner.root_acts else []),
        "log file = %s" % os.path.join(scratch, "log"),
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
    """Offer folder for at most that many seconds; the scratch folder that `stop` takes, the port.

    Raises ShareError or OSError, and then nothing is left.
    """
    for program in (RSYNC, _TIMEOUT):
        if not os.access(program, os.X_OK):
            raise ShareError("%s is missing: install rsync and coreutils" % program)
    scratch = tempfile.mkdtemp(prefix=PREFIX)
    try:
        port = _free_port(address)
        _write(scratch, "secret", "%s:%s\n" % (USER, secret))
        text = configuration(folder, scratch, address, port, clients, Owner.of(folder))
        _write(scratch, "rsyncd.conf", text)
        argv = [
            *(_TIMEOUT, str(seconds), RSYNC, "--daemon", "--no-detach"),
            "--config=%s" % os.path.join(scratch, "rsyncd.conf"),
        ]
        # It outlives this module, which AnsibleModule's own way of running does not allow.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function,consider-using-with
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        _write(scratch, "pid", "%d\n" % process.pid)
        _await(process, address, port, scratch)
    except BaseException:
        stop(scratch)
        raise
    return scratch, port


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as listening:
        return int(listening.getsockname()[1])


def _write(folder: str, name: str, text: str) -> None:
    descriptor = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def _await(process: subprocess.Popen[bytes], address: str, port: int, scratch: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(OSError), socket.create_connection((address, port), 1):
            return
        time.sleep(0.1)
    raise ShareError("rsync does not listen on %s: %s" % (address, _read(scratch, "log")[-300:]))


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def stop(scratch: str) -> bool:
    """End an offer of `start` and remove what it needed; whether there was any."""
    inside = os.path.dirname(scratch) == tempfile.gettempdir()
    if not inside or not os.path.basename(scratch).startswith(PREFIX):
        raise ShareError("%s is no folder of ours" % scratch)
    if not os.path.isdir(scratch):
        return False
    pid = _read(scratch, "pid")
    # The number may be another process's by now; ours names its configuration.
    if pid.isdigit() and scratch in _read("/proc/%s" % pid, "cmdline"):
        with suppress(ProcessLookupError):
            os.killpg(int(pid), signal.SIGTERM)
    shutil.rmtree(scratch)
    return True
