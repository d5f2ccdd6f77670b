# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which TCP ports somebody listens on, and who, read from /proc."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

_LISTEN = "0A"  # TCP_LISTEN in include/net/tcp_states.h
_CONTAINER = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope)?$", re.MULTILINE)


@dataclass(frozen=True)
class Listener:
    """One listening TCP port.

    pid, process and container (64 hex digits) are None where they cannot be seen: finding the owner
    of another user's socket takes root.
    """

    port: int
    pid: Optional[int] = None
    process: Optional[str] = None
    container: Optional[str] = None


def parse_listening(table: str) -> Iterator[Tuple[int, str]]:
    """(port, socket inode) of each listening line of a /proc/net/tcp or tcp6 table."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTEN:
            yield int(fields[1].rpartition(":")[2], 16), fields[9]


def parse_container(cgroup: str) -> Optional[str]:
    """The container id that a /proc/PID/cgroup table names last, innermost; None outside containers."""
    found: List[str] = _CONTAINER.findall(cgroup)
    return found[-1] if found else None


def listeners(proc: Path = Path("/proc")) -> List[Listener]:
    """All TCP listeners of this network namespace, by port."""
    inodes: Dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        try:
            inodes.update(
                (inode, port) for port, inode in parse_listening((proc / "net" / table).read_text())
            )
        except OSError:  # a kernel without IPv6
            continue
    owners = _owners(proc, set(inodes))
    found = {
        Listener(port, *(_describe(proc, owners[inode]) if inode in owners else ()))
        for inode, port in inodes.items()
    }
    return sorted(found, key=lambda listener: (listener.port, listener.pid or 0))


def _owners(proc: Path, inodes: "set[str]") -> Dict[str, int]:
    """Socket inode -> id of the lowest process that holds it open."""
    wanted = {"socket:[%s]" % inode: inode for inode in inodes}
    owners: Dict[str, int] = {}
    for pid in sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()):
        try:
            links = [os.readlink(entry.path) for entry in os.scandir(proc / str(pid) / "fd")]
        except OSError:  # gone meanwhile, or not ours to read
            continue
        for link in links:
            if link in wanted:
                owners.setdefault(wanted[link], pid)
    return owners


def _describe(proc: Path, pid: int) -> Tuple[int, Optional[str], Optional[str]]:
    try:
        name = (proc / str(pid) / "comm").read_text().strip()
        return pid, name, parse_container((proc / str(pid) / "cgroup").read_text())
    except OSError:
        return pid, None, None
