# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes at a shell's prompt."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.cli import main

BROKEN = "model: org/model\nruntime: vllm\ncontainer: org/image:1\ncommand: vllm serve {modle}\n"
GIB = 1024**3


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "broken.yaml").write_text(BROKEN, encoding="utf-8")
    (tmp_path / "unreadable.yaml").write_text("- a\n", encoding="utf-8")
    (tmp_path / "fine.yaml").write_text(BROKEN.replace("modle", "model"), encoding="utf-8")
    (tmp_path / "warned.yaml").write_text(
        BROKEN.replace("modle", "model").replace("{model}", "{model} --no-such-flag"),
        encoding="utf-8",
    )
    return tmp_path


def test_a_list_has_a_row_for_each_with_its_errors(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--path", str(folder), "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"broken", "unreadable", "fine", "warned", "qwen3-14b-fp8"} <= set(rows)
    assert [rows[name]["errors"] for name in ("broken", "unreadable", "fine")] == [1, 1, 0]
    assert "{model}" in rows["broken"]["error"]
    known = rows["qwen3-14b-fp8"]
    assert (known["fits"], known["nodes"], known["on_disk"]) == ("fits", "1", None)
    assert 15 < known["memory"] < 45
    assert main(["list", "--path", str(folder), "--node-gib", "10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["name", "model"]
    assert "exceeds" in next(line for line in lines if line.startswith("qwen3-14b-fp8 "))


def test_a_model_in_the_cache_is_on_disk(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "hf/hub/models--org--model/snapshots/abc").mkdir(parents=True)
    main(["list", "--path", str(folder), "--hf-home", str(tmp_path / "hf"), "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["fine"]["on_disk"], rows["qwen3-1.7b"]["on_disk"]) == (True, False)


def test_validate_fails_for_errors_and_strictly_for_warnings(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ["--path", str(folder)]
    assert main(["validate", "fine", *path]) == 0
    assert main(["validate", "warned", *path]) == 0
    assert main(["validate", "warned", "--strict", *path]) == 1
    assert main(["validate", "broken", *path]) == 1
    assert main(["validate", "all", *path]) == 1
    out = capsys.readouterr().out
    assert "[unresolved-placeholder]" in out
    assert "is a list; a recipe is a YAML map" in out
    assert out.splitlines()[-1].endswith("2 with errors")
    assert main(["validate", "all", "--strict"]) == 0


def test_show_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "gpt-oss-120b-ray"]) == 0
    out = capsys.readouterr().out
    assert "exec vllm serve openai/gpt-oss-120b" in out
    assert "a Ray worker, no server" in out
    assert main(["memory", "qwen3-1.7b", "-o", "max_model_len=1024", "--json"]) == 0
    memory = json.loads(capsys.readouterr().out)
    assert memory["context_tokens"] == 1024
    assert memory["weights"]["confidence"] == "medium"


def test_what_cannot_be_found_or_read_is_an_exit_status_of_its_own(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "qwen3-1.8b"]) == 2
    assert "Did you mean qwen3-1.7b" in capsys.readouterr().err
    assert main(["show", "unreadable", "--path", str(folder)]) == 2
    assert main(["memory", "broken", "--path", str(folder)]) == 1
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


def test_it_runs_as_a_program() -> None:
    package = "ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.cli"
    done = subprocess.run(
        [sys.executable, "-m", package, "validate", "qwen3-1.7b"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 recipes: 1 without an issue, 0 with errors\n"
