# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Who answers on a link without an address plan, and which networks a node uses.

Every interface that is up has an IPv6 address for its link only, and answers the group of all
nodes of that link. ping needs no root for it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run

_ANSWER = re.compile(r"^\d+ bytes from (fe80:[0-9a-f:]+)", re.MULTILINE | re.IGNORECASE)
_SECONDS = 10.0


def ask_neighbours(ping: str, interfaces: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Interface -> the link-local addresses that answer on it. ping: its path, empty for none."""
    names = list(dict.fromkeys(interfaces))
    if not ping or not names:
        return {}
    # -L: not this node itself. Without root ping asks a group once a second at most, and binds no
    # interface: the address names it.
    argv = [ping, "-6", "-n", "-L", "-c", "2", "-W", "1"]

    def answers(name: str) -> tuple[str, ...]:
        return parse_answers(run([*argv, f"ff02::1%{name}"], _SECONDS).stdout)

    with ThreadPoolExecutor(max_workers=8) as pool:
        return dict(zip(names, pool.map(answers, names)))


def parse_answers(text: str) -> tuple[str, ...]:
    """The addresses in the output of ping, sorted."""
    found = set()
    for address in _ANSWER.findall(text):
        try:
            # A colon follows the address where ping names no interface.
            found.add(str(ipaddress.IPv6Address(address.rstrip(":") or address)))
        except ValueError:
            continue
    return tuple(sorted(found))


def ask_networks(ip: str) -> tuple[str, ...]:
    """The IPv4 networks that this node has a route to, the default route left out."""
    result = run([ip, "-4", "-json", "route", "show"], _SECONDS) if ip else None
    return parse_networks(result.stdout) if result and result.ok else ()


def parse_networks(text: str) -> tuple[str, ...]:
    """Those in `ip -json route show`; none for other text."""
    try:
        routes = foreign.json_of(text or "[]")
        given = [str(route.get("dst", "")) for route in routes]
    except (ValueError, TypeError, AttributeError):
        return ()
    networks = []
    for destination in given:
        try:
            networks.append(str(ipaddress.IPv4Network(destination, strict=False)))
        except ValueError:  # "default"
            continue
    return tuple(dict.fromkeys(networks))
