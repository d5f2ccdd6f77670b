# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a recipe, found before anything is launched."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.command_checks import (
    command_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.env_checks import (
    env_issues,
    secret_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.field_checks import (
    extra_issues,
    field_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.command import (
    Given,
    conditioned,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.engines import engine_of
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import (
    topology_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.conditions import (
    condition_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Recipe,
)


def validate(
    recipe: Recipe,
    overrides: t.Mapping[str, t.Any] | None = None,
    inventory: t.Mapping[str, t.Any] | None = None,
    mod_paths: t.Sequence[str] = (),
    nodes: int | None = None,
) -> list[Issue]:
    """Every issue of the recipe with these values.

    overrides: typed for a launch. inventory: the inventory's values for this recipe. mod_paths:
    folders with mods. nodes: how many are at hand, for the recipe's own conditions.
    A recipe without an issue of severity `error` can be resolved, given nodes that fit it.
    """
    given = Given(dict(overrides or {}), dict(inventory or {}))
    engine = engine_of(recipe)
    issues = [*recipe.issues, *condition_issues(recipe)]
    if engine and not any(issue.field == "overrides" for issue in errors(issues)):
        recipe = conditioned(recipe, given, engine, nodes)
    issues += [
        *field_issues(recipe, given.image(recipe)),
        *extra_issues(recipe, mod_paths),
        *topology_issues(recipe),
        *env_issues(recipe),
        *secret_issues(recipe),
    ]
    # A field of the wrong type is reported once, not again as missing.
    mistyped = {issue.field for issue in issues if issue.code == "wrong-type"}
    if engine and "command" not in mistyped:
        issues += command_issues(recipe, given, engine)
    return [
        issue
        for issue in issues
        if not (issue.field in mistyped and issue.code.startswith("missing-"))
    ]


def errors(issues: t.Iterable[Issue]) -> list[Issue]:
    return [issue for issue in issues if issue.severity == "error"]
