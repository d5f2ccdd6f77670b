# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command of a recipe, filled in and split before its server: once for all that read it."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.server import (
    CommandError,
    Server,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.template import (
    Renderer,
    TemplateError,
    TemplateProblem,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import (
    Degrees,
    topology,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.conditions import (
    Launch,
    apply_overrides,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Hook,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    Value,
    chain,
    coerce,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.registry import (
    engine_of,
    runtime_name,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import Engine

# Stands for the number of tensor ranks until the nodes are known, if no value gives it.
# No character of it means anything to a shell; one that the recipe has itself is made longer.
_TENSOR = "%tensor_parallel%"
_HOOKS = ("pre_exec", "post_exec")


@dataclasses.dataclass(frozen=True)
class Given:
    """Values from outside of the recipe. overrides: typed for this launch; they win."""

    overrides: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    inventory: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    def env(self) -> dict[str, t.Any]:
        """Variables of the containers: the values `env.NAME`."""
        named = {**self.inventory, **self.overrides}
        return {key[4:]: value for key, value in named.items() if key.startswith("env.")}

    def image(self, recipe: Recipe) -> str:
        """The image that counts: typed, the recipe's, or the default of its runtime."""
        for values in (self.overrides, self.inventory):
            if values.get("container"):
                return str(values["container"]).strip()
        engine = engine_of(recipe)
        return recipe.container or (engine.default_image if engine else "")


@dataclasses.dataclass(frozen=True)
class Rendering:
    """A rendered recipe; `for_degrees` puts the number of tensor ranks into it.

    values: what the placeholders stand for. used: names that the command and the hooks refer to.
    server: None where `error` says why there is none. degrees: as far as they are given, None with
    `error`, or where `bad_degree` is no number of ranks. hooks: field -> its rendered hooks.
    hook_problems: field and problem of each placeholder of a hook that cannot be filled.
    """

    recipe: Recipe
    engine: Engine
    values: dict[str, Value]
    used: frozenset[str] = frozenset()
    server: Server | None = None
    error: TemplateError | CommandError | None = None
    degrees: Degrees | None = None
    bad_degree: str = ""
    hooks: t.Mapping[str, tuple[Hook, ...]] = dataclasses.field(default_factory=dict)
    hook_problems: tuple[tuple[str, TemplateProblem], ...] = ()

    def for_degrees(self, spread: Degrees) -> Rendering:
        """For a launch that is spread like this; without effect where the number is given."""
        marker = _marker_in(self.values)
        if not marker:
            return self
        number = spread.tensor or 1
        hooks = {
            field: tuple(
                Hook(hook.command.replace(marker, str(number)), hook.timeout) for hook in hooks
            )
            for field, hooks in self.hooks.items()
        }
        return dataclasses.replace(
            self,
            values={**self.values, "tensor_parallel": _topology_value(number)},
            server=self.server and self.server.substituted(marker, str(number)),
            hooks=hooks,
        )


def rendered(recipe: Recipe, given: Given, engine: Engine) -> Rendering:
    """Render the recipe's command, or the one that its values make, and its hooks. Never raises."""
    values = _values(recipe, given, engine)
    renderer = Renderer(values, recipe.defaults)
    result = Rendering(recipe, engine, values)
    try:
        text = renderer.command(recipe.command or engine.command(values))
    except TemplateError as exc:
        return dataclasses.replace(result, used=frozenset(renderer.used), error=exc)
    in_command = frozenset(renderer.used)
    hooks, problems = _hooks(recipe, renderer)
    result = dataclasses.replace(
        result, used=frozenset(renderer.used), hooks=hooks, hook_problems=problems
    )
    try:
        server = engine.split(text)
    except CommandError as exc:
        error = CommandError(_filled(str(exc), values), exc.near)
        return dataclasses.replace(result, error=error)
    result = dataclasses.replace(result, server=server)
    # A flag that shows the number that was filled in gives none.
    filled_in = values["tensor_parallel"].source == "topology" and "tensor_parallel" in in_command
    try:
        return dataclasses.replace(result, degrees=_degrees(values, server, engine, filled_in))
    except ValueError as exc:
        return dataclasses.replace(result, bad_degree=str(exc))


def spread_over(rendering: Rendering, available: int) -> Degrees:
    """All degrees; what is not given follows from the number of nodes at hand."""
    given = rendering.degrees or Degrees(None, None, None)
    shape = topology(rendering.recipe)
    size = 1
    if shape.mode == "cluster":
        size = max(shape.min_nodes, min(available, shape.max_nodes or available))
    data = given.data or 1
    if not rendering.engine.tensor and given.tensor is None:
        # Without tensor parallelism a model is split by layers.
        return Degrees(1, given.pipeline or max(1, size // data), data)
    pipeline = given.pipeline or 1
    return Degrees(given.tensor or max(1, size // (pipeline * data)), pipeline, data)


def conditioned(recipe: Recipe, given: Given, engine: Engine, nodes: int | None) -> Rendering:
    """The rendering of the recipe with those of its `overrides` that apply.

    nodes: how many are at hand; None for as many as the recipe needs. Conditions ask for degrees,
    so a recipe whose conditions change something is rendered without them first.
    """
    rendering = rendered(recipe, given, engine)
    if not recipe.overrides:
        return rendering
    least = topology(recipe).min_nodes
    if rendering.degrees is None:
        # An override may give the value that is missing here; the command is checked after it.
        spread = Degrees(least, 1, 1)
    else:
        spread = spread_over(rendering, least if nodes is None else nodes)
    changed = apply_overrides(
        recipe,
        Launch(
            nodes=spread.size,
            tensor_parallel=spread.tensor or 1,
            pipeline_parallel=spread.pipeline or 1,
            data_parallel=spread.data or 1,
            runtime=runtime_name(recipe),
            family=engine.name,
            values=rendering.for_degrees(spread).values,
        ),
    )
    if changed == recipe:
        return rendering
    return rendered(changed, given, engine)


def folded(given: t.Mapping[str, t.Any], defaults: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Values whose keys with dots (`map.key`) are part of the map that the default of `map` is."""
    result: dict[str, t.Any] = {}
    for key, value in given.items():
        head, *path = key.split(".")
        known = result.get(head, defaults.get(head))
        tree = _map_of(known) if path and key not in defaults else None
        if tree is None:
            result[key] = value
            continue
        inner = tree
        for step in path[:-1]:
            below = inner.get(step)
            inner[step] = dict(below) if isinstance(below, dict) else {}
            inner = inner[step]
        inner[path[-1]] = coerce(value) if isinstance(value, str) else value
        result[head] = tree
    return result


def _map_of(value: t.Any) -> dict[str, t.Any] | None:
    """A copy of a map, or the map that JSON text is; None for anything else."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = foreign.json_of(value)
        except foreign.Foreign:
            return None
    return dict(value) if isinstance(value, dict) else None


def _values(recipe: Recipe, given: Given, engine: Engine) -> dict[str, Value]:
    """What placeholders may refer to."""
    own: dict[str, t.Any] = {"model": recipe.model}
    if recipe.model_revision:
        own["model_revision"] = recipe.model_revision
    if recipe.draft_model:
        own["draft_model"] = recipe.draft_model
    if engine.any_image and recipe.container_port:
        own["port"] = own["container_port"] = recipe.container_port
    if engine.any_image and recipe.memory:
        own["memory"] = recipe.memory
    inventory = folded(given.inventory, recipe.defaults)
    values = chain(
        folded(given.overrides, {**recipe.defaults, **inventory}),
        recipe.defaults,
        own,
        inventory=inventory,
        platform=engine.platform,
        runtime=engine.runtime_values,
    )
    if engine.any_image:
        name = recipe.model or recipe.name
        values.setdefault("container_port", values["port"])
        values.setdefault("served_model_name", Value(name, name, "runtime"))
    values.setdefault("served_model_name", dataclasses.replace(values["model"], source="runtime"))
    if "tensor_parallel" not in values:
        values["tensor_parallel"] = _topology_value(_marker(recipe, values))
    return values


def _marker(recipe: Recipe, values: t.Mapping[str, Value]) -> str:
    """A text that is in nothing that is rendered."""
    hooks = [hook.command for field in _HOOKS for hook in getattr(recipe, field)]
    texts = [recipe.command, *hooks, *(value.text for value in values.values())]
    marker = _TENSOR
    while any(marker in text for text in texts):
        marker = f"%{marker}%"
    return marker


def _marker_in(values: t.Mapping[str, Value]) -> str:
    """The text that stands for the number of tensor ranks; "" where that number is known."""
    tensor = values["tensor_parallel"]
    return tensor.text if tensor.source == "topology" and _TENSOR in tensor.text else ""


def _filled(text: str, values: t.Mapping[str, Value]) -> str:
    """A rendered text as on one node."""
    marker = _marker_in(values)
    return text.replace(marker, "1") if marker else text


def _topology_value(number: int | str) -> Value:
    return Value(number, str(number), "topology")


def _hooks(
    recipe: Recipe, renderer: Renderer
) -> tuple[dict[str, tuple[Hook, ...]], tuple[tuple[str, TemplateProblem], ...]]:
    """Hooks, which have no other values than the command, and what is wrong with them."""
    hooks: dict[str, tuple[Hook, ...]] = {}
    problems = []
    for field in _HOOKS:
        filled = []
        for hook in getattr(recipe, field):
            try:
                filled.append(Hook(renderer.command(hook.command), hook.timeout))
            except TemplateError as exc:
                problems += [(field, problem) for problem in exc.problems]
        hooks[field] = tuple(filled)
    return hooks, tuple(dict.fromkeys(problems))


def _degrees(
    values: t.Mapping[str, Value], server: Server, engine: Engine, filled_in: bool
) -> Degrees:
    """The given degrees; None for each that is not given.

    Raises ValueError with the text that is not a whole number of at least 1.
    """
    return Degrees(
        None if filled_in else _degree(values, server, engine, "tensor_parallel"),
        _degree(values, server, engine, "pipeline_parallel"),
        None
        if engine.shares_data_ranks(server)
        else _degree(values, server, engine, "data_parallel"),
    )


def _degree(values: t.Mapping[str, Value], server: Server, engine: Engine, key: str) -> int | None:
    text = server.flag(engine.flag_of.get(key, ()))
    if text is None:
        value = values.get(key)
        if value is None or value.value is None or value.source in ("topology", "runtime"):
            return None
        text = value.text
    text = _filled(text, values)
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text):
        raise ValueError(text)
    return int(text)
