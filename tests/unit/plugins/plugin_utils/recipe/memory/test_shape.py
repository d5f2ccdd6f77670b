# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of a model from what a node returned, which may be any JSON."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.shape import shape

MODELS = pathlib.Path(__file__).parents[6] / "tests/unit/fixtures/models"


def test_the_shape_of_a_quantised_model() -> None:
    folder = MODELS / "llama-3.1-70b-fp8"
    configs = {path.name: json.loads(path.read_text()) for path in folder.iterdir()}
    assert shape(configs) == {
        "architecture": "LlamaForCausalLM",
        "model_type": "llama",
        "kind": "text",
        "dtype": "bf16",
        "quantisation": ["fp8"],
        "context": 131072,
        "moe": False,
        "vision": False,
    }


@pytest.mark.parametrize(
    "document", [[], None, 5, {"architectures": 5}, {"num_hidden_layers": "many"}]
)
def test_a_document_that_describes_no_model_has_no_shape(document: t.Any) -> None:
    assert shape({"config.json": document}) is None


def test_without_a_config_there_is_no_shape() -> None:
    assert shape({}) is None
