# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`overrides` of a recipe, and which of all the values wins."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve

Make = t.Callable[..., Recipe]
Nodes = t.Callable[[int], list[Node]]


def value_with(recipe_of: Make, nodes: Nodes, when: dict[str, t.Any], count: int = 1) -> str:
    recipe = recipe_of(
        command="vllm serve {model} --x {x}",
        defaults={"x": "plain", "tensor_parallel": count, "draft": "none"},
        overrides=[{"when": when, "defaults": {"x": "special"}}],
    )
    return resolve(recipe, {}, nodes(count)).values["x"]


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"nodes": 2}, True),
        ({"nodes": 1}, False),
        ({"nodes": [1, 2]}, True),
        ({"nodes": {"gte": 2, "lt": 3}}, True),
        ({"nodes": {"gt": 2}}, False),
        ({"tp": 2, "pp": 1, "dp": 1}, True),
        ({"tp": 2, "pp": 2}, False),
        ({"runtime": "vllm"}, True),
        ({"runtime_family": {"ne": "vllm"}}, False),
        ({"arch": "SM_121"}, True),
        ({"arch": "sm_120"}, False),
        ({"capability": {"in": ["unified-memory"]}}, True),
        ({"capability": {"not_in": ["cuda"]}}, False),
        ({"memory_gb": {"lte": 128}}, True),
        ({"config": {"draft": "none"}}, True),
        ({"config": {"draft": {"ne": "none"}}}, False),
        ({"config": {"absent": {"ne": "x"}}}, True),
        ({"config": {"absent": "x"}}, False),
        ({"moon": "full"}, False),
        ({"nodes": {"near": 2}}, False),
    ],
)
def test_a_condition_holds_or_not(
    recipe_of: Make, nodes: Nodes, when: dict[str, t.Any], holds: bool
) -> None:
    assert value_with(recipe_of, nodes, when, 2) == ("special" if holds else "plain")


def test_the_last_that_applies_wins_and_env_and_image_change_too(
    recipe_of: Make, nodes: Nodes
) -> None:
    recipe = recipe_of(
        env={"A": "1"},
        overrides=[
            {"when": {"nodes": 1}, "env": {"A": "2", "B": "2"}, "container": "org/image:2"},
            {"when": {"nodes": 1}, "env": {"B": "3"}},
            {"when": {"nodes": 2}, "container": "org/image:3"},
        ],
    )
    resolved = resolve(recipe, {}, nodes(2))
    assert (resolved.image, resolved.env) == ("org/image:2", {"A": "2", "B": "3"})


@pytest.mark.parametrize(
    ("entry", "severity", "text"),
    [
        ("x", "error", "expected a map"),
        ({"defaults": {"a": 1}}, "error", "no condition"),
        ({"when": {"nodes": 1}}, "error", "sets nothing"),
        ({"when": {"nodes": 1}, "command": "x"}, "error", "command"),
        ({"when": {"nodes": 1}, "defaults": {"port": 1}}, "error", "port"),
        ({"when": {"nodes": 1}, "env": ["A"]}, "error", "env is not a map"),
        ({"when": {"moon": 1}, "env": {"A": "1"}}, "warning", "unknown condition moon"),
        ({"when": {"tp": {"near": 1}}, "env": {"A": "1"}}, "warning", "tp.near"),
    ],
)
def test_a_condition_that_cannot_be_followed_is_reported(
    recipe_of: Make, entry: object, severity: str, text: str
) -> None:
    found = validate(recipe_of(overrides=[entry]))
    assert {issue.severity for issue in found} == {severity}
    assert text in "".join(map(str, found))


def test_command_line_then_inventory_then_condition_then_default_then_platform_then_runtime(
    recipe_of: Make, nodes: Nodes
) -> None:
    command = "vllm serve {model} --gpu-memory-utilization {gpu_memory_utilization} --port {port}"
    bare = recipe_of(command=command)
    default = recipe_of(command=command, defaults={"gpu_memory_utilization": 0.5})
    conditional = recipe_of(
        command=command,
        defaults={"gpu_memory_utilization": 0.5},
        overrides=[{"when": {"nodes": 1}, "defaults": {"gpu_memory_utilization": 0.6}}],
    )

    def share(recipe: Recipe, **given: t.Any) -> str:
        return resolve(recipe, nodes=nodes(1), **given).values["gpu_memory_utilization"]

    key = "gpu_memory_utilization"
    assert share(bare) == "0.8"
    assert share(default) == "0.5"
    assert share(conditional) == "0.6"
    assert share(conditional, inventory={key: 0.7}) == "0.7"
    assert share(conditional, inventory={key: 0.7}, overrides={key: "0.75"}) == "0.75"
    assert resolve(bare, nodes=nodes(1)).values["port"] == "8000"


def test_an_inventory_value_without_effect_is_told_but_no_error(recipe_of: Make) -> None:
    (issue,) = validate(recipe_of(), inventory={"max_model_len": 1})
    assert (issue.code, issue.severity) == ("inventory-without-effect", "suggestion")
