# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipes that the collection brings, and, where it is at hand, a corpus of public ones."""

from __future__ import annotations

import os
import pathlib

import pytest
import yaml

from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.engines import engine_of
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.load import load
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.model import Node, RecipeError
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.resolve import resolve
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.validate import (
    errors,
    validate,
)

ROOT = pathlib.Path(__file__).resolve().parents[5]
BUNDLED = sorted((ROOT / "recipes").rglob("*.yaml"))
NODES = [Node(f"spark{i}", f"192.0.2.{i}", f"198.51.100.{i}", "eth1") for i in range(1, 9)]


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_a_bundled_recipe_has_no_issue_and_resolves(path: pathlib.Path) -> None:
    recipe = load(str(path))
    assert validate(recipe) == []
    assert resolve(recipe, {}, NODES).warnings == ()


def test_lab_tiny_and_its_solo_form_differ_in_topology_only() -> None:
    cluster, solo = (load(name, [str(ROOT / "recipes")]) for name in ("lab-tiny", "lab-tiny-solo"))
    assert (cluster.model, cluster.container) == (solo.model, solo.container)
    resolved = resolve(cluster, {}, NODES)
    assert (resolved.mode, resolved.runtime, len(resolved.ranks)) == ("cluster", "vllm-ray", 2)
    resolved = resolve(solo, {}, NODES)
    assert (resolved.mode, resolved.runtime, len(resolved.ranks)) == ("solo", "vllm", 1)


CORPUS = pathlib.Path(os.environ.get("DGXSPARK_CORPUS") or ROOT.parent / "shared" / "corpus")
FILES = sorted(path for path in CORPUS.rglob("*") if path.suffix in (".yaml", ".yml"))


@pytest.mark.skipif(not FILES, reason="no corpus: set DGXSPARK_CORPUS to a folder of recipes")
def test_every_recipe_of_the_corpus_loads_whole_and_resolves_or_says_why_not() -> None:
    for path in FILES:
        recipe = load(str(path))
        with path.open(encoding="utf-8") as stream:
            assert recipe.data == yaml.safe_load(stream), path
        found = errors(validate(recipe))
        # What is refused is refused by name; nothing of a real recipe is taken for a mistake
        # except the one that asks for two ranks on one node.
        assert {issue.code for issue in found} <= {
            "unsupported-field",
            "unsupported-version",
            "unsupported-runtime",
            "parallel-nodes",
        }, (path, list(map(str, found)))
        if found:
            with pytest.raises(RecipeError):
                resolve(recipe, {}, NODES)
        else:
            resolved = resolve(recipe, {}, NODES)
            engine = engine_of(recipe)
            assert engine is not None, path
            assert engine.is_server(resolved.ranks[0].argv), path
