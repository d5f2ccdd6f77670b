# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what only a container with the program of its image has, or cannot have."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.rendering import (
    Rendering,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import topology
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.fields import MEMORY
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import Value

_OWN = ("entrypoint", "container_port", "memory")
_BY_A_SHELL = ("mods", "pre_exec", "post_exec")


def container_issues(rendering: Rendering) -> t.Iterator[Issue]:
    """What is wrong with the fields of such a recipe, or with those that another one has."""
    recipe = rendering.recipe
    if rendering.engine.any_image:
        yield from _needed(recipe, rendering.values)
        yield from _refused(recipe)
        return
    for field in _OWN:
        if recipe.data.get(field):
            yield recipe.issue(
                "ignored-field",
                "warning",
                field,
                f"not applied with the engine {rendering.engine.name}",
                "Remove it, or write runtime: container",
            )


def _needed(recipe: Recipe, values: t.Mapping[str, Value]) -> t.Iterator[Issue]:
    if not recipe.kind:
        yield recipe.issue(
            "missing-kind",
            "error",
            "kind",
            "an image does not say how its service is proven",
            "Add kind; http is proven by the status of its health path",
        )
    if values["port"].source == "runtime":
        yield recipe.issue(
            "missing-port",
            "error",
            "container_port",
            "no port is named",
            "Add container_port: the port on which the program listens in the container",
        )
    port = values["container_port"].text
    if not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        yield recipe.issue(
            "port-invalid",
            "error",
            "container_port",
            f"{port!r:.40} is not a port",
            "Use 1 to 65535",
        )
    limit = values["memory"].text if "memory" in values else ""
    if limit and not re.search(MEMORY, limit):
        yield recipe.issue(
            "memory-invalid",
            "error",
            "memory",
            f"{limit!r:.40} is not an amount of memory",
            "Write it as 512MiB or 4GiB",
        )
    elif not limit:
        yield recipe.issue(
            "missing-memory",
            "warning",
            "memory",
            "the container has no limit, and other services do not know what it takes",
            "Add memory: 4GiB",
        )


def _refused(recipe: Recipe) -> t.Iterator[Issue]:
    for field in _BY_A_SHELL:
        if getattr(recipe, field):
            yield recipe.issue(
                "unsupported-field",
                "error",
                field,
                "the container runs the program of its image, so nothing runs before or after it",
                "Put it into the image",
            )
    if topology(recipe).mode == "cluster":
        yield recipe.issue(
            "mode-conflict",
            "error",
            "mode",
            "a container runs on one node",
            "Remove the fields that ask for several",
        )
