# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All runtimes. A new one is a file of this folder and its line in ENGINES."""

from __future__ import annotations

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import (
    Topology,
    topology,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Recipe
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.container import (
    CONTAINER,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.eugr_vllm import (
    EUGR_VLLM,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.llama_cpp import (
    LLAMA_CPP,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import (
    Engine,
    Runtime,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.sglang import SGLANG
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.vllm import VLLM

# The first is the default; a later one counts where a recipe implies it.
ENGINES: tuple[Engine, ...] = (
    VLLM,
    EUGR_VLLM,
    SGLANG,
    LLAMA_CPP,
    CONTAINER,
)
# Words for `runtime` of a recipe.
NAMES = tuple(name for engine in ENGINES for name in engine.recipe_names)
# Runtimes of the format that this version refuses by name.
LATER_NAMES = ("trtllm", "atlas", "modular-max", "tokenary")

_BY_RECIPE_NAME = {name: engine for engine in ENGINES for name in engine.recipe_names}
_BY_NAME = {engine.name: engine for engine in reversed(ENGINES)}
_RUNTIMES = {runtime.name: (runtime, engine) for engine in ENGINES for runtime in engine.runtimes}


def runtime_name(recipe: Recipe) -> str:
    """The runtime that the recipe names, or that its other fields imply; it may be unknown."""
    for engine in reversed(ENGINES):
        if engine.implied_by(recipe):
            return engine.recipe_names[0]
    return recipe.runtime


def engine_of(recipe: Recipe) -> Engine | None:
    """The engine of the recipe's runtime; None for a runtime that is not supported."""
    return _BY_RECIPE_NAME.get(runtime_name(recipe))


def topology_of(recipe: Recipe) -> Topology:
    """The mode and node limits of the recipe's fields; an image's own program takes one node."""
    engine = engine_of(recipe)
    return Topology("solo", 1, 1) if engine and engine.any_image else topology(recipe)


def engine_named(name: str) -> Engine:
    """The engine of that name. Raises KeyError."""
    return _BY_NAME[name]


def runtime_named(name: str) -> Runtime:
    """The runtime of a plan. Raises KeyError."""
    return _RUNTIMES[name][0]


def engine_of_runtime(name: str) -> Engine:
    """The engine of a plan's runtime. Raises KeyError."""
    return _BY_NAME[_RUNTIMES[name][1].name]


def engine_of_version(version: str) -> Engine | None:
    """The only engine that recipes of this `recipe_version` have; None where there are several."""
    return next((engine for engine in ENGINES if version and engine.only_version == version), None)


def image_advice(recipe: Recipe, image: str) -> str:
    """How to get an image that is on no registry."""
    chosen = engine_of(recipe)
    for engine in ENGINES:
        advice = engine.image_advice(recipe, image, engine is chosen)
        if advice:
            return advice
    return "Build it on every node, or copy it there"
