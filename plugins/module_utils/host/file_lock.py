# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The holder of a POSIX lock on a file, as taken by dpkg and apt. Asking takes no lock."""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass

# struct flock where an offset has 64 bits: type, whence, start, length, pid.
_FLOCK = "hhqqi4x"


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock; command is empty if unknown."""

    pid: int
    command: str

    def __str__(self) -> str:
        return "process %d%s" % (self.pid, " (%s)" % self.command if self.command else "")


def holder(path: str, proc: str = "/proc") -> Holder | None:
    """None if there is no lock or no file; raises PermissionError."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        raise
    except OSError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _whence, _start, _length, pid = struct.unpack(
            _FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)
        )
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else Holder(pid, _command(proc, pid))


def _command(proc: str, pid: int) -> str:
    try:
        with open("%s/%d/cmdline" % (proc, pid), "rb") as stream:
            data = stream.read(4096)
    except OSError:
        return ""
    return " ".join(data.decode("utf-8", "replace").replace("\0", " ").split())[:120]
