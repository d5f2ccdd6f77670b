# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the lab's nodes are joined agrees with how the address plan joins them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.filter.fabric_plan import fabric_plan

PATH = Path(__file__).parents[1] / "lab" / "cables.py"
SPEC = importlib.util.spec_from_file_location("lab_cables", PATH)
assert SPEC is not None
assert SPEC.loader is not None
cables = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(cables)

NETWORKS = [f"198.51.100.{n * 32}/27" for n in range(6)]


@pytest.mark.parametrize(("count", "topology"), [(2, "pair"), (3, "ring")])
def test_every_cable_has_a_network_of_its_own(count: int, topology: str) -> None:
    nodes = [f"spark{number}" for number in range(1, count + 1)]
    planned = {
        (node, cables.CAGES[link["cage"] or 0][link["twin"]], peer["name"])
        for node in nodes
        for link in fabric_plan(node, topology, nodes, NETWORKS)
        for peer in link["peers"]
    }
    plugged = {
        (here, interface, there)
        for ends in cables.cables(nodes)
        for (here, interface), (there, _far) in (ends, ends[::-1])
    }
    assert plugged == planned


def test_more_nodes_are_on_a_switch_and_one_is_alone() -> None:
    links = cables.cables([f"spark{number}" for number in range(1, 5)])
    assert len(links) == 8
    assert {far for _near, far in links} == {("", "switch0"), ("", "switch1")}
    assert cables.cables(["spark1"]) == []
