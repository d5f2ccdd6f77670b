# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services an action of services.yml launches again."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.again import (
    chosen,
    differs,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import Declared

Thing = dict[str, t.Any]


def runs(service: str, state: str = "running") -> Thing:
    return {
        "service": service,
        "recipe": "a",
        "recipe_path": "/r/a.yaml",
        "overrides": {"port": 8001},
        "nodes": ["spark1"],
        "state": state,
    }


def as_it_runs(service: str) -> Declared:
    return Declared(service, "/r/a.yaml", {"port": 8001}, ("spark1",))


DECLARED = Declared("e", "embed", {}, ("spark2",))
WATCHED = Declared("w", url="http://192.0.2.9:80")


@pytest.mark.parametrize(
    ("action", "name", "expected"),
    [
        ("restart", "e", as_it_runs("e")),
        ("update", "e", as_it_runs("e")),
        ("reapply", "e", DECLARED),
        ("restart", "main", as_it_runs("main")),
        # Not declared: by the recipe, the overrides and the nodes with which it was launched.
        ("reapply", "main", as_it_runs("main")),
    ],
)
def test_a_restart_is_what_runs_and_a_reapply_what_is_declared(
    action: str, name: str, expected: Declared
) -> None:
    running = [runs("e"), runs("main")]
    assert chosen(action, name, "", [DECLARED, WATCHED], running) == [expected]


@pytest.mark.parametrize("declared", [True, False, None])
def test_a_restart_plans_what_only_the_inventory_says_of_a_service(declared: bool | None) -> None:
    # It is part of the plan, which would differ from the one that runs.
    wanted = Declared("e", "embed", restart_on_deep_failure=declared)
    (one,) = chosen("restart", "e", "", [wanted], [runs("e")])
    assert (one.recipe, one.restart_on_deep_failure) == ("/r/a.yaml", declared)


def test_without_a_name_the_only_one_is_meant() -> None:
    assert chosen("restart", "", "", [], [runs("e", "ended")]) == [as_it_runs("e")]
    assert chosen("reapply", "", "", [DECLARED], []) == [DECLARED]


def test_several_have_to_be_confirmed() -> None:
    running = [runs("main"), runs("b")]
    for confirm in ("", "yes", "main"):
        with pytest.raises(RecipeError, match=r"b, main.*-e service=b.*-e confirm=all"):
            chosen("restart", "", confirm, [], running)
    assert [one.name for one in chosen("restart", "", "all", [], running)] == ["b", "main"]
    # Only the named one, whatever is confirmed.
    assert chosen("restart", "b", "all", [], running) == [as_it_runs("b")]


@pytest.mark.parametrize(
    ("action", "name", "problem"),
    [
        ("restart", "", "No service of this collection runs$"),
        ("reapply", "", "No service of this collection runs or is declared"),
        ("restart", "x", "There is no service x. What runs: nothing"),
        ("reapply", "x\x1b[2J", r"There is no service x\\x1b\[2J"),
        ("stop", "e", "expected one of restart, update, reapply"),
    ],
)
def test_what_cannot_be_meant_is_an_error(action: str, name: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem):
        chosen(action, name, "", [], [])


def test_what_is_declared_and_does_not_run_or_is_not_ours_is_named() -> None:
    with pytest.raises(RecipeError, match="does not run"):
        chosen("restart", "e", "", [DECLARED], [])
    for action in ("restart", "reapply"):
        with pytest.raises(RecipeError, match="not of this collection"):
            chosen(action, "w", "", [WATCHED], [])


def test_a_restart_with_another_plan_names_both() -> None:
    assert differs("e", "7d3d", {"hash": "7d3d"}) == ""
    problem = differs("e", "7d3d\n", {"hash": "0a1b"})
    assert "7d3d\\n" in problem
    assert "0a1b" in problem
