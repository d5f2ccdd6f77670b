# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The addresses of a node."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text


def ask_addresses(
    ip: str, timeout: float, scopes: Sequence[str] = ("global",)
) -> list[dict[str, Any]]:
    """Run `ip`; its path is empty if not installed. timeout is in seconds."""
    if not ip:
        return []
    result = run([ip, "-json", "address", "show"], timeout)
    return parse_addresses(result.stdout, scopes) if result.ok else []


def parse_addresses(text: str, scopes: Sequence[str] = ("global",)) -> list[dict[str, Any]]:
    """interface, address, prefix of each address of these scopes, sorted; loopback is `host`."""
    try:
        addresses = [
            {
                "interface": str(link["ifname"]),
                "address": str(entry["local"]),
                "prefix": int(entry["prefixlen"]),
            }
            for link in foreign.json_of(text)
            for entry in link.get("addr_info", [])
            if entry.get("scope") in scopes
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return sorted(addresses, key=lambda entry: (entry["interface"], entry["address"]))


# The local fact of Ansible that ensure_fabric writes for launches.
FABRIC_FACT = "/etc/ansible/facts.d/dgxspark_fabric.fact"


def ask_facts(ip: str, timeout: float, fabric_fact: str = FABRIC_FACT) -> dict[str, Any]:
    """The facts about interfaces that a launch plan needs, in the form of Ansible's facts.

    Much faster than gathering facts.
    """
    # A direct cable between two nodes may have link-local addresses.
    addresses = ask_addresses(ip, timeout, ("global", "link"))
    routes = run([ip, "-json", "route", "show", "default"], timeout) if ip else None
    facts = facts_of(addresses, routes.stdout if routes and routes.ok else "")
    with suppress(ValueError):  # without this fact a launch uses the inventory
        facts["ansible_local"] = {"dgxspark_fabric": foreign.json_of(read_text(fabric_fact) or "")}
    return facts


def facts_of(addresses: list[dict[str, Any]], routes: str) -> dict[str, Any]:
    """Interface -> `device`, `ipv4`, `ipv6`; and `default_ipv4`. routes: of `ip -json route`."""
    facts: dict[str, Any] = {}
    for address in addresses:
        link = facts.setdefault(
            address["interface"].replace("-", "_"),
            {"device": address["interface"], "ipv4": [], "ipv6": []},
        )
        link["ipv6" if ":" in address["address"] else "ipv4"].append(
            {"address": address["address"]}
        )
    try:
        device = foreign.json_of(routes or "[]")[0]["dev"]
    except (ValueError, LookupError, TypeError):
        device = ""
    for link in list(facts.values()):
        if link["device"] == device and link["ipv4"]:
            facts["default_ipv4"] = link["ipv4"][0]
    return facts
