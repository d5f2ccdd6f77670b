# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action that fetches registries, with a real git repository."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import pytest

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


@pytest.fixture
def upstream(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "upstream"
    folder.mkdir()
    (folder / "mine.yaml").write_text("model: org/model\n", encoding="utf-8")
    git = ["git", "-C", str(folder), "-c", "user.name=Alice", "-c", "user.email=a@host.example"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], check=True)
    return folder


@pytest.fixture
def run(tmp_path: pathlib.Path) -> t.Callable[..., dict[str, t.Any]]:
    def call(check: bool = False, **arguments: t.Any) -> dict[str, t.Any]:
        words = [sys.executable, "-m", "ansible", "adhoc", "localhost", "-i", "localhost,"]
        module = ["-m", "dgxspark.suite.recipe_registry", "-a", json.dumps(arguments)]
        done = subprocess.run(
            [*words, *module, *(["--check"] if check else [])],
            cwd=tmp_path,
            env={
                **os.environ,
                "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
                "ANSIBLE_STDOUT_CALLBACK": "json",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "tasks" in done.stdout, done.stdout + done.stderr
        document = json.loads(done.stdout)
        return dict(document["plays"][0]["tasks"][0]["hosts"]["localhost"])

    return call


def test_check_mode_says_what_a_run_then_does_once(
    upstream: pathlib.Path, tmp_path: pathlib.Path, run: t.Callable[..., dict[str, t.Any]]
) -> None:
    given = {"name": "arena", "url": str(upstream), "cache": str(tmp_path / "cache")}
    foretold = run(check=True, **given)
    assert (foretold["changed"], foretold["commit"]) == (True, "")
    assert not (tmp_path / "cache").exists()
    done = run(**given)
    assert done["changed"]
    assert len(done["commit"]) == 40
    again = run(**given)
    assert (again["changed"], again["commit"]) == (False, done["commit"])
    assert run(check=True, **given)["changed"] is False
    assert sorted(os.listdir(tmp_path / "cache/arena" / done["commit"])) == ["mine.yaml"]


def test_a_refusal_names_the_registry_and_the_reason(
    tmp_path: pathlib.Path, run: t.Callable[..., dict[str, t.Any]]
) -> None:
    given = {"name": "arena", "cache": str(tmp_path / "cache")}
    failed = run(**given, url=str(tmp_path / "none"))
    assert failed["failed"]
    assert "registry arena" in failed["msg"]
    assert "plain name" in run(name="../x", url="/srv/x")["msg"]
