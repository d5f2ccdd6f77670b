# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib
import textwrap
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Recipe,
)

ROOT = pathlib.Path(__file__).parents[5]
FIXTURES = ROOT / "tests/unit/fixtures/recipes"

MINIMAL = {
    "model": "org/model",
    "runtime": "vllm",
    "container": "org/image:1",
    "command": "vllm serve {model}",
}


@pytest.fixture
def recipe_of(tmp_path: pathlib.Path) -> t.Callable[..., Recipe]:
    """A recipe with the four needed fields and those given; None removes a field."""
    import yaml

    def build(**fields: t.Any) -> Recipe:
        data = {key: value for key, value in {**MINIMAL, **fields}.items() if value is not None}
        path = tmp_path / "sample.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return load(str(path))

    return build


@pytest.fixture
def recipe_text(tmp_path: pathlib.Path) -> t.Callable[[str], Recipe]:
    """A recipe from the text of its file."""

    def build(text: str) -> Recipe:
        path = tmp_path / "sample.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return load(str(path))

    return build


@pytest.fixture
def nodes() -> t.Callable[[int], list[Node]]:
    def build(count: int) -> list[Node]:
        return [
            Node(f"spark{i}", f"192.0.2.{i}", f"198.51.100.{i}", f"enp1s0f{i}np0")
            for i in range(1, count + 1)
        ]

    return build
