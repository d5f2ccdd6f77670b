# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A runtime is one file: nowhere else does the engine ask which one it has."""

from __future__ import annotations

import ast
import pathlib
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.registry import (
    ENGINES,
    LATER_NAMES,
    NAMES,
)

ROOT = pathlib.Path(__file__).resolve().parents[6]
ENGINE = ROOT / "plugins/plugin_utils/recipe"
FILES = [path for path in sorted(ENGINE.rglob("*.py")) if path.parent != ENGINE / "runtimes"]
WORDS = {
    *(*NAMES, *LATER_NAMES),
    *(engine.name for engine in ENGINES),
    *(runtime.name for engine in ENGINES for runtime in engine.runtimes),
}
# A name of many other things, as of a recipe's field.
WORDS.discard("container")
OBJECTS = {"VLLM", "EUGR_VLLM", "SGLANG", "LLAMA_CPP", "CONTAINER"}


def choices(tree: ast.AST) -> t.Iterator[int]:
    """Lines that compare something with a runtime, or look something up by its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            parts: list[ast.expr | None] = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            parts = list(node.keys)
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        else:
            continue
        for part in parts:
            if part is not None and any(_is_runtime(inner) for inner in ast.walk(part)):
                yield part.lineno


def _is_runtime(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return node.value in WORDS
    return isinstance(node, ast.Name) and node.id in OBJECTS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_only_the_files_of_runtimes_ask_which_runtime_it_is(path: pathlib.Path) -> None:
    assert list(choices(ast.parse(path.read_text("utf-8")))) == []


@pytest.mark.parametrize(
    "line",
    [
        'x = engine.name == "vllm"',
        'x = runtime in ("vllm-ray", "sglang")',
        "x = engine is LLAMA_CPP",
        'x = {"sglang": 1}.get(engine)',
        'x = 1 if recipe.runtime != "eugr-vllm" else 2',
        'match runtime:\n    case "sglang":\n        pass',
    ],
)
def test_such_a_line_is_found(line: str) -> None:
    assert list(choices(ast.parse(line)))


def test_every_name_belongs_to_one_runtime() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert not set(NAMES) & set(LATER_NAMES)
    assert all(engine.runtimes for engine in ENGINES)
