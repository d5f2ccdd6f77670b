# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The network interfaces of a node, its default routes, and where somebody is logged in."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import read_text

_SECONDS = 10.0


@dataclass(frozen=True)
class Link:
    """One interface. carrier is None where it is down; addresses are IPv4, with their prefix."""

    name: str
    mac: str = ""
    mtu: int = 0
    up: bool = False
    carrier: bool | None = None
    addresses: tuple[str, ...] = ()


def ask_links(ip: str) -> Mapping[str, Link]:
    """Name -> interface, by `ip`, whose path is empty where there is none."""
    told = run([ip, "-json", "address", "show"], _SECONDS) if ip else None
    return parse_links(told.stdout) if told and told.ok else {}


def parse_links(text: str) -> dict[str, Link]:
    found = {}
    for one in _objects(text):
        flags = one.get("flags") or []
        up = "UP" in flags
        addresses = tuple(
            "%s/%s" % (entry.get("local"), entry.get("prefixlen"))
            for entry in one.get("addr_info") or []
            if entry.get("family") == "inet" and entry.get("scope") == "global"
        )
        name = str(one.get("ifname"))
        carrier = "LOWER_UP" in flags if up else None
        mac, mtu = str(one.get("address") or ""), int(one.get("mtu") or 0)
        found[name] = Link(name, mac, mtu, up, carrier, addresses)
    return found


def ask_default_routes(ip: str) -> tuple[str, ...]:
    """The interfaces of the default routes, the preferred one first."""
    found: list[str] = []
    for family in ("-4", "-6"):
        told = run([ip, family, "-json", "route", "show", "default"], _SECONDS) if ip else None
        routes = _objects(told.stdout) if told and told.ok else []
        routes.sort(key=lambda route: int(route.get("metric") or 0))
        found += [str(route["dev"]) for route in routes if route.get("dev")]
    return tuple(dict.fromkeys(found))


def _objects(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def session_address(environ: Mapping[str, str], pid: int = 0, proc: str = "/proc") -> str:
    """The address of this node to which whoever runs this is logged in by SSH; empty for nobody.

    sudo takes the variable away that tells, so the processes above this one are asked as well.
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
    return next((one[len(name) :].decode() for one in entries if one.startswith(name)), "")


def _parent(path: str) -> int:
    try:
        # The name in brackets may hold anything.
        return int((read_text(path) or "").rpartition(")")[2].split()[1])
    except (ValueError, IndexError):
        return 0
