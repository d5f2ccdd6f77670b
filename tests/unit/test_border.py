# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Code lies where it runs: module_utils on nodes, plugin_utils on the controller, no arrow back."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "ansible_collections.dgxspark.suite.plugins."
# What an arrow may lead to, from a folder of the controller side; module_utils below.
CONTROLLER = ("action", "callback", "filter", "inventory", "lookup", "plugin_utils")

Graph = Mapping[str, frozenset[str]]


def imports(root: Path) -> Graph:
    """Module -> the modules of the collection that it imports, by dotted name below plugins."""
    files = {
        ".".join(path.relative_to(root).with_suffix("").parts): path for path in root.rglob("*.py")
    }
    return {
        name: frozenset(_imported(path.read_text("utf-8"), files)) for name, path in files.items()
    }


def _imported(text: str, known: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            module = f"{node.module}."
            names = [f"{module}{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith(PREFIX):
                short = name[len(PREFIX) :]
                yield short if short in known else short.rpartition(".")[0]


def closure(graph: Graph, start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += graph[name]
    return reached


def crossings(graph: Graph) -> list[str]:
    """Modules whose closure meets controller code."""
    return [
        f"{name} -> {other}"
        for name in sorted(graph)
        if name.startswith("modules.")
        for other in sorted(closure(graph, name))
        if other.startswith(CONTROLLER)
    ]


def unreached(graph: Graph) -> set[str]:
    """Files of module_utils that no module imports, directly or not."""
    modules = [name for name in graph if name.startswith("modules.")]
    shipped = set().union(*(closure(graph, name) for name in modules))
    return {name for name in graph if name.startswith("module_utils.")} - shipped


def circles(graph: Graph) -> list[str]:
    """Pairs of folders that import each other, directly or by way of others."""
    folders: dict[str, set[str]] = {}
    for name, others in graph.items():
        folder = name.rpartition(".")[0]
        targets = folders.setdefault(folder, set())
        targets |= {other.rpartition(".")[0] for other in others} - {folder}
    reach = {
        folder: closure({key: frozenset(value) for key, value in folders.items()}, folder)
        for folder in folders
    }
    return sorted(
        f"{one} <-> {other}"
        for one in folders
        for other in folders[one]
        if one != other and one in reach[other]
    )


@pytest.fixture(scope="module")
def graph() -> Graph:
    return imports(ROOT / "plugins")


def test_no_module_reaches_controller_code(graph: Graph) -> None:
    assert crossings(graph) == []


def test_every_file_of_module_utils_is_reached_by_a_module(graph: Graph) -> None:
    assert unreached(graph) == set()


def test_no_two_folders_import_each_other(graph: Graph) -> None:
    assert circles(graph) == []


@pytest.mark.parametrize(
    ("file", "line", "found"),
    [
        ("module_utils/low.py", "plugin_utils.recipe import cli", crossings),
        ("modules/one.py", "plugin_utils.recipe.cli import main", crossings),
        ("plugin_utils/recipe/cli.py", "plugin_utils.deep.below import x", circles),
        ("module_utils/lonely.py", "module_utils.low import x", unreached),
    ],
)
def test_whoever_crosses_is_found(tmp_path: Path, file: str, line: str, found: object) -> None:
    house = {
        "modules/one.py": "module_utils.low import x",
        "module_utils/low.py": "",
        "plugin_utils/recipe/cli.py": "",
        "plugin_utils/deep/below.py": "plugin_utils.recipe import cli",
        file: line,
    }
    assert callable(found)
    for name, target in house.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"from {PREFIX}{target}\n" if target else "x = 1\n")
    assert found(imports(tmp_path))
