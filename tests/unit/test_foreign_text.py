# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON and numbers are read by host/foreign.py, which returns or raises Foreign.

json.loads of a deep document is a RecursionError; "²".isdigit() is true, and int("²") is an error.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
DIGITS = ("isdigit", "isnumeric", "isdecimal")
# File below plugins -> why it reads by itself.
EXCEPTIONS = {
    "module_utils/host/foreign.py": "it is the door",
    "plugin_utils/audit_runner.py": "installed without the collection; reads its own files",
    "plugin_utils/webhook.py": "installed without the collection; audit_runner.py is its caller",
    "plugin_utils/recipe/lookup.py": "a copy without Ansible's types: dumps, then loads",
    "action/webhook.py": "the same",
    "action/model_setup.py": "the same",
}


def bare(text: str) -> Iterator[str]:
    """line: name of each use of a reader of JSON or of a test for digits, called or not."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and (
            node.attr in DIGITS
            or (
                node.attr in ("load", "loads", "JSONDecoder")
                and isinstance(node.value, ast.Name)
                and node.value.id == "json"
            )
        ):
            yield f"{node.lineno}: {node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "json":
            yield f"{node.lineno}: from json import"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "json" and alias.asname:
                    yield f"{node.lineno}: json as {alias.asname}"


def test_nothing_else_reads_json_or_tests_digits() -> None:
    found = {
        path.relative_to(PLUGINS).as_posix(): list(bare(path.read_text("utf-8")))
        for path in PLUGINS.rglob("*.py")
    }
    assert {file: uses for file, uses in found.items() if uses and file not in EXCEPTIONS} == {}
    # An exception that is not needed any more goes.
    assert [file for file in EXCEPTIONS if not found[file]] == []


@pytest.mark.parametrize(
    "line",
    [
        "json.loads(text)",
        "json.load(stream)",
        "text.strip().isdigit()",
        "filter(str.isdecimal, words)",
        "read = json.loads",
        "from json import loads",
        "import json as j",
        "json.JSONDecoder().decode(text)",
    ],
)
def test_what_reads_by_itself_is_found(line: str) -> None:
    assert list(bare(line))


@pytest.mark.parametrize("line", ["json.dumps(x)", "foreign.json_of(text)", "yaml.load(x)"])
def test_what_does_not_is_not(line: str) -> None:
    assert not list(bare(line))
