# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module itself, on a cache in a temporary folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.models import removal
from ansible_collections.dgxspark.suite.plugins.modules import model_delete

RunModule = t.Callable[..., dict[str, t.Any]]
# Unique to this process: the module looks at all processes of the machine,
# and tests run in parallel.
NAME = f"org/one-{os.getpid()}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "hub" / f"models--{NAME.replace('/', '--')}"
    (folder / "snapshots" / "a").mkdir(parents=True)
    (folder / "snapshots" / "a" / "config.json").write_text("{}")
    return folder


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str], tmp_path: Path, folder: Path) -> RunModule:
    def run(**arguments: t.Any) -> dict[str, t.Any]:
        given = {"hf_home": str(tmp_path), "directories": [], "name": NAME, **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            model_delete.main()
        result: dict[str, t.Any] = json.loads(capsys.readouterr().out)
        return result

    return run


def test_check_then_remove_then_nothing(run_module: RunModule, folder: Path) -> None:
    checked = run_module(_ansible_check_mode=True)
    assert (checked["changed"], checked["paths"], checked["freed"]) == (True, [str(folder)], 2)
    assert folder.exists()
    removed = run_module(confirm=NAME, expect=checked["plan_id"])
    assert (removed["changed"], removed["paths"]) == (True, [str(folder)])
    assert list(folder.parent.iterdir()) == []
    again = run_module(confirm=NAME)
    assert (again["changed"], again["paths"]) == (False, [])


@pytest.mark.parametrize("confirm", ["", "yes", "org/two"])
def test_nothing_is_removed_without_confirmation(
    run_module: RunModule, folder: Path, confirm: str
) -> None:
    result = run_module(confirm=confirm)
    assert result["failed"] is True
    assert f"Confirm it: confirm={NAME}" in result["msg"]
    assert folder.exists()


def test_nothing_is_removed_that_was_not_shown(run_module: RunModule, folder: Path) -> None:
    shown = run_module(_ansible_check_mode=True)["plan_id"]
    (folder / "snapshots" / "a" / "more").write_text("more")
    result = run_module(confirm=NAME, expect=shown)
    assert "has changed since the plan was shown" in result["msg"]
    assert folder.exists()


def test_a_used_model_is_refused_and_check_mode_reports_it(
    run_module: RunModule, folder: Path
) -> None:
    program = "print(flush=True); input()"
    argv = [sys.executable, "-c", program, f"--model={NAME}"]
    with subprocess.Popen(argv, stdin=-1, stdout=-1) as user:
        try:
            # Its command line is there once it runs.
            assert user.stdout
            user.stdout.readline()
            checked = run_module(_ansible_check_mode=True)
            refused = run_module(confirm=NAME)
        finally:
            user.terminate()
    assert checked["changed"] is False
    assert f"(pid {user.pid})" in checked["refusals"][0]
    assert refused["failed"] is True
    assert refused["msg"].startswith(f"{NAME} is not removed: it is used by")
    assert folder.exists()


@pytest.mark.parametrize(
    "name", ["../x", "a b/c", "org/one\n", "", "/ai/../etc", "/ai/models/", "o'rg/x", "models--x"]
)
def test_an_invalid_name_is_refused(run_module: RunModule, folder: Path, name: str) -> None:
    result = run_module(name=name, confirm=name)
    assert result["failed"] is True
    assert folder.exists()


def test_a_directory_that_is_not_a_model_does_not_exist(
    run_module: RunModule, tmp_path: Path
) -> None:
    name = str(tmp_path / "hub")
    result = run_module(name=name, confirm=name, directories=[str(tmp_path)])
    assert (result["changed"], result["paths"]) == (False, [])


def test_a_model_directory_root_is_refused(run_module: RunModule, tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_text("g")
    name = str(tmp_path)
    result = run_module(name=name, confirm=name, directories=[name + "/"])
    assert result["failed"] is True
    assert (tmp_path / "a.gguf").exists()


def test_an_error_of_the_disk_is_reported(
    run_module: RunModule, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(plan: removal.RemovalPlan) -> t.NoReturn:
        raise OSError(30, "Read-only file system", plan.paths[0])

    monkeypatch.setattr(removal, "apply", refuse)
    result = run_module(confirm=NAME)
    assert result["failed"] is True
    assert f"{folder}: Read-only file system" in result["msg"]


def test_every_key_that_is_returned_is_documented(run_module: RunModule) -> None:
    result = run_module(_ansible_check_mode=True)
    assert set(result) - {"changed", "invocation", "diff"} == set(
        yaml.safe_load(model_delete.RETURN)
    )
