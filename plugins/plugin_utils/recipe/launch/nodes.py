# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of a launch, from what the inventory says and what Ansible has gathered about them."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import is_ip


def node(given: t.Any, hostvars: t.Mapping[str, t.Any]) -> Node:
    """A Node from a host's name, or from a map {name, address, fabric_address, fabric_interface}.

    What the map leaves out comes from the host's variables (dgxspark_address, else ansible_host if
    it is an IP address, else the address of the default route; dgxspark_fabric_address, else what
    ensure_fabric has left on the node, where the node still has it) and facts.
    Raises RecipeError if there is no address. The interface may stay unknown; one rank needs none.
    """
    entry: t.Mapping[str, t.Any] = given if isinstance(given, t.Mapping) else {"name": given}
    name = str(entry.get("name") or "")
    known = hostvars.get(name) or {}
    facts = known.get("ansible_facts") or {}
    address = (
        entry.get("address") or known.get("dgxspark_address") or _ansible_address(known, facts)
    )
    if not name or not address:
        raise RecipeError(
            f"node {name or repr(given)}: no IP address is known. Set dgxspark_address (or "
            "ansible_host) to one, or gather its facts before the launch"
        )
    noted, hcas, topology = _links(facts)
    fabric = entry.get("fabric_address") or known.get("dgxspark_fabric_address") or noted or None
    interface = entry.get("fabric_interface") or interface_of(fabric or address, facts)
    return Node(
        name,
        str(address),
        str(fabric) if fabric else None,
        str(interface) if interface else None,
        hcas,
        topology,
    )


def _links(facts: t.Mapping[str, t.Any]) -> tuple[str, tuple[str, ...], str]:
    """Fabric address, RoCE devices and topology, as ensure_fabric noted them.

    What is gone is ignored.
    """
    local = facts.get("ansible_local")
    noted = local.get("dgxspark_fabric") if isinstance(local, t.Mapping) else None
    links = noted.get("links") if isinstance(noted, t.Mapping) else None
    live = [
        link
        for link in (links if isinstance(links, list) else [])
        if isinstance(link, t.Mapping)
        and interface_of(str(link.get("address")), facts) == link.get("interface")
    ]
    recorded = noted if isinstance(noted, t.Mapping) and live else {}
    address = str(recorded.get("address") or "")
    there = address in [link.get("address") for link in live]
    hcas = tuple(str(link["hca"]) for link in live if link.get("hca"))
    return address if there else "", hcas, str(recorded.get("topology") or "")


def interface_of(address: str, facts: t.Mapping[str, t.Any]) -> str | None:
    """The interface that carries the address, from ansible_facts; None if it is not known."""
    for fact in facts.values():
        if not isinstance(fact, t.Mapping) or "device" not in fact:
            continue
        first = fact.get("ipv4") or {}
        entries = [
            *([first] if isinstance(first, t.Mapping) else first),
            *(fact.get("ipv4_secondaries") or []),
            *(fact.get("ipv6") or []),
        ]
        if any(entry.get("address") == address for entry in entries):
            return str(fact["device"])
    return None


def _ansible_address(known: t.Mapping[str, t.Any], facts: t.Mapping[str, t.Any]) -> str | None:
    host = str(known.get("ansible_host") or "")
    if is_ip(host):
        return host
    return (facts.get("default_ipv4") or {}).get("address")
