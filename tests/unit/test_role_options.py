# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an option of a role comes from the documentation of the modules that its tasks call."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"
TASKS = """\
- name: One
  block:
    - name: Two
      dgxspark.suite.first:
        size: "{{ dgxspark_size }}"
        path: "{{ dgxspark_path | default(omit, true) }}"
        quiet: "{{ not dgxspark_loud | bool }}"
      vars:
        dgxspark_set_here: 1
      register: dgxspark_result_first
# dgxspark_commented
"""


def module(**options: dict[str, Any]) -> dict[str, Any]:
    return {"doc": {"options": options}}


DOCS = {
    "first": module(
        size={
            "description": ["Smaller than O(limit=3), below O(path).", "More."],
            "type": "int",
            "default": 2,
        },
        path={"description": "Where.", "type": "path"},
    ),
    "second": module(size={"description": "Another size.", "type": "int", "default": 2}),
}


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("role_options")


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "main.yml").write_text(TASKS, encoding="utf-8")
    return tmp_path


LOUD = {"dgxspark_loud": {"description": "Whether.", "type": "bool", "default": False}}


def test_an_option_that_a_task_hands_on_is_described_by_the_module(
    tool: ModuleType, tasks: Path
) -> None:
    made = tool.options(tool.read(tasks), LOUD, DOCS)
    assert made == {
        "dgxspark_loud": LOUD["dgxspark_loud"],
        "dgxspark_path": {"description": "Where.", "type": "path", "default": ""},
        "dgxspark_size": {
            "description": [
                "Smaller than O(dgxspark.suite.first#module:limit=3), below O(dgxspark_path).",
                "More.",
            ],
            "type": "int",
            "default": 2,
        },
    }


def test_a_variable_that_nothing_describes_is_refused(tool: ModuleType, tasks: Path) -> None:
    with pytest.raises(tool.OptionError, match="dgxspark_loud"):
        tool.options(tool.read(tasks), {}, DOCS)


def test_two_modules_that_differ_are_refused_until_one_is_named(
    tool: ModuleType, tasks: Path
) -> None:
    (tasks / "tasks" / "more.yml").write_text(
        '- dgxspark.suite.second: {size: "{{ dgxspark_size }}"}\n', encoding="utf-8"
    )
    with pytest.raises(tool.OptionError, match=r"dgxspark_size.*first\.size.*second\.size"):
        tool.options(tool.read(tasks), LOUD, DOCS)
    named = {**LOUD, "dgxspark_size": {"from": "second.size"}}
    size = tool.options(tool.read(tasks), named, DOCS)["dgxspark_size"]
    assert size["description"] == "Another size."


def test_a_role_may_differ_in_one_variable(tool: ModuleType, tasks: Path) -> None:
    differs = {"roles": {tasks.name: {"required": True, "description": "Here."}}}
    entries = {"dgxspark_loud": {**LOUD["dgxspark_loud"], **differs}}
    made = tool.options(tool.read(tasks), entries, DOCS)
    assert next(iter(made)) == "dgxspark_loud"
    assert made["dgxspark_loud"] == {"description": "Here.", "type": "bool", "required": True}
