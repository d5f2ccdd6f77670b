# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recipe on as many nodes as it needs, where no inventory names them."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import (
    CheckedRecipe,
    check,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import topology
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Recipe,
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import (
    Variables,
    resolve_checked,
)


def resolved_alone(
    recipe: Recipe, context: Context, overrides: t.Mapping[str, t.Any] | None = None
) -> ResolvedRecipe:
    """The recipe on as many nodes as it needs, at made-up addresses. Raises RecipeError."""
    nodes = least_nodes(recipe, context, overrides)
    return on_nodes(checked(recipe, context, overrides, nodes), nodes)


def checked(
    recipe: Recipe, context: Context, overrides: t.Mapping[str, t.Any] | None, nodes: int | None
) -> CheckedRecipe:
    return check(recipe, overrides, context.values_for(recipe), context.mod_paths, nodes)


def on_nodes(checked: CheckedRecipe, nodes: int) -> ResolvedRecipe:
    """On that many nodes, at made-up addresses. Raises RecipeError.

    Variables that it asks of the controller count as set: they say nothing about the recipe.
    """
    values = map(str, checked.recipe.env.values())
    names = [value.strip("${}") for value in values if value.startswith("$")]
    made_up = [Node(f"node{i}", f"192.0.2.{i}") for i in range(1, nodes + 1)]
    return resolve_checked(checked, made_up, Variables({}, names, dict.fromkeys(names, "")))


def least_nodes(recipe: Recipe, context: Context, overrides: t.Mapping[str, t.Any] | None) -> int:
    """As many as its degrees ask for, else its fewest; a launch would take all that are there."""
    given = {**recipe.defaults, **context.values_for(recipe), **(overrides or {})}
    degrees = [given.get("tensor_parallel"), given.get("pipeline_parallel")]
    if any(degree is not None for degree in degrees):
        return 64  # ranks are counted, the rest of the nodes stays free
    shape = topology(recipe)
    return max(1, min(64, shape.min_nodes)) if shape.mode == "cluster" else 64
