# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.nodes import (
    interface_of,
    node,
)

# The shape of ansible_facts on a Spark: keys have _ where the interface has -; twins, one VLAN.
FACTS: dict[str, t.Any] = {
    "interfaces": ["lo", "enP7s7", "enp1s0f0np0", "enp1s0f0np0.7", "br-lan", "docker0"],
    "default_ipv4": {"address": "192.0.2.1", "interface": "enP7s7"},
    "lo": {"device": "lo", "ipv4": {"address": "127.0.0.1"}},
    "enP7s7": {"device": "enP7s7", "ipv4": {"address": "192.0.2.1"}},
    "enp1s0f0np0": {
        "device": "enp1s0f0np0",
        "ipv4": {"address": "169.254.1.1"},
        "ipv4_secondaries": [{"address": "198.51.100.1"}],
        "ipv6": [{"address": "fe80::1"}, {"address": "2001:db8::1"}],
    },
    "br_lan": {"device": "br-lan", "ipv4": {"address": "203.0.113.1"}},
    "docker0": {"device": "docker0"},
}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "enP7s7"),
        ("198.51.100.1", "enp1s0f0np0"),
        ("2001:db8::1", "enp1s0f0np0"),
        ("203.0.113.1", "br-lan"),
        ("198.51.100.99", None),
    ],
)
def test_the_interface_is_the_one_that_carries_the_address(
    address: str, expected: str | None
) -> None:
    assert interface_of(address, FACTS) == expected


# The second link has gone since.
TOLD = {
    "dgxspark_fabric": {
        "topology": "pair",
        "address": "198.51.100.1",
        "links": [
            {"interface": "enp1s0f0np0", "address": "198.51.100.1", "hca": "rocep1s0f0"},
            {"interface": "enP2p1s0f0np0", "address": "198.51.100.129", "hca": "roceP2p1s0f0"},
        ],
    }
}
HOST = {
    "ansible_host": "192.0.2.1",
    "dgxspark_fabric_address": "198.51.100.1",
    "ansible_facts": FACTS,
}


@pytest.mark.parametrize(
    ("given", "known", "expected"),
    [
        ("spark1", HOST, Node("spark1", "192.0.2.1", "198.51.100.1", "enp1s0f0np0")),
        ({"name": "spark1"}, HOST, Node("spark1", "192.0.2.1", "198.51.100.1", "enp1s0f0np0")),
        (
            {"name": "spark1", "address": "192.0.2.9", "fabric_interface": "x0"},
            HOST,
            Node("spark1", "192.0.2.9", "198.51.100.1", "x0"),
        ),
        (
            "spark1",
            {**HOST, "dgxspark_address": "203.0.113.5"},
            Node("spark1", "203.0.113.5", "198.51.100.1", "enp1s0f0np0"),
        ),
        (
            "spark1",
            {"ansible_host": "spark1.local", "ansible_facts": FACTS},
            Node("spark1", "192.0.2.1", None, "enP7s7"),
        ),
        ("spark1", {"ansible_host": "192.0.2.1"}, Node("spark1", "192.0.2.1", None, None)),
        (
            "spark1",
            {"ansible_host": "192.0.2.1", "ansible_facts": {**FACTS, "ansible_local": TOLD}},
            Node("spark1", "192.0.2.1", "198.51.100.1", "enp1s0f0np0", ("rocep1s0f0",), "pair"),
        ),
        (
            "spark1",
            {**HOST, "ansible_facts": {**FACTS, "ansible_local": {"dgxspark_fabric": "garbage"}}},
            Node("spark1", "192.0.2.1", "198.51.100.1", "enp1s0f0np0"),
        ),
    ],
)
def test_a_node_comes_from_what_is_given_then_variables_then_facts(
    given: object, known: dict[str, t.Any], expected: Node
) -> None:
    assert node(given, {"spark1": known}) == expected


@pytest.mark.parametrize("given", ["spark1", {"address": "192.0.2.1"}, {}])
def test_a_node_without_name_or_address_is_refused(given: object) -> None:
    with pytest.raises(RecipeError, match="no IP address is known"):
        node(given, {"spark1": {"ansible_host": "spark1.local"}})
