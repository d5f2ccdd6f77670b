# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of services as nodes have returned it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.history import (
    merged,
    proven_before,
    table,
)

Thing = dict[str, t.Any]


def line(at: float = 1000.0, **other: t.Any) -> Thing:
    return {
        "schema": 1,
        "at": at,
        "age": 2000 - at,
        "service": "main",
        "recipe": "a",
        "recipe_path": "/r/a.yaml",
        "overrides": {},
        "plan_hash": "0123456789abcdef",
        "nodes": ["spark1", "spark2"],
        "served_model_name": "A",
        "owner": "alice",
        "result": "complete",
        "seconds": 62.0,
        "run": "1",
        **other,
    }


def test_the_lines_of_all_nodes_are_one_history_the_newest_first() -> None:
    observed = {
        "spark1": {"history": {"main": [line(5), line(1)], "b": [line(2)]}},
        "spark2": {"history": {"main": [line(3)]}},
        "spark3": {},
    }
    known = merged(observed, 2)
    assert {name: [one["at"] for one in lines] for name, lines in known.items()} == {
        "b": [2],
        "main": [5, 3],
    }
    assert merged(observed, 0) == {}


@pytest.mark.parametrize(
    "returned",
    [
        None,
        [],
        {"history": None},
        {"history": []},
        {"history": {"../x": [line()]}},
        {"history": {"main": {"a": 1}}},
        {"history": {"main": [None, 7, "x", [], {}]}},
        {"history": {"main": [line(seconds=10**400), line(age=None), line(nodes=[7])]}},
    ],
)
def test_what_is_no_line_is_left_out(returned: t.Any) -> None:
    assert merged({"spark1": returned}, 20) == {}


def test_the_table_has_ages_and_results_in_columns() -> None:
    history = {
        "main": [
            line(1940),
            line(1000, result="rolled_back", age=3 * 86400, served_model_name="a", owner=""),
        ]
    }
    assert table(history) == [
        "History of main, the newest first:",
        "  60 s ago  complete     a as A on spark1 and spark2, plan 0123456789ab, by alice in 62 s",
        "   3 d ago  rolled_back  a on spark1 and spark2, plan 0123456789ab, by an unknown owner "
        "in 62 s",
    ]
    assert table({}) == []


def test_a_line_of_the_table_cannot_control_a_terminal() -> None:
    (_head, text) = table({"main": [line(owner="\x1b[2J\nbob")]})
    assert "\x1b" not in text
    assert "\n" not in text


HOSTS = ["spark1", "spark2"]


def runs(plan: str, status: str = "running", name: str = "dgxspark-main-0", **labels: str) -> Thing:
    known = {"service": "main", "plan-hash": plan, "rank": "0", "ranks": "1", "recipe": plan}
    container = {
        "name": name,
        "id": f"id of {name}",
        "ours": True,
        "status": status,
        "started": "",
        "labels": {f"dgxspark.suite/{key}": value for key, value in {**known, **labels}.items()},
    }
    return {"spark1": {"containers": [container], "units": []}}


def past(*changes: str, service: str = "main") -> dict[str, list[Thing]]:
    """A history, the oldest change first: "a" is a launch of plan a, "a failed" one that failed."""
    lines = []
    for number, change in enumerate(changes):
        plan, _blank, result = change.partition(" ")
        lines.append(
            line(
                1000.0 + number,
                plan_hash=plan,
                recipe=plan,
                recipe_path=f"/r/{plan}.yaml",
                result=result or "complete",
                service=service,
            )
        )
    return {service: lines[::-1]}


@pytest.mark.parametrize(
    ("changes", "observed", "plan"),
    [
        (["a", "b"], runs("b"), "a"),
        (["a", "b", "a"], runs("a"), "b"),
        (["a", "b", "b"], runs("b"), "a"),
        (["a", "b", "c rolled_back", "c failed", "b"], runs("b"), "a"),
        (["a", "b", "b stopped"], {}, "b"),
        # What runs was launched by a version without a history.
        (["a"], runs("z"), "a"),
        (["a", "b"], runs("b", ranks="2"), "a"),
        (["a", "b"], runs("b", status="exited"), "b"),
        (["a", "b"], runs("b", name="dgxspark-main-0.previous"), "b"),
        (["a", "b"], runs("b", service="other"), "b"),
    ],
)
def test_what_was_proven_before_the_present(
    changes: list[str], observed: dict[str, Thing], plan: str
) -> None:
    known = proven_before(past(*changes), observed, "main", HOSTS)
    assert (known["problem"], known["plan_hash"]) == ("", plan)
    assert (known["recipe_path"], known["nodes"]) == (f"/r/{plan}.yaml", HOSTS)
    assert f"plan {plan}" in known["what"]


def test_twice_back_swaps_between_two() -> None:
    changes, present = ["a", "b"], "b"
    served = []
    for _launch in range(4):
        present = proven_before(past(*changes), runs(present), "main", HOSTS)["plan_hash"]
        changes.append(present)
        served.append(present)
    assert served == ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    ("history", "observed", "problem"),
    [
        ({}, {}, "has no complete launch yet"),
        (None, {}, "has no complete launch yet"),
        (past("a", service="other"), {}, "has no complete launch yet"),
        (past("a failed", "a stopped"), {}, "has no complete launch yet"),
        (past("a", "a"), runs("a"), "has nothing before a, which runs"),
        ({"main": [line(recipe_path="a.yaml")]}, {}, "has no complete launch yet"),
        ({"main": [line(nodes=[])]}, {}, "has no complete launch yet"),
        ({"main": [{"result": "complete"}]}, {}, "has no complete launch yet"),
    ],
)
def test_without_anything_before_the_way_out_is_named(
    history: t.Any, observed: dict[str, Thing], problem: str
) -> None:
    known = proven_before(history, observed, "main", HOSTS)
    assert problem in known["problem"]
    assert "Launch a recipe by name" in known["problem"]


def test_a_node_that_is_not_in_the_run_is_named() -> None:
    known = proven_before(past("a"), {}, "main", ["spark1"])
    assert known["problem"].startswith("spark2 cannot be used in this run")


def test_overrides_and_nodes_are_those_of_the_line() -> None:
    history = {"main": [line(overrides={"port": 9000}, nodes=["spark2"])]}
    known = proven_before(history, {}, "main", HOSTS)
    assert (known["overrides"], known["nodes"]) == ({"port": 9000}, ["spark2"])
