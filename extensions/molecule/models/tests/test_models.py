# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users of the playbooks about models see, in the order in which it happens on one lab."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from lab import address, on_node, playbook

TUNE = "/ai/models/my tune"
HUB = "/ai/cache/huggingface/hub"


def menu(folder: Path) -> dict[str, dict[str, Any]]:
    status, said = playbook("models", "-e", f"dgxspark_report_dir={folder}")
    assert status == 0, said
    assert (folder / "models.html").exists()
    rows = json.loads((folder / "models.json").read_text(encoding="utf-8"))["models"]
    return {row["name"]: row for row in rows}


def tree(node: str, folder: str) -> str:
    return on_node(node, f"cd {HUB}/{folder} && find . ! -type d | sort | xargs -d '\\n' sha256sum")


def test_the_menu_is_right_in_every_cell(tmp_path: Path) -> None:
    rows = menu(tmp_path)
    told = {
        name: (row["status"], row["nodes"], row["format"], row["fits"], row["recipes"])
        for name, row in rows.items()
    }
    both = ["spark1", "spark2"]
    assert told == {
        "dgxspark/tiny-qwen3": (
            *("ready", both, "safetensors", "solo"),
            ["lab-tiny-solo", "lab-tiny"],
        ),
        "dgxspark/tiny-qwen3-deep": ("ready", both, "safetensors", "solo", ["lab-tiny-2"]),
        "lab/half": ("not whole", [], "safetensors", "unknown", []),
        "lab/only-here": ("needs setup", ["spark2"], "safetensors", "solo", []),
        "lab/sharded": ("needs setup", both, "safetensors", "solo", []),
        "/ai/models/gguf": ("needs setup", ["spark1"], "gguf", rows["/ai/models/gguf"]["fits"], []),
        TUNE: ("needs setup", ["spark1"], "safetensors", "solo", []),
    }
    assert rows["/ai/models/gguf"]["quants"] == ["Q4_K_M", "Q8_0"]
    assert rows[TUNE]["shape"]["architecture"] == "Qwen3ForCausalLM"
    assert rows["lab/sharded"]["same_revision"] is True
    assert rows["lab/half"]["on"]["spark1"]["problems"] == [
        "1 of 2 shards are missing: model-00002-of-00002.safetensors",
        "1 of its files have not been downloaded to the end",
    ]


def test_sync_makes_both_equal_and_then_changes_nothing(tmp_path: Path) -> None:
    status, said = playbook("model_sync", "-e", "model=lab/only-here", "--check")
    assert status == 0, said
    assert "models--lab--only-here" not in on_node("spark1", f"ls {HUB}")
    for changed in ("changed=1", "changed=0"):
        status, said = playbook("model_sync", "-e", "model=lab/only-here")
        assert status == 0, said
        assert changed in said
    folder = "models--lab--only-here"
    assert tree("spark1", folder) == tree("spark2", folder)
    assert on_node("spark1", f"stat -c %U {HUB}/{folder}").strip() == "spark"
    assert "rsync" not in on_node("spark2", "ps -eo comm")
    assert menu(tmp_path)["lab/only-here"]["nodes"] == ["spark1", "spark2"]


def test_a_damaged_source_is_found_and_nothing_is_called_done(tmp_path: Path) -> None:
    blob = on_node(
        "spark2", f"readlink -f {HUB}/models--lab--sharded/snapshots/*/*00002-of*"
    ).strip()
    on_node("spark1", f"rm -r {HUB}/models--lab--sharded")
    on_node("spark2", f"cp {blob} /ai/kept; tr m n </ai/kept >{blob}")
    try:
        status, said = playbook("model_sync", "-e", "model=lab/sharded")
    finally:
        on_node("spark2", f"cat /ai/kept >{blob}; rm /ai/kept")
    assert status != 0
    assert "arrived damaged, or is damaged at its source" in said
    assert menu(tmp_path)["lab/sharded"]["nodes"] == ["spark2"]
    status, said = playbook("model_sync", "-e", "model=lab/sharded")
    assert status == 0, said


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


def test_a_model_without_recipe_is_set_up_launched_and_answers(recipes: Path) -> None:
    paths = json.dumps({"model": TUNE, "dgxspark_recipe_paths": [str(recipes)]})
    status, said = playbook("model_setup", "-e", paths)
    assert status == 0, said
    assert "Not written" in said
    assert list(recipes.iterdir()) == []
    status, said = playbook("model_setup", "-e", paths, "-e", json.dumps({"confirm": TUNE}))
    assert status == 0, said
    status, said = playbook("launch", "-e", paths, "-e", "recipe=my-tune", "--limit", "spark1")
    assert status == 0, said
    body = {"model": "my-tune", "prompt": "two sparks", "max_tokens": 2}
    request = urllib.request.Request(
        f"http://{address('spark1')}:8000/v1/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        assert isinstance(json.load(answer)["choices"][0]["text"], str)


def test_what_is_served_is_not_deleted_and_what_is_stopped_goes(
    recipes: Path, tmp_path: Path
) -> None:
    paths = json.dumps({"model": TUNE, "dgxspark_recipe_paths": [str(recipes)]})
    confirmed = ("-e", paths, "-e", json.dumps({"confirm": TUNE}))
    try:
        status, said = playbook("model_delete", *confirmed)
        assert status != 0
        assert "it is being served by recipe my-tune" in said
    finally:
        playbook("stop")
    status, said = playbook("model_delete", "-e", paths)
    assert status != 0
    assert "Nothing is removed yet" in said
    assert (recipes / "my-tune.yaml").exists()
    before = on_node("spark1", "find /ai -path '/ai/models/my tune*' -prune -o -print | sort")
    status, said = playbook("model_delete", *confirmed)
    assert status == 0, said
    assert on_node("spark1", "find /ai | sort") == before
    assert list(recipes.iterdir()) == []
    assert TUNE not in menu(tmp_path)
