# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Listening TCP ports and their processes, from /proc."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

# TCP_ESTABLISHED and TCP_LISTEN in include/net/tcp_states.h
_ESTABLISHED, _LISTEN = "01", "0A"
# Address and port.
_ENDPOINT = re.compile(r"(?:[0-9A-F]{8}|[0-9A-F]{32}):[0-9A-F]{4}")
# docker-ID.scope, docker/ID and libpod-ID.scope, and what lies below (…/init.scope).
_CONTAINER = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?(?=/|$)", re.MULTILINE)


# The head's store and each node's scheduler. Ray's other processes overwrite their environment with
# their title; they require a token where these do.
_RAY = ("gcs_server", "raylet")
_RAY_ASKS = "RAY_AUTH_MODE=token"


@dataclass(frozen=True)
class Listener:
    """One listening TCP port.

    pid, process and container (64 hex digits) are None if unknown: finding the owner of another
    user's socket requires root.
    """

    port: int
    pid: int | None = None
    process: str | None = None
    container: str | None = None


@dataclass(frozen=True)
class RayPort:
    """One listening TCP port of Ray, and its address (0.0.0.0 or :: for all).

    asks: whether the process was started with Ray's token authentication.
    """

    address: str
    port: int
    pid: int
    process: str
    asks: bool


def parse_bound(table: str) -> Iterator[tuple[str, int, str]]:
    """(address, port, socket inode) of each listening line of a /proc/net/tcp or tcp6 table."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTEN and _ENDPOINT.fullmatch(fields[1]):
            address, _colon, port = fields[1].rpartition(":")
            yield _address(address), int(port, 16), fields[9]


def parse_listening(table: str) -> Iterator[tuple[int, str]]:
    """(port, socket inode) of each listening line of a /proc/net/tcp or tcp6 table."""
    return ((port, inode) for _address, port, inode in parse_bound(table))


def parse_peers(table: str) -> Iterator[tuple[int, str]]:
    """(own port, other address) of each connection of a /proc/net/tcp or tcp6 table."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        if (
            len(fields) > 3
            and fields[3] == _ESTABLISHED
            and all(map(_ENDPOINT.fullmatch, fields[1:3]))
        ):
            yield int(fields[1].rpartition(":")[2], 16), _address(fields[2].rpartition(":")[0])


def _address(word: str) -> str:
    """The kernel prints words of four bytes in the byte order of this machine."""
    data = bytes.fromhex(word)
    ordered = b"".join(
        int.from_bytes(data[at : at + 4], "big").to_bytes(4, sys.byteorder)
        for at in range(0, len(data), 4)
    )
    address = ipaddress.ip_address(ordered)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def peers(port: int, proc: Path = Path("/proc")) -> list[str]:
    """The addresses that have a connection to a port of this network namespace."""
    addresses = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            text = (proc / "net" / table).read_text()
            addresses |= {address for own, address in parse_peers(text) if own == port}
    return sorted(addresses)


def parse_container(cgroup: str) -> str | None:
    """The innermost container that a /proc/PID/cgroup table names; None outside containers."""
    matches: list[str] = _CONTAINER.findall(cgroup)
    return matches[-1] if matches else None


def listeners(proc: Path = Path("/proc")) -> list[Listener]:
    """All TCP listeners of this network namespace, by port."""
    inodes: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        try:
            inodes.update(
                (inode, port) for port, inode in parse_listening((proc / "net" / table).read_text())
            )
        except OSError:  # a kernel without IPv6
            continue
    owners = _owners(proc, set(inodes))
    sockets = {
        Listener(port, *(_describe(proc, owners[inode]) if inode in owners else ()))
        for inode, port in inodes.items()
    }
    return sorted(sockets, key=lambda listener: (listener.port, listener.pid or 0))


def ray_ports(proc: Path = Path("/proc")) -> list[RayPort]:
    """The TCP ports of Ray in this network namespace, in a container or not, by port."""
    owners: dict[str, int] = {}
    for pid in _pids(proc):
        if _name(proc, pid) in _RAY:
            for link in _descriptors(proc / str(pid) / "fd"):
                owners.setdefault(link, pid)
    ports = []
    for table in ("tcp", "tcp6") if owners else ():
        with suppress(OSError):
            for address, port, inode in parse_bound((proc / "net" / table).read_text()):
                pid = owners.get("socket:[%s]" % inode, 0)
                if pid:
                    ports.append(RayPort(address, port, pid, _name(proc, pid), _asks(proc, pid)))
    return sorted(ports, key=lambda entry: (entry.port, entry.address))


def _asks(proc: Path, pid: int) -> bool:
    try:
        text = (proc / str(pid) / "environ").read_text("utf-8", "replace")
    except OSError:  # the process is gone, or not ours to read
        return False
    return _RAY_ASKS in text.split("\0")


def unprotected(ports: Iterable[RayPort], links: Collection[str]) -> list[RayPort]:
    """The ports of Ray that ask for no token and that are reachable from other networks.

    links: the addresses of this node that only the other nodes reach. Pure.
    """
    return [
        port
        for port in ports
        if not port.asks
        and port.address not in links
        and not ipaddress.ip_address(port.address).is_loopback
    ]


def _owners(proc: Path, inodes: set[str]) -> dict[str, int]:
    """Socket inode -> id of the lowest process that holds it open."""
    wanted = {"socket:[%s]" % inode: inode for inode in inodes}
    owners: dict[str, int] = {}
    for pid in _pids(proc):
        for link in _descriptors(proc / str(pid) / "fd"):
            if link in wanted:
                owners.setdefault(wanted[link], pid)
    return owners


def _pids(proc: Path) -> list[int]:
    return sorted(int(entry.name) for entry in proc.iterdir() if foreign.is_whole(entry.name))


def _name(proc: Path, pid: int) -> str:
    """The name of a process; empty if it is gone."""
    with suppress(OSError):
        # A program chooses its own name, of any bytes.
        return (proc / str(pid) / "comm").read_text("utf-8", "replace").strip()
    return ""


def _descriptors(folder: Path) -> Iterator[str]:
    """The targets of the open descriptors of a process."""
    try:
        names = os.listdir(folder)
    except OSError:  # the process is gone, or not ours to read
        return
    for name in names:
        # A busy server closes connections while we look.
        with suppress(OSError):
            yield os.readlink(folder / name)


def _describe(proc: Path, pid: int) -> tuple[int, str | None, str | None]:
    try:
        # A program chooses its own name, of any bytes.
        name = foreign.line((proc / str(pid) / "comm").read_text("utf-8", "replace").strip())
        return pid, name, parse_container((proc / str(pid) / "cgroup").read_text("utf-8"))
    except OSError:
        return pid, None, None
