# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of the links between the nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fabric_plan
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: Compute the links of a node from a plan of the fabric
description:
  - In a V(pair) two nodes are connected by one cable, in a V(switch) any number of nodes by one
    cable each. Interface 0 of the port pair of every node is in the first network, interface 1 in
    the second.
  - In a V(ring) three nodes are connected by three cables, each from cage 0 of a node to cage 1 of
    the next. Both interfaces of every cable have their own network, six in all.
  - The address of a node is that of the network plus ten plus the number of the node.
  - Fails, with a hint, if the plan is impossible, or gives two nodes the same address or a node two
    links in one subnet.
options:
  _input:
    description: Name of the node.
    type: str
    required: true
  topology:
    description: V(pair), V(ring), V(switch), or empty for no plan.
    type: str
    required: true
  members:
    description: The names of all nodes, in order.
    type: list
    elements: str
    required: true
  networks:
    description: The IPv4 networks, such as V(198.51.100.0/25).
    type: list
    elements: str
    required: true
  numbers:
    description: Node to number, for nodes whose number is not their position in O(members).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show the links of this node
  ansible.builtin.debug:
    msg: >-
      {{ inventory_hostname | dgxspark.suite.fabric_plan('pair', ['spark1', 'spark2'],
         ['198.51.100.0/25', '198.51.100.128/25']) }}

# In an inventory: the address of a node for the others, from the same plan.
# dgxspark_fabric_address: >-
#   {{ (inventory_hostname | dgxspark.suite.fabric_plan(dgxspark_fabric_topology,
#       groups['spark_heads'] + groups['spark_workers'], dgxspark_fabric_networks))[0].address }}
"""

RETURN = r"""
_value:
  description: The links, as O(dgxspark.suite.ensure_fabric#module:links).
  type: list
  elements: dict
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible.errors import AnsibleFilterError

# Node n has the address of the network + 10 + n.
_FIRST = 10
_TWINS = (0, 1)


@dataclass(frozen=True)
class _Cable:
    """The nodes of a network: node -> cage, None if the plan does not specify it."""

    twin: int
    ends: Mapping[str, int | None]


def fabric_plan(
    node: str,
    topology: str,
    members: Sequence[str],
    networks: Sequence[str],
    numbers: Mapping[str, int] | None = None,
) -> list[dict[str, Any]]:
    """The links; see DOCUMENTATION."""
    if not topology:
        return []
    if node not in members:
        raise AnsibleFilterError(
            f"fabric_plan: {node} is not one of the members, {', '.join(members) or 'none'}"
        )
    cables = _cables(topology, members)
    given = _networks(networks, len(cables), topology)
    number = _numbers(members, numbers or {})
    links = []
    for cable, network in zip(cables, given, strict=False):
        addresses = {name: _address(network, number[name], name) for name in cable.ends}
        if node not in addresses:
            continue
        links.append(
            {
                "cage": cable.ends[node],
                "twin": cable.twin,
                "address": addresses[node],
                "prefix": network.prefixlen,
                "peers": [
                    {"name": name, "address": address}
                    for name, address in addresses.items()
                    if name != node
                ],
            }
        )
    return links


def _cables(topology: str, members: Sequence[str]) -> list[_Cable]:
    if len(set(members)) != len(members):
        raise AnsibleFilterError("fabric_plan: a node occurs twice in the members")
    takes = {"pair": (2, 2), "ring": (3, 3), "switch": (2, 200)}
    if topology not in takes:
        raise AnsibleFilterError(f"fabric_plan: {topology!r}: expected {', '.join(takes)}")
    least, most = takes[topology]
    if not least <= len(members) <= most:
        raise AnsibleFilterError(
            f"fabric_plan: a {topology} takes {least}{' or more' if most > least else ''} nodes, "
            f"and there are {len(members)}. Name them: dgxspark_fabric_members"
        )
    if topology != "ring":
        return [_Cable(twin, dict.fromkeys(members)) for twin in _TWINS]
    return [
        _Cable(twin, {members[at]: 0, members[(at + 1) % len(members)]: 1})
        for at in range(len(members))
        for twin in _TWINS
    ]


def _networks(given: Sequence[str], count: int, topology: str) -> list[ipaddress.IPv4Network]:
    try:
        networks = [ipaddress.IPv4Network(text) for text in given]
    except ValueError as error:
        raise AnsibleFilterError(f"fabric_plan: dgxspark_fabric_networks: {error}") from error
    if len(networks) < count:
        raise AnsibleFilterError(
            f"fabric_plan: a {topology} takes {count} networks, one for each interface of each "
            f"cable, and dgxspark_fabric_networks has {len(networks)}"
        )
    for at, network in enumerate(networks[:count]):
        for other in networks[:at]:
            if network.overlaps(other):
                raise AnsibleFilterError(
                    f"fabric_plan: {other} and {network} overlap, and each interface needs its own "
                    "subnet. Change dgxspark_fabric_networks"
                )
    return networks[:count]


def _numbers(members: Sequence[str], numbers: Mapping[str, int]) -> dict[str, int]:
    assigned: dict[str, int] = {}
    for place, name in enumerate(members, start=1):
        number = int(numbers.get(name, place))
        for other, taken in assigned.items():
            if taken == number:
                raise AnsibleFilterError(
                    f"fabric_plan: {other} and {name} would have the same addresses, number "
                    f"{number}. Change dgxspark_fabric_numbers"
                )
        assigned[name] = number
    return assigned


def _address(network: ipaddress.IPv4Network, number: int, name: str) -> str:
    place = _FIRST + number
    if not 0 < place < network.num_addresses - 1:
        raise AnsibleFilterError(
            f"fabric_plan: {name} has number {number}, for which {network} has no address"
        )
    return str(network[place])


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"fabric_plan": fabric_plan}
