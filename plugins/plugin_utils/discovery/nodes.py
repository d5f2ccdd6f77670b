# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers of spark_info as nodes: which are Sparks, and what each is called."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

_SPARK = re.compile(r"GB10|DGX[ _-]?Spark", re.IGNORECASE)
# What becomes part of an inventory, in which "{{" would be a template.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")
_PATH = re.compile(r"(?:/[A-Za-z0-9_.@+-]+)+")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True)
class Port:
    """An interface of a cage, and the link-local addresses that answer on it."""

    interface: str
    cage: int
    state: str
    users: tuple[str, ...] = ()
    neighbours: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Node:
    """A machine that answered. given: how it was named; fixed: whether name is the inventory's."""

    given: str
    name: str
    address: str
    user: str = ""
    local: bool = False
    fixed: bool = False
    ports: tuple[Port, ...] = ()
    # (interface, address, prefix), the IPv6 addresses of one link included
    addresses: tuple[tuple[str, str, int], ...] = ()
    networks: tuple[str, ...] = ()
    fabric: Mapping[str, Any] | None = None
    rdma: bool = False
    cache: str = ""
    cached: str = ""
    sudo: str = ""
    key: str = ""
    why_not: str = ""

    @property
    def cabled(self) -> tuple[int, ...]:
        """The cages with a cable."""
        return tuple(sorted({port.cage for port in self.ports if port.state == "cabled"}))

    def on_ports(self) -> list[tuple[str, ipaddress.IPv4Interface]]:
        """The IPv4 addresses of the ports, and of the bonds and so on above, in their order."""
        names = [name for port in self.ports for name in (port.interface, *port.users)]
        found = [
            (name, ipaddress.IPv4Interface(f"{address}/{prefix}"))
            for name in dict.fromkeys(names)
            for interface, address, prefix in self.addresses
            if interface == name and ":" not in address
        ]
        return [(name, one) for name, one in found if not one.ip.is_link_local]


def node_of(
    given: str, info: Mapping[str, Any], *, user: str = "", local: bool = False, fixed: bool = False
) -> Node:
    """The node that a module's answer describes. Raises ValueError for another answer."""
    try:
        machine = info["machine"]
        addresses = tuple(_address(entry) for entry in info["addresses"])
        if not _USER.fullmatch(info["user"]):
            raise ValueError(f"user {info['user']}")
        ports = tuple(
            Port(
                foreign.line(str(port["interface"])),
                int(port["cage"]),
                str(port["state"]),
                tuple(foreign.line(str(user)) for user in port["users"]),
                frozenset(str(ipaddress.ip_address(one)) for one in port["neighbours"]),
            )
            for port in info["ports"]
        )
        return Node(
            given,
            given if fixed else _name(str(machine["hostname"])),
            _management(given, info, addresses, ports),
            user or info["user"],
            local,
            fixed,
            ports,
            addresses,
            tuple(str(ipaddress.IPv4Network(network)) for network in info["networks"]),
            info["fabric"] if isinstance(info["fabric"], Mapping) else {},
            bool(info["rdma"]),
            info["cache"]["path"] if _PATH.fullmatch(info["cache"]["path"]) else "",
            _cached(info["cache"]),
            str(info["sudo"]),
            str(machine["key"]).strip(),
            _why_no_spark(machine),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        text = f"the answer of spark_info cannot be used: {type(error).__name__}: {error}"
        raise ValueError(foreign.line(text)) from error


def _address(entry: Mapping[str, Any]) -> tuple[str, str, int]:
    """Interface, address, prefix."""
    both = ipaddress.ip_interface(f"{entry['address']}/{entry['prefix']}")
    return foreign.line(str(entry["interface"])), str(both.ip), both.network.prefixlen


def _name(hostname: str) -> str:
    """A name for an inventory; empty where the hostname is none, or that of an image."""
    short = hostname.lower().partition(".")[0]
    return short if _NAME.fullmatch(short) and short not in ("localhost", "ubuntu") else ""


def _why_no_spark(machine: Mapping[str, Any]) -> str:
    texts = [foreign.line(str(machine[key])) for key in ("product", "gpu", "release")]
    if any(_SPARK.search(text) for text in texts):
        return ""
    return (
        f"it is no DGX Spark: product {texts[0] or 'unknown'}, GPU {texts[1] or 'none'}."
        " Take it all the same: -e any_machine=true"
    )


def _management(
    given: str,
    info: Mapping[str, Any],
    addresses: Sequence[tuple[str, str, int]],
    ports: Sequence[Port],
) -> str:
    """The address of the SSH session; over a port of the fabric, that of the default route."""
    fabric = {name for port in ports for name in (port.interface, *port.users)}
    outside = [
        (interface, address)
        for interface, address, _prefix in addresses
        if interface not in fabric and not ipaddress.ip_address(address).is_link_local
    ]
    session = str(info["session"])
    if session in [address for _interface, address in outside]:
        return session
    ways = [address for interface, address in outside if interface == info["default_interface"]]
    return min(ways, key=lambda address: ":" in address, default=given)


def _cached(cache: Mapping[str, Any]) -> str:
    """What lies in the cache, for a person."""
    if not cache["path"]:
        return ""
    count = int(cache["repositories"])
    size = f"{int(cache['size']) / (1 << 30):.0f} GiB"
    size = size if cache["counted"] else f"more than {size}"
    return f"{count} {'repository' if count == 1 else 'repositories'}, {size}"


def sorted_out(
    nodes: Sequence[Node], any_machine: bool = False
) -> tuple[tuple[Node, ...], dict[str, str]]:
    """Those for the inventory, each with a name of its own; and given -> why it is left out."""
    left_out: dict[str, str] = {}
    chosen: list[Node] = []
    for node in nodes:
        same = next((one for one in chosen if one.key and one.key == node.key), None)
        if node.why_not and not any_machine:
            left_out[node.given] = node.why_not
        elif same:
            left_out[node.given] = f"it is the same machine as {same.given}"
        else:
            chosen.append(node)
    return tuple(_named(chosen)), left_out


def _named(nodes: Sequence[Node]) -> list[Node]:
    taken = {node.name for node in nodes if node.fixed}
    named = []
    for number, node in enumerate(nodes, start=1):
        if not node.fixed:
            base = node.name or f"spark{number}"
            names = [base, *(f"{base}-{suffix}" for suffix in range(2, len(nodes) + 2))]
            node = replace(node, name=next(name for name in names if name not in taken))
        taken.add(node.name)
        named.append(node)
    return named
