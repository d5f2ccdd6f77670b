# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of several nodes, grouped by workload."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.workloads import (
    workloads,
)

Thing = dict[str, t.Any]


def rank(number: int, recipe: str = "a", status: str = "running", **labels: str) -> Thing:
    values = {
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
        "labels": {f"dgxspark.suite/{key}": value for key, value in values.items()},
    }


def seen(*nodes: list[Thing]) -> dict[str, Thing]:
    return {f"spark{index}": {"containers": found} for index, found in enumerate(nodes, 1)}


def test_the_ranks_of_two_nodes_are_one_workload() -> None:
    foreign = {**rank(0), "ours": False}
    # The head need not be the node that is named first.
    facts = {"image-facts": '{"pins": {"TRITON_PTXAS_PATH": "/p"}}'}
    pinned = rank(0, **facts)
    (workload,) = workloads(seen([rank(1), foreign], [pinned]))
    ranks = workload.pop("ranks")
    assert [(placed["rank"], placed["node"]) for placed in ranks] == [(0, "spark2"), (1, "spark1")]
    assert workload == {
        "service": "main",
        "slot": 0,
        "recipe": "a",
        "recipe_path": "/r/a.yaml",
        "overrides": {"port": 9000},
        "plan_hash": "7d3d",
        "served_model_name": "a-served",
        "url": "http://192.0.2.1:9000",
        "head": "spark2",
        "container": "dgxspark-a-0",
        "endpoint": "http://192.0.2.1:9000/v1",
        "kind": [],
        "probe": {},
        "nodes": ["spark2", "spark1"],
        "image_facts": {"spark2": {"pins": {"TRITON_PTXAS_PATH": "/p"}}, "spark1": {}},
        "state": "running",
        "source": "containers",
        "ray": [],
    }


def test_a_rank_has_its_unit_and_a_workload_its_ray_nodes() -> None:
    unit = {"container": "dgxspark-a-0", "recipe": "a", "plan": "7d3d", "pid": 7}
    state = {
        "state": "active",
        "enabled": True,
        "restarts": 1,
        "status_text": "waits for the supervisors of 192.0.2.2",
        "down": {"at": 1764000000, "why": "the supervisor of rank 1 has ended", "given_up": False},
    }
    nodes = seen([rank(0)], [rank(1)])
    nodes["spark1"].update(units=[{**unit, **state}], ray={"dgxspark-a-0": ["192.0.2.1"]})
    (workload,) = workloads(nodes)
    assert [placed["unit"] for placed in workload["ranks"]] == [state, {}]
    assert workload["ray"] == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("first", "second", "state"),
    [
        (rank(0), rank(1, status="exited"), "1 of 2 ranks run"),
        (rank(0, status="exited"), rank(1, status="exited"), "ended"),
    ],
)
def test_an_incomplete_workload_has_the_count_of_its_ranks(
    first: Thing, second: Thing, state: str
) -> None:
    (workload,) = workloads(seen([first], [second]))
    assert workload["state"] == state


def test_a_missing_rank_is_counted() -> None:
    (workload,) = workloads(seen([rank(0)], []))
    assert workload["state"] == "1 of 2 ranks run"


def test_retained_containers_are_a_workload_of_their_own() -> None:
    retained = {**rank(0, "b", "exited"), "name": "dgxspark-b-0.previous"}
    current, previous = workloads(seen([retained, rank(0, "c", ranks="1")]))
    assert (current["recipe"], current["state"]) == ("c", "running")
    assert (previous["recipe"], previous["state"]) == ("b", "retained")


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_invalid_overrides_are_ignored(text: str) -> None:
    (workload,) = workloads(seen([rank(0, overrides=text)]))
    assert workload["overrides"] == {}


def test_nothing_runs() -> None:
    assert workloads(seen([], [])) == []


def supervised(number: int, state: str = "active", recipe: str = "a") -> Thing:
    """A unit, as workload_info returns it."""
    return {
        "container": f"dgxspark-{recipe}-{number}",
        "service": "main",
        "recipe": recipe,
        "plan": "7d3d",
        "rank": number,
        "members": ["192.0.2.1", "192.0.2.2"],
        "nodes": ["spark1", "spark2"],
        "url": "http://192.0.2.1:9000",
        "model": f"{recipe}-served",
        "kind": ["chat"],
        "state": state,
        "enabled": True,
        "restarts": 0,
        "status_text": "runs, with 2 ranks in all",
        "down": None,
    }


def unknown(*found: Thing) -> Thing:
    return {"containers": [], "units": list(found), "containers_unknown": "alice may not"}


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (("active", "active"), "running"),
        (("active", "failed"), "1 of 2 ranks run"),
        (("inactive", "inactive"), "ended"),
        (("active", "unknown"), "unknown"),
    ],
)
def test_where_containers_are_unknown_the_units_count(states: tuple[str, str], state: str) -> None:
    nodes = {f"spark{n + 1}": unknown(supervised(n, one)) for n, one in enumerate(states)}
    (workload,) = workloads(nodes)
    assert (workload["state"], workload["source"]) == (state, "units")
    assert (workload["service"], workload["recipe"]) == ("main", "a")
    assert (workload["nodes"], workload["head"]) == (["spark1", "spark2"], "spark1")
    assert (workload["url"], workload["kind"]) == ("http://192.0.2.1:9000", ["chat"])
    assert workload["served_model_name"] == "a-served"
    assert [rank["status"] for rank in workload["ranks"]] == ["unknown", "unknown"]
    assert [rank["unit"]["state"] for rank in workload["ranks"]] == list(states)


def test_ranks_known_by_containers_and_by_units_are_one_workload() -> None:
    nodes = {**seen([rank(0)]), "spark2": unknown(supervised(1))}
    (workload,) = workloads(nodes)
    assert (workload["state"], workload["source"]) == ("running", "units")
    assert workload["recipe_path"] == "/r/a.yaml"


def test_units_do_not_count_where_containers_are_known() -> None:
    assert workloads({"spark1": {"containers": [], "units": [supervised(0)]}}) == []
