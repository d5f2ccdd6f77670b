# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin, as a playbook runs it, on what nodes are said to have answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[4]
MODEL = {
    "name": "dgxspark/tiny-qwen3",
    "kind": "hub",
    "path": "/hub/x",
    "size": 5,
    "complete": True,
    "problems": [],
    "downloading": False,
    "revision": "a",
    "format": "safetensors",
    "quants": [],
    "users": [],
    "configs": {},
}
DISKS = {"models": [MODEL], "ignored": []}


def play(tmp_path: Path, told: dict[str, dict[str, Any]], **arguments: Any) -> tuple[int, str]:
    """Run the action where each host has these variables; its exit status and what it said."""
    inventory = {"all": {"hosts": {name: told[name] for name in told}}}
    task = {"dgxspark.suite.model_menu": arguments, "register": "menu", "run_once": True}
    show = {"ansible.builtin.debug": {"msg": "ROWS {{ menu.models | length }}"}, "run_once": True}
    book = [{"hosts": "all", "gather_facts": False, "tasks": [task, show]}]
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    (tmp_path / "play.yml").write_text(json.dumps(book))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook"),
            *("-i", str(tmp_path / "inventory.json"), str(tmp_path / "play.yml")),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
    )
    return done.returncode, done.stdout + done.stderr


def test_nodes_recipes_and_unknown_nodes_are_joined(tmp_path: Path) -> None:
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "mine.yaml").write_text("model: dgxspark/tiny-qwen3\n")
    (recipes / "broken.yaml").write_text("- 1\n")
    status, said = play(
        tmp_path,
        {
            "spark1": {"models_disks": DISKS, "models_workloads": {"containers": []}},
            "spark2": {"models_disks": {"failed": True, "msg": "no Python"}},
            "spark3": {},
        },
        recipe_paths=["recipes", str(ROOT / "tests/lab/recipes")],
        report_dir="reports",
    )
    assert status == 0, said
    assert "ROWS 1" in said
    assert (
        "dgxspark/tiny-qwen3  5 B   safetensors  -        all  -         ?     mine, lab-tiny"
        in said
    )
    assert "spark2: no Python" in said
    assert "spark3: unreachable" in said
    assert "broken.yaml" in said
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {
        "models.json",
        "models.html",
    }


def test_an_unwritable_directory_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, said = play(
        tmp_path, {"spark1": {"models_disks": DISKS}}, report_dir="file/x", show=False
    )
    assert status != 0
    assert "cannot write the report to" in said
    assert "MODEL" not in said


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    status, said = play(tmp_path, {"spark1": {}}, folder="x")
    assert status != 0
    assert "folder" in said
