# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipes that the collection brings, and those of the lab."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Node
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve

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
    assert resolve(recipe, {}, NODES).warnings == ()


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
