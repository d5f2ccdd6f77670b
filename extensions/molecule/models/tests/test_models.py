# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks about models, on the models that prepare.yml lays out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import NODES, answers, on_node, playbook

FIRST, OTHER = NODES
TUNE = "/ai/models/my tune"
SHAPE = ("architecture", "kind", "dtype", "context", "moe", "vision")
HUB = "/ai/cache/huggingface/hub"


def menu(folder: Path) -> dict[str, dict[str, Any]]:
    status, said = playbook("models", "-e", f"dgxspark_report_dir={folder}")
    assert status == 0, said
    assert (folder / "models.html").exists()
    rows = json.loads((folder / "models.json").read_text(encoding="utf-8"))["models"]
    return {row["name"]: row for row in rows}


def tree(node: str, folder: str) -> str:
    # huggingface_hub caches answers of the Hub beside these.
    parts = "blobs refs snapshots"
    script = f"find {parts} ! -type d | sort | xargs -d '\\n' sha256sum"
    return on_node(node, f"cd {HUB}/{folder} && {script}")


MOE = f"{HUB}/models--lab--moe"


@pytest.fixture
def moe_on_the_other() -> Iterator[None]:
    """As laid out: not on the first node."""
    yield
    on_node(FIRST, f"rm -rf {MOE}")


def test_the_menu_is_right_in_every_cell(tmp_path: Path) -> None:
    rows = menu(tmp_path)
    cells = {
        name: (row["status"], row["nodes"], row["format"], row["fits"], row["recipes"])
        for name, row in rows.items()
    }
    both = list(NODES)
    assert cells == {
        "dgxspark/tiny-qwen3": (
            *("ready", both, "safetensors", "solo"),
            ["lab-tiny-solo", "lab-tiny"],
        ),
        "dgxspark/tiny-qwen3-deep": ("ready", both, "safetensors", "solo", ["lab-tiny-2"]),
        "lab/half": ("incomplete", [], "safetensors", "unknown", []),
        "lab/embedding": ("needs setup", both, "safetensors", "solo", []),
        "lab/llama": ("needs setup", both, "safetensors", "solo", []),
        "lab/moe": ("needs setup", [OTHER], "safetensors", "solo", []),
        "lab/sharded": ("needs setup", both, "safetensors", "solo", []),
        "/ai/models/gguf": ("needs setup", [FIRST], "gguf", rows["/ai/models/gguf"]["fits"], []),
        TUNE: ("needs setup", [FIRST], "safetensors", "solo", []),
    }
    shapes = {
        name: tuple(rows[name]["shape"][key] for key in SHAPE)
        for name in ("dgxspark/tiny-qwen3", "lab/embedding", "lab/llama", "lab/moe", TUNE)
    }
    qwen = ("Qwen3ForCausalLM", "text", "fp32", 512, False, False)
    assert shapes == {
        "dgxspark/tiny-qwen3": qwen,
        TUNE: qwen,
        "lab/embedding": ("XLMRobertaModel", "embedding", "fp32", 514, False, False),
        "lab/llama": ("LlamaForCausalLM", "text", "bf16", 1024, False, False),
        "lab/moe": ("Qwen3MoeForCausalLM", "text", "bf16", 2048, True, False),
    }
    for name, row in rows.items():
        assert row["missing_on"] == [node for node in NODES if node not in row["nodes"]]
        assert row["serving"] == []
        if row["kind"] == "hub" and row["nodes"]:
            folder = "models--" + name.replace("/", "--")
            sizes = on_node(row["nodes"][0], f"stat -c %s {HUB}/{folder}/blobs/*").split()
            assert row["size"] == sum(map(int, sizes))
            assert row["same_revision"] is True
    assert rows["/ai/models/gguf"]["quants"] == ["Q4_K_M", "Q8_0"]
    assert rows["lab/half"]["on"][FIRST]["problems"] == [
        "1 of 2 shards are missing: model-00002-of-00002.safetensors",
        "1 of its files are not completely downloaded",
    ]


@pytest.mark.usefixtures("moe_on_the_other")
def test_sync_makes_both_equal_and_then_changes_nothing(tmp_path: Path) -> None:
    status, said = playbook("model_sync", "-e", "model=lab/moe", "--check")
    assert status == 0, said
    assert "models--lab--moe" not in on_node(FIRST, f"ls {HUB}")
    for changed in ("changed=1", "changed=0"):
        status, said = playbook("model_sync", "-e", "model=lab/moe")
        assert status == 0, said
        assert changed in said
    folder = "models--lab--moe"
    assert tree(FIRST, folder) == tree(OTHER, folder)
    assert on_node(FIRST, f"stat -c %U {HUB}/{folder}").strip() == "spark"
    assert "dgxspark-offer:" not in on_node(OTHER, "ps -eo args")
    assert menu(tmp_path)["lab/moe"]["nodes"] == list(NODES)


def test_a_damaged_source_is_detected_and_nothing_is_reported_as_done(tmp_path: Path) -> None:
    blob = on_node(OTHER, f"readlink -f {HUB}/models--lab--sharded/snapshots/*/*00002-of*").strip()
    on_node(FIRST, f"rm -r {HUB}/models--lab--sharded")
    on_node(OTHER, f"cp {blob} /ai/kept; tr m n </ai/kept >{blob}")
    try:
        status, said = playbook("model_sync", "-e", "model=lab/sharded")
    finally:
        on_node(OTHER, f"cat /ai/kept >{blob}; rm /ai/kept")
    assert status != 0
    assert "arrived damaged, or is damaged at its source" in said
    assert menu(tmp_path)["lab/sharded"]["nodes"] == [OTHER]
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
    status, said = playbook("launch", "-e", paths, "-e", "recipe=my-tune", "--limit", FIRST)
    assert status == 0, said
    assert answers("my-tune")


@pytest.fixture
def tune() -> Iterator[None]:
    """It is laid out again after a test that deletes it."""
    on_node(FIRST, f"cp -a '{TUNE}' /opt/tune")
    yield
    on_node(FIRST, f"rm -rf '{TUNE}'; mv /opt/tune '{TUNE}'")


@pytest.fixture
def tuned(recipes: Path) -> None:
    """Served by a recipe of its own, which is made and launched only where that is not so."""
    if answers("my-tune"):
        return
    paths = json.dumps({"model": TUNE, "confirm": TUNE, "dgxspark_recipe_paths": [str(recipes)]})
    for call in (("model_setup",), ("launch", "-e", "recipe=my-tune", "--limit", FIRST)):
        status, said = playbook(*call, "-e", paths)
        assert status == 0, said


@pytest.mark.usefixtures("tune", "tuned")
def test_a_served_model_is_not_deleted_and_a_stopped_one_is(recipes: Path, tmp_path: Path) -> None:
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
    before = on_node(FIRST, "find /ai -path '/ai/models/my tune*' -prune -o -print | sort")
    status, said = playbook("model_delete", *confirmed)
    assert status == 0, said
    assert on_node(FIRST, "find /ai | sort") == before
    assert list(recipes.iterdir()) == []
    assert TUNE not in menu(tmp_path)
