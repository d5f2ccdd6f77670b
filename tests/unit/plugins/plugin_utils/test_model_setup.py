# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes for models of the menu: valid, written once, and never over a person's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.dgxspark.suite.plugins.plugin_utils.menu import (
    Menu,
    MenuRecipe,
    NodeModels,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.model_setup import (
    SetupError,
    propose,
    write,
)

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "models"
SPARK = 130_000_000_000


def menu(fixture: str, name: str = "org/Name", nodes: int = 1, **told: Any) -> Menu:
    configs = {path.name: json.loads(path.read_text()) for path in (FIXTURES / fixture).iterdir()}
    model = {
        "name": name,
        "kind": "hub",
        "path": "/hub/x",
        "format": "safetensors",
        "quants": [],
        "complete": True,
        "problems": [],
        "configs": configs,
        **told,
    }
    lying = NodeModels([model], memory=SPARK)
    recipes = [MenuRecipe("mine", "mine", "/r/mine.yaml", "org/Name")]
    return Menu({f"spark{number}": lying for number in range(nodes)}, recipes)


@pytest.mark.parametrize("fixture", sorted(path.name for path in FIXTURES.iterdir()))
def test_every_known_model_gets_a_valid_recipe_for_two_sparks(fixture: str, tmp_path: Path) -> None:
    proposal = propose(menu(fixture, nodes=2), "org/Name", str(tmp_path), "example/vllm:1")
    written = yaml.safe_load(proposal.text)
    assert written["metadata"]["inferred_for"] == "org/Name"
    assert written["model"] == "org/Name"
    assert written["max_nodes"] in (1, 2)
    assert proposal.others == ("mine",)
    assert list(tmp_path.iterdir()) == []


def test_it_is_written_once_and_updated(tmp_path: Path) -> None:
    found, folder = menu("qwen3-1.7b"), str(tmp_path / "new" / "recipes")
    first = propose(found, "org/Name", folder)
    assert first.changed
    write(first)
    assert not propose(found, "org/Name", folder).changed
    assert propose(found, "org/Name", folder, port=9000).changed
    assert "port: 9000" in propose(found, "org/Name", folder, port=9000).shown()


@pytest.mark.parametrize(
    "text",
    [
        "model: org/Name\n",
        "model: org/Name\nmetadata: {inferred_for: org/other}\n",
        "- no recipe\n",
        "",
    ],
)
def test_another_recipe_is_never_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "name.yaml").write_text(text)
    with pytest.raises(SetupError, match="was not inferred for"):
        propose(menu("qwen3-1.7b"), "org/Name", str(tmp_path))
    assert (tmp_path / "name.yaml").read_text() == text


@pytest.mark.parametrize(
    ("found", "name", "reason"),
    [
        (menu("qwen3-1.7b"), "org/none", "it is on none of the nodes"),
        (
            menu("qwen3-1.7b", complete=False, problems=["x is missing"]),
            "org/Name",
            "x is missing",
        ),
        (menu("qwen3-1.7b", configs={}), "org/Name", "nothing is known of org/Name"),
        (menu("qwen3-1.7b", configs={"config.json": []}), "org/Name", "expected a map"),
    ],
)
def test_a_refusal_has_its_reason(tmp_path: Path, found: Menu, name: str, reason: str) -> None:
    with pytest.raises(SetupError, match=reason):
        propose(found, name, str(tmp_path))


def test_a_gguf_model_is_set_up_for_the_requested_quantisation(tmp_path: Path) -> None:
    quants = [
        {"name": name, "complete": True, "size": size << 30, "files": [f"a-{name}.gguf"]}
        for name, size in (("Q4_K_M", 5), ("Q8_0", 9))
    ]
    found = menu("qwen3-1.7b", "org/N-GGUF", format="gguf", quants=quants, configs={})
    for quant, model in (("", "org/N-GGUF:Q4_K_M"), ("Q8_0", "org/N-GGUF:Q8_0")):
        proposal = propose(found, "org/N-GGUF", str(tmp_path), "example/llama:1", quant=quant)
        assert proposal.inference.recipe["model"] == model
    with pytest.raises(SetupError, match="no complete Q2_K; it has: Q4_K_M, Q8_0"):
        propose(found, "org/N-GGUF", str(tmp_path), quant="Q2_K")
