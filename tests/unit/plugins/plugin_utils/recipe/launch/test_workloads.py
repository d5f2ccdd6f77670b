# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of several nodes, told as the workloads that they are the ranks of."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.workloads import (
    workloads,
)

Thing = dict[str, t.Any]


def rank(number: int, recipe: str = "a", status: str = "running", **labels: str) -> Thing:
    told = {
        "workload": recipe,
        "recipe": recipe,
        "rank": str(number),
        "ranks": "2",
        "plan-hash": "7d3d",
        "recipe-path": f"/r/{recipe}.yaml",
        "overrides": '{"port": 9000}',
        "served-model-name": f"{recipe}-served",
        "url": "http://192.0.2.1:9000",
        **labels,
    }
    return {
        "name": f"dgxspark-{recipe}-{number}",
        "ours": True,
        "status": status,
        "started": "2026-11-22T03:18:32Z",
        "labels": {f"dgxspark.suite/{key}": value for key, value in told.items()},
    }


def seen(*nodes: list[Thing]) -> dict[str, Thing]:
    return {f"spark{index}": {"containers": found} for index, found in enumerate(nodes, 1)}


def test_the_ranks_of_two_nodes_are_one_workload() -> None:
    foreign = {**rank(0), "ours": False}
    # The head need not be the node that is named first.
    told = {"image-facts": '{"pins": {"TRITON_PTXAS_PATH": "/p"}}'}
    pinned = rank(0, **told)
    (found,) = workloads(seen([rank(1), foreign], [pinned]))
    ranks = found.pop("ranks")
    assert [(one["rank"], one["node"]) for one in ranks] == [(0, "spark2"), (1, "spark1")]
    assert found == {
        "recipe": "a",
        "recipe_path": "/r/a.yaml",
        "overrides": {"port": 9000},
        "plan_hash": "7d3d",
        "served_model_name": "a-served",
        "url": "http://192.0.2.1:9000",
        "head": "spark2",
        "container": "dgxspark-a-0",
        "nodes": ["spark2", "spark1"],
        "image_facts": {"spark2": {"pins": {"TRITON_PTXAS_PATH": "/p"}}, "spark1": {}},
        "state": "running",
        "ray": [],
    }


def test_what_keeps_a_rank_and_who_is_in_ray_is_told_with_it() -> None:
    unit = {"container": "dgxspark-a-0", "recipe": "a", "plan": "7d3d", "pid": 7}
    told = {
        "state": "active",
        "enabled": True,
        "restarts": 1,
        "status_text": "waits for the supervisors of 192.0.2.2",
        "down": {"at": 1764000000, "why": "the supervisor of rank 1 has ended", "given_up": False},
    }
    nodes = seen([rank(0)], [rank(1)])
    nodes["spark1"].update(units=[{**unit, **told}], ray={"dgxspark-a-0": ["192.0.2.1"]})
    (found,) = workloads(nodes)
    assert [one["unit"] for one in found["ranks"]] == [told, {}]
    assert found["ray"] == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        (rank(0), rank(1, status="exited"), "1 of 2 ranks run"),
        (rank(0, status="exited"), rank(1, status="exited"), "ended"),
    ],
)
def test_a_workload_that_is_not_whole_says_so(first: Thing, second: Thing, state: str) -> None:
    (found,) = workloads(seen([first], [second]))
    assert found["state"] == state


def test_a_rank_that_is_gone_is_missed() -> None:
    (found,) = workloads(seen([rank(0)], []))
    assert found["state"] == "1 of 2 ranks run"


def test_what_is_set_aside_is_a_workload_of_its_own_and_the_last() -> None:
    aside = {**rank(0, "b", "exited"), "name": "dgxspark-b-0.previous"}
    current, previous = workloads(seen([aside, rank(0, "c", ranks="1")]))
    assert (current["recipe"], current["state"]) == ("c", "running")
    assert (previous["recipe"], previous["state"]) == ("b", "retained")


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_overrides_that_are_none_do_no_harm(text: str) -> None:
    (found,) = workloads(seen([rank(0, overrides=text)]))
    assert found["overrides"] == {}


def test_nothing_runs() -> None:
    assert workloads(seen([], [])) == []
