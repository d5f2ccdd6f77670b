# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/recipes.yml as a person runs it, on the controller alone."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[4]
RECIPE = """\
model: org/model
runtime: vllm
container: org/image:1
defaults: {port: 8000, max_model_len: 1024}
command: vllm serve {model} --port {port} --max-model-len {max_model_len}
"""

Play = t.Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def play(tmp_path: pathlib.Path) -> Play:
    """Run the playbook with an inventory of no node."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/mine.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "mine/broken.yaml").write_text(
        RECIPE.replace("{port}", "{prot}", 1).replace("{port: 8000", "{porx: 8000"),
        encoding="utf-8",
    )
    upstream = tmp_path / "upstream"
    upstream.mkdir()
    (upstream / "theirs.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "inventory.yml").write_text(
        json.dumps(
            {
                "all": {
                    "vars": {
                        # localhost is in no inventory.
                        "dgxspark_recipe_paths": ["{{ inventory_dir }}/mine"],
                        "dgxspark_recipe_registries": [{"name": "arena", "url": str(upstream)}],
                        "dgxspark_recipe_cache": "{{ inventory_dir }}/cache",
                        "dgxspark_recipe_values": {"mine": {"max_model_len": 2048}},
                    }
                }
            }
        ),
        encoding="utf-8",
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                str(pathlib.Path(sys.executable).with_name("ansible-playbook")),
                *("-i", str(tmp_path / "inventory.yml")),
                *(str(ROOT / "playbooks/recipes.yml"), *words),
            ],
            cwd=ROOT,
            env={**os.environ, "HOME": str(tmp_path), "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_without_anything_every_recipe_is_listed(play: Play, tmp_path: pathlib.Path) -> None:
    done = play("-e", f"json={tmp_path}/out.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "- mine " in done.stdout
    rows = {row["name"]: row for row in json.loads((tmp_path / "out.json").read_text())}
    assert rows["broken"]["errors"] == 1
    assert rows["qwen3-14b-fp8"]["fits"] == "fits"


def test_one_recipe_is_shown_with_the_inventorys_values(play: Play) -> None:
    done = play("-e", "show=mine")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--max-model-len 2048" in done.stdout
    done = play("-e", "show=mine", "-e", "overrides=max_model_len=4096")
    assert "--max-model-len 4096" in done.stdout


def test_validation_fails_with_the_file_and_the_reason(play: Play) -> None:
    done = play("-e", "validate=broken")
    assert done.returncode != 0
    assert "unresolved-placeholder" in done.stdout
    assert "broken.yaml" in done.stdout
    assert play("-e", "validate=mine", "-e", "strict=true").returncode == 0
    assert play("-e", "validate=all").returncode != 0


def test_memory_says_what_fits(play: Play) -> None:
    done = play("-e", "memory=qwen3-14b-fp8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "memory per node" in done.stdout
    assert "GiB" in done.stdout


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_a_registry_is_fetched_and_then_offline(play: Play, tmp_path: pathlib.Path) -> None:
    refused = play("-e", "show=@arena/theirs")
    assert refused.returncode != 0
    assert "fetch=true" in refused.stdout + refused.stderr
    upstream = tmp_path / "upstream"
    git = ["git", "-C", str(upstream), "-c", "user.name=Alice", "-c", "user.email=a@host.example"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], check=True)
    done = play("-e", "fetch=true")
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(upstream)
    assert play("-e", "show=@arena/theirs").returncode == 0


def test_a_list_of_recipes_is_validated(play: Play) -> None:
    assert play("-e", '{"validate": ["mine", "qwen3-1.7b"]}').returncode == 0
    assert play("-e", '{"validate": ["mine", "broken"]}').returncode != 0
