# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of models that are none, and code of a model's repository."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Recipe

RecipeOf = t.Callable[..., Recipe]

FIELDS: dict[str, t.Callable[[str], dict[str, t.Any]]] = {
    "model": lambda name: {"model": name},
    "default": lambda name: {"defaults": {"model": name}},
    "draft": lambda name: {"draft_model": name},
    "config": lambda name: {
        "defaults": {"draft": {"model": name}},
        "command": "vllm serve {model} --speculative-config {draft}",
    },
}
BAD = ["--trust-remote-code", "-x", "org/m\nx", "org/m\x1b[2J", "org/m\0x", "org/" + "m" * 1024]


def codes(recipe: Recipe, overrides: dict[str, t.Any] | None = None) -> set[tuple[str, str]]:
    return {(issue.code, issue.severity) for issue in validate(recipe, overrides)}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_of_a_model_is_refused(recipe_of: RecipeOf, field: str, name: str) -> None:
    if field == "default" and "\n" in name:
        name = f'"{name}"'  # without quotes a default of several words
    found = codes(recipe_of(**FIELDS[field](name)))
    assert {("model-invalid", "error"), ("unsafe-value", "error")} & found


@pytest.mark.parametrize("name", BAD)
def test_an_override_is_no_better(recipe_of: RecipeOf, name: str) -> None:
    found = codes(recipe_of(), {"model": name})
    assert {("model-invalid", "error"), ("unsafe-value", "error")} & found


@pytest.mark.parametrize("name", ["org/model:Q4_K_M", "/ai/models/my model", "s3://b/m", "modèle"])
def test_other_names_are_taken(recipe_of: RecipeOf, name: str) -> None:
    assert ("model-invalid", "error") not in codes(recipe_of(model=name))


REMOTE: dict[str, dict[str, t.Any]] = {
    "a flag": {"command": "vllm serve {model} --trust-remote-code"},
    "underscores": {"command": "vllm serve {model} --trust_remote_code=True"},
    "a variable": {"command": 'A="--trust-remote-code"\nvllm serve {model} $A'},
    "a default": {"command": "vllm serve {model} {x}", "defaults": {"x": "--trust-remote-code"}},
    "JSON": {"command": "vllm serve {model} --hf-overrides '{\"trust_remote_code\": true}'"},
    "a made command": {"command": None, "defaults": {"trust_remote_code": True}},
    "SGLang": {
        "runtime": "sglang",
        "command": "python3 -m sglang.launch_server --model {model} --trust-remote-code",
    },
}


@pytest.mark.parametrize("fields", REMOTE.values(), ids=REMOTE)
def test_code_of_a_model_is_said_where_the_registry_is_not_trusted(
    recipe_of: RecipeOf, fields: dict[str, t.Any]
) -> None:
    recipe = recipe_of(**fields)
    assert "remote-code" not in {code for code, _severity in codes(recipe)}
    assert ("remote-code", "warning") in codes(dataclasses.replace(recipe, trusted=False))


@pytest.mark.parametrize("flag", ["", "--no-trust-remote-code"])
def test_no_code_of_a_model_is_not_said(recipe_of: RecipeOf, flag: str) -> None:
    recipe = dataclasses.replace(recipe_of(command=f"vllm serve {{model}} {flag}"), trusted=False)
    assert "remote-code" not in {code for code, _severity in codes(recipe)}
