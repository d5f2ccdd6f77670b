# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what is added to an image."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.overlay import PARTS
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.hooks import (
    overlay_folder,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Recipe,
)

# From which people have requirements.txt written; it has no effect.
_SOURCE = "requirements.in"


def overlay_issues(recipe: Recipe) -> t.Iterator[Issue]:
    """What is wrong with `overlay`, `build` and `forbid`."""
    field = "build" if recipe.built else "overlay"
    if recipe.built and (recipe.data.get("container") or recipe.data.get("overlay")):
        yield recipe.issue(
            "build-conflict",
            "error",
            "build",
            "the base and the folder of the image are named twice",
            "Remove build, or both container and overlay",
        )
    if not recipe.overlay:
        return
    for before in ("mods", "pre_exec"):
        if getattr(recipe, before):
            yield recipe.issue(
                "overlay-conflict",
                "error",
                before,
                "what runs in the container before the server would count as a change by hand",
                f"Put it into the folder {recipe.overlay}, as run.sh",
            )
    folder = overlay_folder(recipe)
    try:
        entries = set(os.listdir(folder))
    except OSError as error:
        yield recipe.issue(
            "overlay-not-found",
            "error",
            field,
            f"the folder {folder} cannot be read: {error.strerror or error}",
            "It stands beside the recipe",
        )
        return
    unknown = sorted(entries - {*PARTS, _SOURCE})
    if unknown or not entries:
        yield recipe.issue(
            "overlay-invalid",
            "error",
            field,
            f"{folder} has {', '.join(unknown)[:200]}" if unknown else f"{folder} is empty",
            f"It may have {', '.join(PARTS)}",
        )
