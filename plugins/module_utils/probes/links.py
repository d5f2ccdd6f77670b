# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The network interfaces of a node, its default routes, and the address of the SSH session."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text

_SECONDS = 10.0


@dataclass(frozen=True)
class Link:
    """One interface. carrier is None where it is down; addresses are IPv4, with their prefix.

    link_local are the IPv4 addresses of the link alone, with their prefix; local are all addresses,
    of IPv6 as well, without it. master: the bond, bridge or VRF that it belongs to. parent: the
    interface that it is a VLAN or a virtual interface of. Both are empty for none.
    """

    name: str
    mac: str = ""
    mtu: int = 0
    up: bool = False
    carrier: bool | None = None
    addresses: tuple[str, ...] = ()
    master: str = ""
    parent: str = ""
    link_local: tuple[str, ...] = ()
    local: tuple[str, ...] = ()


def ask_links(ip: str) -> Mapping[str, Link]:
    """Name -> interface, by `ip`, whose path is empty where there is none."""
    result = run([ip, "-json", "address", "show"], _SECONDS) if ip else None
    return parse_links(result.stdout) if result and result.ok else {}


def parse_links(text: str) -> dict[str, Link]:
    """Empty for text that `ip -json address show` does not print."""
    try:
        links = [_link(record) for record in _objects(text)]
    except (ValueError, TypeError, AttributeError, OverflowError):
        return {}
    return {link.name: link for link in links}


def _link(record: Mapping[str, Any]) -> Link:
    flags = record.get("flags") or []
    up = "UP" in flags
    entries = [entry for entry in record.get("addr_info") or [] if entry.get("local")]
    scopes: dict[str, list[str]] = {"global": [], "link": []}
    for entry in entries:
        if entry.get("family") == "inet" and entry.get("scope") in scopes:
            address = "%s/%s" % (entry["local"], entry.get("prefixlen"))
            scopes[entry["scope"]].append(address)
    return Link(
        str(record.get("ifname")),
        str(record.get("address") or ""),
        int(record.get("mtu") or 0),
        up,
        "LOWER_UP" in flags if up else None,
        tuple(scopes["global"]),
        str(record.get("master") or ""),
        str(record.get("link") or ""),
        tuple(scopes["link"]),
        tuple(str(entry["local"]) for entry in entries),
    )


def stacked(links: Mapping[str, Link], name: str) -> tuple[str, ...]:
    """The interfaces that use this one: its bond or bridge, its VLANs, and what uses those."""
    users: list[str] = []
    waiting = [name]
    while waiting:
        lower = waiting.pop(0)
        master = links[lower].master if lower in links else ""
        upper = [master] if master else []
        upper += [link.name for link in links.values() if link.parent == lower]
        # The two ends of a veth pair name each other; neither is on top.
        below = links[lower].parent if lower in links else ""
        fresh = [other for other in upper if other not in (name, below, *users)]
        users += fresh
        waiting += fresh
    return tuple(users)


def ask_default_routes(ip: str) -> tuple[str, ...]:
    """The interfaces of the default routes, the preferred one first."""
    interfaces: list[str] = []
    for family in ("-4", "-6"):
        result = run([ip, family, "-json", "route", "show", "default"], _SECONDS) if ip else None
        interfaces += parse_routes(result.stdout) if result and result.ok else []
    return tuple(dict.fromkeys(interfaces))


def parse_routes(text: str) -> list[str]:
    """The interfaces in `ip -json route show`, the lowest metric first; empty for other text."""
    try:
        routes = sorted(_objects(text), key=lambda route: int(route.get("metric") or 0))
    except (ValueError, TypeError, OverflowError):
        return []
    return [str(route["dev"]) for route in routes if route.get("dev")]


def _objects(text: str) -> list[dict[str, Any]]:
    try:
        values = foreign.json_of(text or "[]")
    except ValueError:
        return []
    return (
        [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
    )


def session_address(environ: Mapping[str, str], pid: int = 0, proc: str = "/proc") -> str:
    """The address of this node that the present SSH session uses; empty without one.

    sudo removes the variable, so the parent processes are read as well.
    """
    said = environ.get("SSH_CONNECTION", "")
    pid = pid or os.getpid()
    while not said and pid > 1:
        said = _variable(os.path.join(proc, str(pid), "environ"), b"SSH_CONNECTION=")
        pid = _parent(os.path.join(proc, str(pid), "stat"))
    # client, its port, our address, our port
    words = said.split()
    return words[2] if len(words) == 4 else ""


def _variable(path: str, name: bytes) -> str:
    try:
        with open(path, "rb") as stream:
            entries = stream.read().split(b"\0")
    except OSError:
        return ""
    return next(
        (
            entry[len(name) :].decode("utf-8", "replace")
            for entry in entries
            if entry.startswith(name)
        ),
        "",
    )


def _parent(path: str) -> int:
    try:
        # The name in brackets may hold anything.
        return int((read_text(path) or "").rpartition(")")[2].split()[1])
    except (ValueError, IndexError):
        return 0
