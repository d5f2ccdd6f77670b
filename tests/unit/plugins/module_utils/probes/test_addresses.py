# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ip -json address` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.addresses import (
    ask_addresses,
    ask_facts,
    facts_of,
    parse_addresses,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.nodes import interface_of

LINKS = [
    {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]},
    {
        "ifname": "enp1s0f1np1",
        "addr_info": [
            {"local": "192.0.2.10", "prefixlen": 24, "scope": "global"},
            {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
        ],
    },
    {"ifname": "down"},
]


def test_the_addresses_that_others_reach() -> None:
    assert parse_addresses(json.dumps(LINKS)) == [
        {"interface": "enp1s0f1np1", "address": "192.0.2.10", "prefix": 24}
    ]


@pytest.mark.parametrize("text", ["", "garbage", "[1]", '[{"addr_info": [{"scope": "global"}]}]'])
def test_no_list_of_addresses(text: str) -> None:
    assert parse_addresses(text) == []


def test_without_a_tool_there_are_none() -> None:
    assert ask_addresses("", 1) == []


def test_facts_as_a_plan_reads_them() -> None:
    links = [
        *LINKS,
        {
            "ifname": "br-lan",
            "addr_info": [{"local": "169.254.3.4", "prefixlen": 16, "scope": "link"}],
        },
    ]
    found = parse_addresses(json.dumps(links), ("global", "link"))
    facts = facts_of(found, '[{"dst": "default", "dev": "enp1s0f1np1"}]')
    assert facts["default_ipv4"] == {"address": "192.0.2.10"}
    assert facts["enp1s0f1np1"]["ipv6"] == [{"address": "fe80::1"}]
    assert interface_of("169.254.3.4", facts) == "br-lan"
    assert interface_of("192.0.2.10", facts) == "enp1s0f1np1"
    assert interface_of("fe80::1", facts) == "enp1s0f1np1"
    assert interface_of("127.0.0.1", facts) is None


@pytest.mark.parametrize("routes", ["", "[]", "garbage", "[1]"])
def test_without_a_default_route(routes: str) -> None:
    assert facts_of([], routes) == {}


def test_what_ensure_fabric_noted_is_a_local_fact(tmp_path: Path) -> None:
    noted = tmp_path / "dgxspark_fabric.fact"
    assert ask_facts("", 1, str(noted)) == {}
    noted.write_text('{"address": "192.0.2.10"}')
    local = {"dgxspark_fabric": {"address": "192.0.2.10"}}
    assert ask_facts("", 1, str(noted)) == {"ansible_local": local}
    noted.write_text("torn{")
    assert ask_facts("", 1, str(noted)) == {}
