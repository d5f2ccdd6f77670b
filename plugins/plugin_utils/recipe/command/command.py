# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command of a recipe: the values that its placeholders stand for, and how many ranks."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command import vllm
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.engines import (
    Engine,
    runtime_of,
    split,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.flags import command_of
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.template import (
    Renderer,
    TemplateError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import (
    Degrees,
    topology,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.conditions import (
    Launch,
    apply_overrides,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Recipe
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    Value,
    chain,
)


@dataclasses.dataclass(frozen=True)
class Given:
    """Values from outside of the recipe. overrides: typed for this launch; they win."""

    overrides: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    inventory: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    def image(self, recipe: Recipe) -> str:
        for said in (self.overrides, self.inventory):
            if said.get("container"):
                return str(said["container"]).strip()
        return recipe.container


def command_values(
    recipe: Recipe, given: Given, tensor_parallel: int, engine: Engine
) -> dict[str, Value]:
    """What placeholders may refer to; tensor_parallel: its value where nobody gives one."""
    own = {"model": recipe.model}
    if recipe.model_revision:
        own["model_revision"] = recipe.model_revision
    if recipe.draft_model:
        own["draft_model"] = recipe.draft_model
    values = chain(
        given.overrides,
        recipe.defaults,
        own,
        inventory=given.inventory,
        platform=engine.platform,
        runtime=engine.runtime_values,
    )
    values.setdefault("served_model_name", dataclasses.replace(values["model"], source="runtime"))
    values.setdefault("tensor_parallel", Value(tensor_parallel, str(tensor_parallel), "topology"))
    return values


def template_of(engine: Engine, recipe: Recipe, values: t.Mapping[str, Value]) -> str:
    """The recipe's command, else the one that its values make."""
    return recipe.command or command_of(engine.name, values)


def degrees(
    values: t.Mapping[str, Value],
    server: vllm.Server,
    used: t.Collection[str],
    engine: Engine,
) -> Degrees:
    """How the engine will be spread, as far as somebody says it.

    used: the names that the command's placeholders refer to.
    Raises ValueError with the text that is not a whole number of at least 1.
    """
    # A flag that shows the number that `command_values` filled in says nothing.
    filled_in = values["tensor_parallel"].source == "topology" and "tensor_parallel" in used
    # With attention in parallel SGLang's replicas share the ranks of tensor_parallel.
    shared = engine.name == "sglang" and server.flag(("--enable-dp-attention",)) is not None
    return Degrees(
        None if filled_in else _degree(values, server, engine, "tensor_parallel"),
        _degree(values, server, engine, "pipeline_parallel"),
        None if shared else _degree(values, server, engine, "data_parallel"),
    )


def _degree(
    values: t.Mapping[str, Value], server: vllm.Server, engine: Engine, key: str
) -> int | None:
    text = server.flag(engine.flag_of.get(key, ()))
    if text is None:
        value = values.get(key)
        if value is None or value.value is None or value.source in ("topology", "runtime"):
            return None
        text = value.text
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text):
        raise ValueError(text)
    return int(text)


def spread_over(recipe: Recipe, given: Given, available: int, engine: Engine) -> Degrees:
    """All degrees; what is not given follows from the number of nodes.

    Raises TemplateError, CommandError or ValueError, as rendering and `degrees` do.
    """
    values = command_values(recipe, given, 1, engine)
    renderer = Renderer(values, recipe.defaults)
    server = split(engine, renderer.command(template_of(engine, recipe, values)))
    said = degrees(values, server, renderer.used, engine)
    shape = topology(recipe)
    size = 1
    if shape.mode == "cluster":
        size = max(shape.min_nodes, min(available, shape.max_nodes or available))
    data = said.data or 1
    if not engine.tensor and said.tensor is None:
        # llama.cpp splits by layers unless it is told otherwise.
        return Degrees(1, said.pipeline or max(1, size // data), data)
    pipeline = said.pipeline or 1
    return Degrees(said.tensor or max(1, size // (pipeline * data)), pipeline, data)


def conditioned(recipe: Recipe, given: Given, engine: Engine, nodes: int | None = None) -> Recipe:
    """The recipe with those of its `overrides` that apply.

    nodes: how many are at hand; where that is not known, as many as the recipe needs.
    """
    if not recipe.overrides:
        return recipe
    try:
        spread = spread_over(
            recipe, given, topology(recipe).min_nodes if nodes is None else nodes, engine
        )
    except (TemplateError, vllm.CommandError, ValueError):
        # An override may give the value that is missing here; the command is checked after it.
        shape = topology(recipe)
        spread = Degrees(shape.min_nodes, 1, 1)
    return apply_overrides(
        recipe,
        Launch(
            nodes=spread.size,
            tensor_parallel=spread.tensor or 1,
            pipeline_parallel=spread.pipeline or 1,
            data_parallel=spread.data or 1,
            runtime=runtime_of(recipe),
            values=command_values(recipe, given, spread.tensor or 1, engine),
        ),
    )
