# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with recipes and with the inventory's services, as maps and as text."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host.foreign import shown
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.alone import (
    checked,
    resolved_alone,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.conflicts import (
    port_clashes,
    services_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import (
    RecipeFile,
    find,
    places_of,
    recipes_in,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load_found
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    parse_overrides,
)


def validated(names: t.Sequence[str], context: Context) -> list[dict[str, t.Any]]:
    """What is wrong with these recipes, `all` being every one and the inventory's services.

    Raises RecipeNotFound.
    """
    if list(names) != ["all"]:
        return [_validated(find(name, context.search_paths), context) for name in names]
    places = places_of(context.search_paths)
    results = [_validated(file, context) for place in places for file in recipes_in(place)]
    if context.services:
        results.append(_counted("services", "dgxspark_services", service_issues(context)))
    return results


def service_issues(context: Context) -> list[Issue]:
    """Services of the inventory that are none, or that listen on one port of one node."""

    def port_of(name: str, overrides: t.Any) -> int:
        recipe = load_found(find(name, context.search_paths), context.search_paths)
        return resolved_alone(recipe, context, parse_overrides(overrides)).port

    services, issues = services_of(context.services, port_of)
    return [*issues, *port_clashes(services)]


def _validated(file: RecipeFile, context: Context) -> dict[str, t.Any]:
    name, path = file.path.stem, str(file.path)
    try:
        recipe = load_found(file, context.search_paths)
    except RecipeError as exc:
        return _counted(name, path, [Issue("unreadable", "error", "", str(exc), "Mend the file")])
    return _counted(name, path, checked(recipe, context, None, None).issues)


def _counted(name: str, path: str, issues: t.Sequence[Issue]) -> dict[str, t.Any]:
    severities = [issue.severity for issue in issues]
    return {
        "name": name,
        "path": path,
        "errors": severities.count("error"),
        "warnings": severities.count("warning"),
        "issues": [issue.to_dict() for issue in issues],
    }


def fails(result: t.Mapping[str, t.Any], strict: bool) -> bool:
    """Whether a recipe has errors; strict: or warnings."""
    return bool(result["errors"] or (strict and result["warnings"]))


def validated_lines(results: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """What `validated` found, for people, and a sum."""
    lines = []
    for result in results:
        if result["issues"]:
            lines.append(result["path"])
            lines += [f"  {line}" for line in issue_lines(result["issues"])]
    bad = sum(fails(result, strict=False) for result in results)
    clean = sum(not result["issues"] for result in results)
    lines.append(f"{len(results)} recipes: {clean} without an issue, {bad} with errors")
    return list(map(shown, lines))


def issue_lines(issues: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """Issues for people, errors first."""
    order = ("error", "warning", "suggestion")
    return [
        f"{issue['severity']}: {Issue(**issue)}"
        for issue in sorted(issues, key=lambda one: order.index(one["severity"]))
    ]
