# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks of a recipe, before anything is launched."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.command_checks import (
    command_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.container_checks import (
    container_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.env_checks import (
    env_issues,
    secret_issues,
    typed_secret_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.field_checks import (
    extra_issues,
    field_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.model_checks import (
    model_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.overlay_checks import (
    overlay_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.rendering import (
    Given,
    Rendering,
    conditioned,
    rendered,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import (
    topology_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.conditions import (
    condition_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.executor import (
    executor_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.hooks import mods_of
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Mod,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.registry import (
    engine_of,
)


@dataclasses.dataclass(frozen=True)
class CheckedRecipe:
    """A recipe with values, checked and rendered once; validate, list, show and launch read it.

    recipe: with the values of its `overrides` that apply. rendering: None where the runtime is not
    supported. mods: with their folders.
    """

    recipe: Recipe
    given: Given
    rendering: Rendering | None
    mods: tuple[Mod, ...]
    issues: tuple[Issue, ...]

    @property
    def errors(self) -> list[Issue]:
        return errors(self.issues)


def check(
    recipe: Recipe,
    overrides: t.Mapping[str, t.Any] | None = None,
    inventory: t.Mapping[str, t.Any] | None = None,
    mod_paths: t.Sequence[str] = (),
    nodes: int | None = None,
) -> CheckedRecipe:
    """Check the recipe with these values; never raises.

    overrides: typed for a launch. inventory: the inventory's values for this recipe. mod_paths:
    folders with mods. nodes: how many are at hand, for the recipe's own conditions.
    A recipe without an issue of severity `error` can be resolved, given nodes that fit it.
    """
    given = Given(dict(overrides or {}), dict(inventory or {}))
    engine = engine_of(recipe)
    issues = [*recipe.issues, *condition_issues(recipe)]
    # A field of the wrong type is reported once, not again as missing.
    mistyped = {issue.field for issue in issues if issue.code == "wrong-type"}
    rendering = None
    if engine is not None:
        usable = not any(issue.field == "overrides" for issue in errors(issues))
        rendering = (
            conditioned(recipe, given, engine, nodes) if usable else rendered(recipe, given, engine)
        )
        recipe = rendering.recipe
    if given.env():
        recipe = dataclasses.replace(recipe, env={**recipe.env, **given.env()})
    mods, missing = mods_of(recipe, mod_paths)
    issues += [
        *field_issues(recipe, given.image(recipe)),
        *missing,
        *extra_issues(recipe, mods),
        *overlay_issues(recipe),
        *executor_issues(recipe),
        *topology_issues(recipe),
        *env_issues(recipe),
        *secret_issues(recipe),
        *typed_secret_issues(recipe, given.env()),
    ]
    if rendering is not None and "command" not in mistyped:
        issues += [
            *container_issues(rendering),
            *model_issues(rendering),
            *command_issues(rendering, given),
        ]
    reported = (
        issue
        for issue in issues
        if not (issue.field in mistyped and issue.code.startswith("missing-"))
    )
    return CheckedRecipe(recipe, given, rendering, tuple(mods), tuple(reported))


def validate(
    recipe: Recipe,
    overrides: t.Mapping[str, t.Any] | None = None,
    inventory: t.Mapping[str, t.Any] | None = None,
    mod_paths: t.Sequence[str] = (),
    nodes: int | None = None,
) -> list[Issue]:
    """Every issue of the recipe with these values, as `check` reports them."""
    return list(check(recipe, overrides, inventory, mod_paths, nodes).issues)


def errors(issues: t.Iterable[Issue]) -> list[Issue]:
    return [issue for issue in issues if issue.severity == "error"]
