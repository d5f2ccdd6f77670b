# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan fills in its command, and splits it, once."""

from __future__ import annotations

import collections
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe import listing
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.template import Renderer
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    Settings,
    build_plan,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.registry import ENGINES
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import Engine

Make = t.Callable[..., Recipe]
Nodes = t.Callable[[int], list[Node]]

RUNTIMES = [
    (engine, name) for engine in ENGINES if not engine.any_image for name in engine.recipe_names
]
HOW = ("written", "made of values")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> collections.Counter[str]:
    """How often commands were made, filled in and split since."""
    counts: collections.Counter[str] = collections.Counter()

    def count(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def counting(self: t.Any, *arguments: t.Any) -> t.Any:
            counts[f"{owner.__name__}.{name}"] += 1
            return real(self, *arguments)

        monkeypatch.setattr(owner, name, counting)

    count(Renderer, "command")
    count(Engine, "command")
    count(Engine, "split")
    return counts


@pytest.mark.parametrize("command", HOW)
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(("engine", "runtime"), RUNTIMES, ids=[name for _engine, name in RUNTIMES])
def test_a_plan_renders_its_command_once(
    recipe_of: Make,
    nodes: Nodes,
    counted: collections.Counter[str],
    engine: Engine,
    runtime: str,
    size: int,
    command: str,
) -> None:
    written = f"{engine.example} -m {{model}} --port {{port}}"
    recipe = recipe_of(
        runtime=runtime,
        command=written if command == "written" else None,
        min_nodes=size,
        # The number of ranks follows from the nodes.
        env={"A": "1"},
    )
    plan = build_plan(resolve(recipe, {"port": "9000"}, nodes(size)), Settings())
    assert len(plan["ranks"]) == size
    assert plan["port"] == 9000
    made = {} if command == "written" else {"Engine.command": 1}
    assert counted == {"Renderer.command": 1, "Engine.split": 1, **made}


@pytest.mark.parametrize("size", [1, 2])
def test_showing_a_recipe_renders_its_command_once(
    recipe_of: Make, counted: collections.Counter[str], size: int
) -> None:
    shown = listing.details(recipe_of(min_nodes=size), Context())
    assert len(shown["resolved"]["commands"]) == size
    assert counted["Renderer.command"] == 1


@pytest.mark.parametrize("size", [1, 2])
def test_a_condition_that_changes_nothing_costs_no_second_rendering(
    recipe_of: Make, nodes: Nodes, counted: collections.Counter[str], size: int
) -> None:
    recipe = recipe_of(
        command="vllm serve {model} --seed {seed}",
        defaults={"seed": 1},
        overrides=[{"when": {"nodes": 2}, "defaults": {"seed": 2}}],
        mode="cluster" if size > 1 else "solo",
    )
    argv = resolve(recipe, {}, nodes(size)).ranks[0].argv
    assert argv[argv.index("--seed") + 1] == str(size)
    assert counted["Renderer.command"] == size


@pytest.mark.parametrize("text", ["{tensor_parallel}", '"n={tensor_parallel}"', "'{n}'"])
def test_the_number_of_ranks_that_nobody_gives_is_in_the_one_rendering(
    recipe_of: Make, nodes: Nodes, text: str
) -> None:
    recipe = recipe_of(
        command=f"export N={text}\nvllm serve {{model}} -tp {{tensor_parallel}}",
        defaults={"n": "n={tensor_parallel}"},
        pre_exec=["echo {tensor_parallel}"],
        min_nodes=2,
    )
    resolved = resolve(recipe, {}, nodes(2))
    assert resolved.values["tensor_parallel"] == "2"
    assert resolved.ranks[0].argv[:5] == ("vllm", "serve", "org/model", "-tp", "2")
    assert resolved.pre_exec[0].command == "echo 2"
    assert text.replace("{tensor_parallel}", "2").replace("{n}", "n=2") in resolved.ranks[0].text


def test_a_text_like_the_stand_in_of_that_number_stays_itself(
    recipe_of: Make, nodes: Nodes
) -> None:
    recipe = recipe_of(
        command="echo %%tensor_parallel%%\nvllm serve {model} --served-model-name {name} "
        "-tp {tensor_parallel}",
        defaults={"name": "x"},
        min_nodes=2,
    )
    resolved = resolve(recipe, {"name": "%tensor_parallel%"}, nodes(2))
    assert resolved.served_model_name == "%tensor_parallel%"
    assert resolved.ranks[0].text.startswith("echo %%tensor_parallel%%\n")
    assert "-tp 2" in resolved.ranks[0].text
