# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of a node."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.command import run


def ask_addresses(ip: str, timeout: float) -> list[dict[str, Any]]:
    """Run `ip`, whose path is empty where there is none. timeout is in seconds."""
    if not ip:
        return []
    told = run([ip, "-json", "address", "show"], timeout)
    return parse_addresses(told.stdout) if told.ok else []


def parse_addresses(text: str) -> list[dict[str, Any]]:
    """interface, address, prefix of each address but loopback and link-local ones, in order."""
    try:
        found = [
            {
                "interface": link["ifname"],
                "address": one["local"],
                "prefix": int(one["prefixlen"]),
            }
            for link in json.loads(text)
            for one in link.get("addr_info", [])
            if one.get("scope") == "global"
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return sorted(found, key=lambda one: (one["interface"], one["address"]))
