# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of services as nodes have returned it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.history import (
    merged,
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
