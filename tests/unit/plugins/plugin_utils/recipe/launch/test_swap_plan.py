# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a launch hands to the nodes."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.swap_plan import (
    swap_plan,
)

Thing = dict[str, t.Any]
COMMON = {"members": ["198.51.100.1", "198.51.100.2"], "port": 25010, "starts": 3}
ADDRESSES = {
    node: {"address": f"192.0.2.{at}", "link_address": f"198.51.100.{at}"}
    for at, node in enumerate(("spark1", "spark2", "spark3"), 1)
}


def labels(rank: int, *, supervised: bool = True) -> dict[str, str]:
    return {
        "dgxspark.suite/recipe": "r",
        "dgxspark.suite/plan-hash": "9",
        "dgxspark.suite/rank": str(rank),
        "dgxspark.suite/supervise": json.dumps(COMMON) if supervised else "",
    }


def plan(*nodes: str, supervised: bool = True) -> Thing:
    return {
        "recipe": "new",
        "service": "main",
        "hash": "7",
        "head": nodes[0],
        "nodes": list(nodes),
        "url": "http://192.0.2.1:8000",
        "served_model_name": "m",
        "kind": ["chat"],
        "claim": "gib:1.00",
        "swap_port": 25020,
        "addresses": ADDRESSES,
        "ranks": [
            {
                "node": node,
                "rank": at,
                "name": f"dgxspark-main-{at}",
                "labels": labels(at, supervised=supervised),
            }
            for at, node in enumerate(nodes)
        ],
    }


def steps(**more: t.Any) -> Thing:
    return {"previous": {}, "remove": {"spark1": [], "spark2": [], "spark3": []}, **more}


def observed(units: t.Sequence[str] = ()) -> dict[str, Thing]:
    """spark1 and spark2 serve two ranks; those that are named have their units."""
    return {
        f"spark{rank + 1}": {
            "containers": [{"id": f"old {rank}", "labels": labels(rank)}],
            "units": [{"container": name} for name in units if name.endswith(str(rank))],
        }
        for rank in range(2)
    } | {"spark3": {"containers": [], "units": []}}


PREVIOUS = {
    "recipe": "r",
    "plan_hash": "9",
    "containers": [
        {"node": f"spark{rank + 1}", "name": f"dgxspark-main-{rank}", "id": f"old {rank}"}
        for rank in range(2)
    ],
}


def test_the_decider_is_armed_last_and_has_the_first_rank() -> None:
    swap = swap_plan(plan("spark2", "spark1"), steps(), observed())

    assert (swap["decider"], swap["order"]) == ("spark2", ["spark1", "spark2"])
    assert swap["shared"]["old"] == {}
    assert [rank["node"] for rank in swap["shared"]["new"]["ranks"]] == ["spark2", "spark1"]
    assert swap["unit"]["spark1"]["rank"] == 1
    assert (swap["probe"]["url"], swap["probe"]["kind"]) == ("http://192.0.2.1:8000", ["chat"])


def test_nodes_of_the_old_plan_and_of_leftovers_take_part() -> None:
    given = steps(previous=PREVIOUS, remove={"spark3": ["dgxspark-main-9"]})
    units = ["dgxspark-main-0", "dgxspark-main-1"]

    swap = swap_plan(plan("spark1"), given, observed(units))

    assert swap["order"] == ["spark2", "spark3", "spark1"]
    assert [(rank["id"], rank["supervised"]) for rank in swap["shared"]["old"]["ranks"]] == [
        ("old 0", True),
        ("old 1", True),
    ]
    assert swap["remove"] == {"spark1": [], "spark2": [], "spark3": ["dgxspark-main-9"]}
    assert swap["unit"]["spark2"] == swap["unit"]["spark3"] == {}
    assert set(map(bool, swap["old_unit"].values())) == {False}


def test_where_one_old_unit_is_missing_all_are_written_with_one_secret() -> None:
    given = steps(previous=PREVIOUS)

    swap = swap_plan(plan("spark1"), given, observed(["dgxspark-main-1"]))

    assert {node: spec.get("rank") for node, spec in swap["old_unit"].items()} == {
        "spark1": 0,
        "spark2": 1,
    }


def test_without_units_nothing_is_supervised() -> None:
    swap = swap_plan(plan("spark1", supervised=False), steps(), observed())

    assert swap["shared"]["new"]["ranks"][0]["supervised"] is False
    assert swap["unit"] == {"spark1": {}}
    # It is proven all the same.
    assert swap["probe"]["model"] == "m"


@pytest.mark.parametrize("fabric", [True, False])
def test_guards_use_the_fabric_where_all_are_on_it(fabric: bool) -> None:
    known = {**ADDRESSES}
    if not fabric:
        known["spark2"] = {"address": "192.0.2.2", "link_address": "192.0.2.2"}
    given = {**plan("spark1", "spark2"), "addresses": known}

    members = swap_plan(given, steps(), observed())["shared"]["members"]

    network = "198.51.100" if fabric else "192.0.2"
    assert members == {"spark1": f"{network}.1", "spark2": f"{network}.2"}


def test_a_node_without_an_address_is_named() -> None:
    given = {**plan("spark1"), "addresses": {"spark1": ADDRESSES["spark1"]}}

    with pytest.raises(ValueError, match="spark2: no IP address is known"):
        swap_plan(given, steps(previous=PREVIOUS), observed())
