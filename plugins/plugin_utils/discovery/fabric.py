# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which port is cabled to which node, and the variables of the fabric that follow from it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.dgxspark.suite.plugins.filter.fabric_plan import fabric_plan
from ansible_collections.dgxspark.suite.plugins.plugin_utils.discovery.nodes import Node

# The third private range of RFC 1918, without the networks that home routers and Docker use first.
_PRIVATE = ipaddress.IPv4Network((0xC0A8 << 16, 16))
FREE = list(_PRIVATE.subnets(new_prefix=24))[177:]
_COUNTS = {"pair": 2, "switch": 2, "ring": 6}

# node -> cage -> the (node, cage) that answer there
Reach = Mapping[str, Mapping[int, frozenset[tuple[str, int]]]]


@dataclass(frozen=True)
class Fabric:
    """The proposal. order: the nodes, the head first. why: the reason for it, or for none."""

    order: tuple[str, ...]
    why: str
    topology: str = ""
    networks: tuple[str, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    # node -> further variables
    hosts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def planned(self) -> bool:
        """Whether the nodes have addresses for each other, now or by the plan."""
        return bool(self.topology or self.hosts)


def propose(nodes: Sequence[Node]) -> Fabric:
    """A plan that exists on the nodes, their addresses, or a plan for the cables as they are."""
    order = tuple(node.name for node in nodes)
    if len(nodes) < 2:
        return Fabric(order, "One node needs no fabric.")
    existing = _existing_plan(nodes) or _existing_addresses(nodes)
    if existing:
        return existing
    if problem := _obstacle(nodes):
        return Fabric(order, problem)
    return _planned(nodes)


def reach_of(nodes: Sequence[Node]) -> Reach:
    """Which cage of which node answers behind each cage."""
    owners: dict[str, tuple[str, int]] = {}
    for node in nodes:
        cages = {name: p.cage for p in node.ports for name in (p.interface, *p.users)}
        for interface, address, _prefix in node.addresses:
            if interface in cages:
                owners[address] = (node.name, cages[interface])
    reach: dict[str, dict[int, set[tuple[str, int]]]] = {node.name: {} for node in nodes}
    for node in nodes:
        for port in node.ports:
            for address in port.neighbours:
                peer = owners.get(address)
                if peer and peer[0] != node.name:
                    # One side that hears the other proves the cable.
                    reach[node.name].setdefault(port.cage, set()).add(peer)
                    reach[peer[0]].setdefault(peer[1], set()).add((node.name, port.cage))
    return {
        name: {cage: frozenset(peers) for cage, peers in sorted(cages.items())}
        for name, cages in reach.items()
    }


def cables(nodes: Sequence[Node]) -> list[str]:
    """One line for each cage with a cable, for a person."""
    reach = reach_of(nodes)
    lines = []
    for node in nodes:
        for cage in node.cabled:
            names = [p.interface for p in node.ports if p.cage == cage and p.state == "cabled"]
            peers = sorted(reach[node.name].get(cage, ()))
            there = " and ".join(f"cage {number} of {name}" for name, number in peers)
            lines.append(f"{node.name} cage {cage} ({', '.join(names)}): {there or 'no Spark'}")
    return lines


def _existing_plan(nodes: Sequence[Node]) -> Fabric | None:
    """The plan that the fabric role has applied to all nodes, from its local facts."""
    topology = (nodes[0].fabric or {}).get("topology")
    rows = {node.name: _links(node) for node in nodes}
    if any((node.fabric or {}).get("topology") != topology for node in nodes):
        return None
    if not isinstance(topology, str) or topology not in _COUNTS or not all(rows.values()):
        return None
    names = tuple(node.name for node in nodes)
    for order in permutations(names) if topology == "ring" else (names,):
        numbers = {name: _number(rows[name][0]) for name in order}
        if numbers == {name: place for place, name in enumerate(order, start=1)}:
            numbers = {}
        links = rows[order[0]]
        if topology == "ring":
            # The links of a node are those of its cages 0 and 1, in the order of the cables.
            links = [
                link for at, name in enumerate(order) for link in rows[name][2 * (at > 0) :][:2]
            ]
        networks = tuple(str(link.network) for link in links)
        if all(_follows(rows[name], name, topology, order, networks, numbers) for name in order):
            why = "The address plan that the nodes have already."
            hosts = {} if topology == "ring" else _cages(nodes, reach_of(nodes))
            return Fabric(order, why, topology, networks, numbers, hosts)
    return None


def _links(node: Node) -> list[ipaddress.IPv4Interface]:
    """The addresses in the local facts, with their networks; none if one is missing."""
    present = {str(one.ip): one for _name, one in node.on_ports()}
    links = (node.fabric or {}).get("links")
    if not isinstance(links, list) or not all(isinstance(link, Mapping) for link in links):
        return []
    wanted = [str(link.get("address")) for link in links]
    return [present[one] for one in wanted] if set(wanted) <= set(present) else []


def _number(link: ipaddress.IPv4Interface) -> int:
    return int(link.ip) - int(link.network.network_address) - 10


def _follows(
    links: Sequence[ipaddress.IPv4Interface],
    name: str,
    topology: str,
    order: Sequence[str],
    networks: Sequence[str],
    numbers: Mapping[str, int],
) -> bool:
    """Whether a node has exactly the addresses of that plan."""
    try:
        planned = fabric_plan(name, topology, order, networks, numbers)
    except AnsibleFilterError:
        return False
    return sorted(link["address"] for link in planned) == sorted(str(link.ip) for link in links)


def _existing_addresses(nodes: Sequence[Node]) -> Fabric | None:
    """Addresses of the ports in a network that all nodes share, set up by somebody else."""
    order = tuple(node.name for node in nodes)
    for _interface, first in nodes[0].on_ports():
        chosen = {nodes[0].name: first.ip}
        for node in nodes[1:]:
            same = [one.ip for _name, one in node.on_ports() if one.network == first.network]
            if same:
                chosen[node.name] = same[0]
        if len(chosen) == len(nodes) and len(set(chosen.values())) == len(nodes):
            hosts = {name: {"dgxspark_fabric_address": str(ip)} for name, ip in chosen.items()}
            why = f"The ports have addresses in {first.network} already; they are kept."
            return Fabric(order, why, hosts=hosts)
    return None


def _obstacle(nodes: Sequence[Node]) -> str:
    """Why there can be no plan; empty for nothing."""
    for node in nodes:
        if not node.ports:
            return (
                f"{node.name} has no visible ConnectX-7 port; without a cable the card may be"
                " absent from PCI. Plug in the cable and run this again."
            )
        if used := [port for port in node.ports if port.users]:
            return (
                f"{used[0].interface} of {node.name} belongs to {' and '.join(used[0].users)}."
                " Ports of a bond, a bridge or a VLAN are never configured: remove that first, or"
                " give it addresses that all nodes share."
            )
        if has := node.on_ports():
            return (
                f"{has[0][0]} of {node.name} has {has[0][1]}, in a network that not all nodes"
                " share. Remove that configuration first, or set dgxspark_fabric_topology by hand."
            )
        if not node.cabled:
            down = [port.interface for port in node.ports if port.state == "down"]
            if down:
                return (
                    f"{' and '.join(down)} of {node.name} are down, so that a cable is not"
                    f" detected. On {node.name}: sudo ip link set {down[0]} up"
                )
            return f"{node.name} has no cable in a ConnectX-7 port. Plug it in and run this again."
    return ""


def _planned(nodes: Sequence[Node]) -> Fabric:
    reach = reach_of(nodes)
    order = tuple(node.name for node in nodes)
    ring = _ring(order, reach)
    if ring:
        return _with_networks(nodes, ring, "ring", "Three cables connect the nodes in a ring.", {})
    lonely = [name for name in order if not _central(name, order, reach)]
    if not lonely:
        topology = "pair" if len(nodes) == 2 else "switch"
        why = "Each node answers on the cabled port of the others."
        return _with_networks(nodes, order, topology, why, _cages(nodes, reach))
    if len(nodes) == 3 and all(len(reach[name]) == 2 for name in order):
        why = (
            "The cables form a ring, but not each from cage 0 of a node to cage 1 of the next."
            " Plug them so."
        )
        return Fabric(order, why)
    why = (
        f"{' and '.join(lonely)}: not all other nodes answer on one cabled port. See the cables"
        " above; the node at the other end must be running, with IPv6 on the port."
    )
    return Fabric(order, why)


def _central(name: str, order: Sequence[str], reach: Reach) -> list[int]:
    """The cages on which all other nodes answer."""
    others = set(order) - {name}
    return [
        cage for cage, peers in reach[name].items() if others <= {other for other, _cage in peers}
    ]


def _ring(order: Sequence[str], reach: Reach) -> tuple[str, ...]:
    """The nodes in an order with a cable from cage 0 of each to cage 1 of the next, or none."""
    if len(order) != 3:
        return ()
    for ring in ((order[0], order[1], order[2]), (order[0], order[2], order[1])):
        ends = zip(ring, (*ring[1:], ring[0]), strict=True)
        if all(
            reach[here].get(0) == frozenset({(there, 1)})
            and reach[there].get(1) == frozenset({(here, 0)})
            for here, there in ends
        ):
            return ring
    return ()


def _cages(nodes: Sequence[Node], reach: Reach) -> dict[str, dict[str, Any]]:
    """The cage of each node that has a cable in both, where the role cannot know which one."""
    order = [node.name for node in nodes]
    chosen = {node.name: _central(node.name, order, reach) for node in nodes}
    return {
        node.name: {"dgxspark_fabric_cage": chosen[node.name][0]}
        for node in nodes
        if len(node.cabled) > 1 and chosen[node.name]
    }


def _with_networks(
    nodes: Sequence[Node],
    order: tuple[str, ...],
    topology: str,
    why: str,
    hosts: Mapping[str, Mapping[str, Any]],
) -> Fabric:
    used = [ipaddress.IPv4Network(network) for node in nodes for network in node.networks]
    used += [
        ipaddress.IPv4Interface(f"{address}/{prefix}").network
        for node in nodes
        for _interface, address, prefix in node.addresses
        if ":" not in address
    ]
    free = [network for network in FREE if not any(network.overlaps(other) for other in used)]
    if len(free) < _COUNTS[topology]:
        return Fabric(
            order,
            f"{why} The nodes use all networks from {FREE[0]} to {FREE[-1]}: choose"
            f" {_COUNTS[topology]} networks for dgxspark_fabric_networks by hand.",
        )
    networks = tuple(str(network) for network in free[: _COUNTS[topology]])
    return Fabric(order, why, topology, networks, {}, hosts)
