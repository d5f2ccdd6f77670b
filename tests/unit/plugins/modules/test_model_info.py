# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module itself, on a cache in a temporary folder."""

from __future__ import annotations

import json
import shutil
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.modules import model_info

CONFIG = json.dumps(
    {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "vocab_size": 512,
        "max_position_embeddings": 4096,
    }
)

RunModule = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "hub" / "models--org--one"
    snapshot = folder / "snapshots" / ("a" * 40)
    for part in (snapshot, folder / "blobs", folder / "refs"):
        part.mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    for name, data in (("config.json", CONFIG), ("model.safetensors", "weights")):
        (folder / "blobs" / name.encode().hex()).write_text(data)
        (snapshot / name).symlink_to(f"../../blobs/{name.encode().hex()}")
    (tmp_path / "home" / "hub" / "models--bad name").mkdir()
    own = tmp_path / "own" / 'it\'s a "tune"'
    own.mkdir(parents=True)
    (own / "a-Q8_0.gguf").write_text("g")
    return tmp_path


@pytest.fixture
def run_module(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> RunModule:
    monkeypatch.setenv("HOME", str(home / "alice"))

    def run(**arguments: t.Any) -> dict[str, t.Any]:
        given = {"hf_home": str(home / "home"), "directories": [str(home / "own")], **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            model_info.main()
        result: dict[str, t.Any] = json.loads(capsys.readouterr().out)
        return result

    return run


@pytest.mark.parametrize("check_mode", [False, True])
def test_models_of_both_kinds_are_reported(
    run_module: RunModule, home: Path, check_mode: bool
) -> None:
    result = run_module(_ansible_check_mode=check_mode)
    assert result["changed"] is False
    assert [(one["name"], one["size"], one["complete"]) for one in result["models"]] == [
        ("org/one", len(CONFIG) + 7, True),
        (f'{home}/own/it\'s a "tune"', 1, True),
    ]
    first, second = result["models"]
    assert (first["config_problem"], second["config_problem"]) == ("", "")
    assert [one["name"] for one in second["quants"]] == ["Q8_0"]
    assert [one["reason"] for one in result["ignored"]] == ["its name is not that of a repository"]
    assert result["disks"][0]["free"] > 0
    assert result["memory"] > 1 << 28


def test_files_are_returned_when_asked_for(run_module: RunModule) -> None:
    (model,) = run_module(name="org/one", files=True)["models"]
    (revision,) = model["revisions"]
    assert [one["path"] for one in revision["files"]] == ["config.json", "model.safetensors"]
    assert {one["blob"]: one["size"] for one in revision["files"]} == model["blobs"]
    assert model["unfinished"] == []


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_an_invalid_config_is_reported_and_the_model_listed(
    run_module: RunModule, home: Path, text: str
) -> None:
    (next(home.glob("home/hub/*/blobs")) / b"config.json".hex()).write_text(text)
    (model,) = run_module(name="org/one", configs=True)["models"]
    assert model["configs"] == {}
    assert "config.json" in model["config_problem"]


def test_the_documents_are_returned_when_asked_for(run_module: RunModule) -> None:
    (model,) = run_module(name="org/one", configs=True)["models"]
    assert model["configs"] == {"config.json": json.loads(CONFIG)}


@pytest.mark.parametrize("arguments", [{"hf_home": "hub"}, {"directories": ["models"]}])
def test_a_relative_path_is_refused(
    run_module: RunModule, arguments: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run_module(**arguments)
    assert result["failed"] is True
    assert result["msg"].endswith("is not an absolute path")


def test_every_key_that_is_returned_is_documented(run_module: RunModule) -> None:
    result = run_module()
    documented = yaml.safe_load(model_info.RETURN)
    assert set(result) - {"changed", "invocation"} == set(documented)
    assert set(result["models"][0]) == set(documented["models"]["sample"][0])
    assert set(result["models"][0]["revisions"][0]) == set(
        documented["models"]["sample"][0]["revisions"][0]
    )
    for name in ("ignored", "disks"):
        assert set(result[name][0]) == set(documented[name]["sample"][0])


def test_the_default_cache_of_the_user_is_offered(run_module: RunModule, home: Path) -> None:
    place = home / "alice" / ".cache" / "huggingface"
    assert [one["path"] for one in run_module()["ignored"]] == [
        str(home / "home" / "hub" / "models--bad name")
    ]
    place.parent.mkdir(parents=True)
    shutil.copytree(home / "home", place, symlinks=True)
    offered = run_module()["ignored"][-1]
    assert offered["path"] == str(place / "hub")
    assert f"dgxspark_hf_home: {place}" in offered["reason"]
    assert run_module(name="org/one")["ignored"] == run_module(name="org/none")["ignored"]
    # It is the configured one, by another path.
    shutil.rmtree(place)
    place.symlink_to(home / "home")
    assert len(run_module()["ignored"]) == 1
