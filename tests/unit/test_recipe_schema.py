# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipe format as JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.fields import FIELDS
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.schema import (
    schema,
    schema_text,
)

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs/contracts/recipe.schema.json"
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


def test_the_file_is_what_the_code_says() -> None:
    assert FILE.read_text(encoding="utf-8") == schema_text()
    jsonschema.Draft202012Validator.check_schema(schema())
    assert set(schema()["properties"]) == set(FIELDS)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_collection_fits_it(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema())


@pytest.mark.parametrize(
    "change",
    [
        {"model": None},
        {"defaults": ["port"]},
        {"env": {"A-B": "1"}},
        {"env": {"A": None}},
        {"mode": "both"},
        {"min_nodes": 0},
        {"mods": [1]},
        {"pre_exec": [{"copy": "x"}]},
        {"overrides": [{"defaults": {}}]},
    ],
)
def test_what_is_wrong_does_not_fit(change: dict[str, Any]) -> None:
    good = {"model": "org/model", "container": "org/image:1", "command": "vllm serve {model}"}
    jsonschema.validate(good, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**good, **change}, schema())
