# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipes that the collection brings, and those of the lab."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Node
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import (
    Variables,
    resolve,
)

ROOT = pathlib.Path(__file__).resolve().parents[5]
LAB = ROOT / "tests/lab/recipes"
BUNDLED = sorted((ROOT / "recipes").rglob("*.yaml"))
NODES = [Node(f"spark{i}", f"192.0.2.{i}", f"198.51.100.{i}", "eth1") for i in range(1, 9)]


@pytest.mark.parametrize(
    "path", [*BUNDLED, *sorted(LAB.glob("*.yaml"))], ids=lambda path: path.stem
)
def test_a_recipe_has_no_issue_and_resolves(path: pathlib.Path) -> None:
    recipe = load(str(path))
    assert validate(recipe) == []
    names = [value.strip("${}") for value in recipe.env.values() if str(value).startswith("$")]
    variables = Variables({}, names, dict.fromkeys(names, "x"))
    assert resolve(recipe, {}, NODES, variables).warnings == ()


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_a_companion_says_its_licence_and_what_was_never_run(path: pathlib.Path) -> None:
    recipe = load(str(path))
    if path.parent.name == "services":
        assert recipe.kind
        assert recipe.metadata["licence"]
        assert "Never run by this project" in recipe.metadata["notes"]
    # What is gated is not in the recipe that fetches without it.
    assert bool(recipe.accept_licences) is ("HF_TOKEN" in recipe.env)


def test_lab_tiny_and_its_solo_form_differ_in_topology_only() -> None:
    cluster, solo = (load(name, [str(LAB)]) for name in ("lab-tiny", "lab-tiny-solo"))
    assert (cluster.model, cluster.container) == (solo.model, solo.container)
    resolved = resolve(cluster, {}, NODES)
    assert (resolved.mode, resolved.runtime, len(resolved.ranks)) == ("cluster", "vllm-ray", 2)
    resolved = resolve(solo, {}, NODES)
    assert (resolved.mode, resolved.runtime, len(resolved.ranks)) == ("solo", "vllm", 1)


def test_no_recipe_of_the_lab_is_bundled() -> None:
    """Its model and image exist in the lab only."""
    assert not [path for path in BUNDLED if load(str(path)).container.startswith("dgxspark-lab/")]
