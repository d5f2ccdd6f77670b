# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, find and end the transfers of images on a node; see image_transfer.

Each is known by a folder in /run, so that a run whose controller was killed is found by the next
one, and a reboot leaves nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command, interpreter
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import make_directories
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import image_transfer
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.image_transfer import (
    JOB,
    PROGRAM,
    STATUS,
    read,
    write,
)

FOLDER = "/run/dgxspark/images"
_TIMEOUT = "/usr/bin/timeout"
_READY_SECONDS = 10.0


def folder_of(run_dir: str, work: str, image: str) -> str:
    """Where a transfer of this image is known."""
    return os.path.join(run_dir, "%s-%s" % (work, hashlib.sha256(image.encode()).hexdigest()[:16]))


def begin(folder: str, job: dict[str, Any], seconds: int) -> None:
    """Start it, for at most that many seconds; what was there before is ended. Raises OSError."""
    end(folder)
    make_directories(folder)
    os.chmod(folder, 0o700)
    with open(os.path.join(folder, PROGRAM), "w", encoding="utf-8") as stream:
        stream.write(interpreter.sources_of([image_transfer.__name__])[image_transfer.__name__])
    write(folder, JOB, job)
    argv = [_TIMEOUT, str(seconds), sys.executable, os.path.join(folder, PROGRAM), folder]
    # It outlives this module, which AnsibleModule's own way of running does not allow.
    process = subprocess.Popen(  # pylint: disable=ansible-bad-function,consider-using-with
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(command.BASE_ENVIRONMENT),
        cwd="/",
        start_new_session=True,
    )
    write(folder, "pid", {"pid": process.pid})


def running(folder: str) -> bool:
    """Whether its process is at work."""
    return _process(folder) is not None


def _process(folder: str) -> int | None:
    pid = read(folder, "pid").get("pid")
    words = _words(pid)
    # One that has just been started has none for a moment; one that has ended has none any more.
    for _again in range(20):
        if words != [b""]:
            break
        time.sleep(0.01)
        words = _words(pid)
    # The number may be another process's by now; ours names its folder.
    return pid if folder.encode() in words else None


def _words(pid: int | None) -> list[bytes]:
    try:
        with open("/proc/%s/cmdline" % pid, "rb") as stream:
            return stream.read().split(b"\0")
    except OSError:
        return []


def status(folder: str) -> dict[str, Any]:
    """How far it is; with done and error where it has ended by itself or died."""
    # In this order: it may end between the two.
    alive = running(folder)
    found = read(folder, STATUS)
    if not alive and not found.get("done"):
        return {**found, "done": True, "error": "it was ended before it was through"}
    return found


def await_port(folder: str) -> int:
    """The port of an offer. Raises OSError where there is none."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        found = status(folder)
        if found.get("port"):
            return int(found["port"])
        if found.get("done"):
            raise OSError(found.get("error", "it has ended"))
        time.sleep(0.05)
    raise OSError("no port within %d s" % _READY_SECONDS)


def end(folder: str) -> bool:
    """End it and remove its folder; whether there was any."""
    process = _process(folder)
    if process is not None:
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGTERM)
    there = os.path.isdir(folder)
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
    return there


def root_of(docker: str) -> str:
    """The folder in which the engine keeps its images; empty where it does not say."""
    asked = command.run([docker, "info", "--format", "{{.DockerRootDir}}"], 30)
    return asked.stdout.strip() if asked.ok else ""


def size_of(docker: str, image: str) -> int:
    """Bytes of an image; 0 where it is not told."""
    asked = command.run([docker, "image", "inspect", "--format", "{{.Size}}", "--", image], 30)
    text = asked.stdout.strip()
    return int(text) if asked.ok and text.isdigit() else 0


def lacks_space(docker: str, need: int) -> str:
    """Why the engine has no room for so many bytes; empty where it has, or where nobody knows."""
    root = root_of(docker)
    if not os.path.isdir(root):
        return ""
    found = os.statvfs(root)
    free = found.f_bavail * found.f_frsize
    return "" if need <= free else "%d bytes are needed, %d are free in %s" % (need, free, root)
