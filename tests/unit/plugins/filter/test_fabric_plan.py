# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The address plan of the whole fabric, node by node."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.dgxspark.suite.plugins.filter.fabric_plan import FilterModule, fabric_plan

NETWORKS = [f"198.51.100.{n * 32}/27" for n in range(6)]
THREE = ["spark1", "spark2", "spark3"]


def short(node: str, *plan: Any) -> list[tuple[int | None, int, str, list[str]]]:
    return [
        (one["cage"], one["twin"], one["address"], [peer["address"] for peer in one["peers"]])
        for one in fabric_plan(node, *plan)
    ]


def test_a_pair_has_a_network_for_each_twin() -> None:
    assert short("spark2", "pair", THREE[:2], NETWORKS) == [
        (None, 0, "198.51.100.12", ["198.51.100.11"]),
        (None, 1, "198.51.100.44", ["198.51.100.43"]),
    ]


def test_a_ring_goes_from_cage_0_to_cage_1_of_the_next() -> None:
    assert short("spark1", "ring", THREE, NETWORKS) == [
        (0, 0, "198.51.100.11", ["198.51.100.12"]),
        (0, 1, "198.51.100.43", ["198.51.100.44"]),
        (1, 0, "198.51.100.139", ["198.51.100.141"]),
        (1, 1, "198.51.100.171", ["198.51.100.173"]),
    ]
    both = [fabric_plan(node, "ring", THREE, NETWORKS) for node in THREE]
    found = {link["address"] for plan in both for link in plan}
    assert found == {peer["address"] for plan in both for link in plan for peer in link["peers"]}
    assert len(found) == 12


def test_on_a_switch_every_node_reaches_every_other_by_both_twins() -> None:
    members = [*THREE, "spark4"]
    for twin, link in enumerate(fabric_plan("spark3", "switch", members, NETWORKS)):
        assert (link["cage"], link["twin"]) == (None, twin)
        assert [peer["name"] for peer in link["peers"]] == ["spark1", "spark2", "spark4"]


def test_numbers_win_over_places() -> None:
    numbers = {"spark1": 7}
    assert fabric_plan("spark1", "pair", THREE[:2], NETWORKS, numbers)[0]["address"] == (
        "198.51.100.17"
    )


def test_without_a_topology_there_is_no_plan() -> None:
    assert fabric_plan("spark1", "", [], []) == []
    assert FilterModule().filters() == {"fabric_plan": fabric_plan}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("spark1", "star", THREE, NETWORKS), "expected pair, ring, switch"),
        (("spark1", "pair", THREE, NETWORKS), "a pair takes 2 nodes, and there are 3"),
        (("spark1", "ring", THREE[:2], NETWORKS), "a ring takes 3 nodes"),
        (("spark1", "switch", THREE[:1], NETWORKS), "a switch takes 2 or more nodes"),
        (("spark9", "pair", THREE[:2], NETWORKS), "spark9 is not one of the members"),
        (("spark1", "pair", ["spark1", "spark1"], NETWORKS), "occurs twice"),
        (("spark1", "ring", THREE, NETWORKS[:2]), "takes 6 networks"),
        (("spark1", "pair", THREE[:2], ["198.51.100.0/24", "198.51.100.128/25"]), "overlap"),
        (("spark1", "pair", THREE[:2], ["198.51.100.1/24"] * 2), "has host bits set"),
        (("spark1", "pair", THREE[:2], NETWORKS, {"spark2": 1}), "have the same addresses"),
        (("spark1", "pair", THREE[:2], NETWORKS, {"spark1": 30}), "has no address"),
        (("spark1", "pair", THREE[:2], ["198.51.100.0/29", "198.51.100.8/29"]), "has no address"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_change(given: tuple[Any, ...], why: str) -> None:
    with pytest.raises(AnsibleFilterError, match=why):
        fabric_plan(*given)
