# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mods and hooks in a plan; what they make of the script is run by a real bash."""

from __future__ import annotations

import dataclasses
import pathlib
import socket
import subprocess
import threading
import time
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Hook,
    Mod,
    Node,
    Rank,
    Recipe,
    RecipeError,
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch import mods_and_hooks
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    Settings,
    build_plan,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve

RecipeOf = t.Callable[..., Recipe]
Nodes = t.Callable[[int], list[Node]]


def mod(folder: pathlib.Path, script: str = "true", **files: str) -> Mod:
    folder.mkdir(parents=True)
    (folder / "run.sh").write_text(f"#!/usr/bin/env bash\nset -e\n{script}\n", encoding="utf-8")
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return Mod(folder.name, str(folder))


@pytest.fixture
def resolved_of(recipe_of: RecipeOf, nodes: Nodes) -> t.Callable[..., ResolvedRecipe]:
    def build(count: int = 1, **changes: t.Any) -> ResolvedRecipe:
        return dataclasses.replace(
            resolve(recipe_of(min_nodes=count, max_nodes=count), {}, nodes(count)), **changes
        )

    return build


@pytest.fixture
def run(
    tmp_path: pathlib.Path,
    resolved_of: t.Callable[..., ResolvedRecipe],
    monkeypatch: pytest.MonkeyPatch,
) -> t.Callable[..., subprocess.CompletedProcess[str]]:
    """Run what comes before the server, which then says where it is; as a container would."""
    monkeypatch.setattr(mods_and_hooks, "SEEN_AT", str(tmp_path / "seen"))
    monkeypatch.setattr(mods_and_hooks, "RUN_AT", str(tmp_path / "run"))
    workdir = tmp_path / "workdir"
    workdir.mkdir()

    def go(mods: list[Mod], **changes: t.Any) -> subprocess.CompletedProcess[str]:
        placed, wrong = mods_and_hooks.placed_mods(mods)
        assert wrong == []
        (tmp_path / "seen").mkdir()
        for one in placed:
            pathlib.Path(one.target).symlink_to(one.mod.folder)
        script = (
            mods_and_hooks.before(resolved_of(**changes), placed) + 'exec echo "serving in $PWD"'
        )
        return subprocess.run(
            ["bash", "-c", script], cwd=workdir, capture_output=True, text=True, check=False
        )

    return go


Run = t.Callable[..., "subprocess.CompletedProcess[str]"]


def test_mods_are_run_in_order_in_a_copy_of_their_folder(run: Run, tmp_path: pathlib.Path) -> None:
    first = mod(
        tmp_path / "one", 'cp a.jinja "$WORKSPACE_DIR/b.jinja"; touch trace', **{"a.jinja": "x"}
    )
    second = mod(tmp_path / "two", 'test -e "$WORKSPACE_DIR/b.jinja"; echo second')
    done = run([first, second], pre_exec=(Hook("cat b.jinja; echo"),))
    workdir = tmp_path / "workdir"
    assert done.stdout.split("\n")[:3] == ["second", "x", f"serving in {workdir}"]
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "one" / "trace").exists(), "the folder itself is read-only"


def test_a_mod_that_fails_ends_the_container_by_name(run: Run, tmp_path: pathlib.Path) -> None:
    done = run([mod(tmp_path / "patch", "exit 7")])
    assert (done.returncode, done.stdout) == (1, "")
    assert "dgxspark: the mod patch failed with 7" in done.stderr


@pytest.mark.parametrize(
    ("hook", "code"),
    [(Hook("exit 3"), 3), (Hook("echo 'open"), 2), (Hook("sleep 5", 0.1), 124), (Hook(") }"), 2)],
)
def test_a_pre_exec_that_fails_ends_the_container_whatever_it_is(
    run: Run, hook: Hook, code: int
) -> None:
    done = run([], pre_exec=(Hook("true"), hook))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"dgxspark: pre_exec 2 failed with {code}" in done.stderr


def test_no_recipe_without_extras_gets_a_line_more(resolved_of: t.Any) -> None:
    resolved = resolved_of()
    assert mods_and_hooks.before(resolved, []) + mods_and_hooks.after(resolved) == ""


def test_post_exec_waits_until_the_server_is_healthy(
    resolved_of: t.Any, tmp_path: pathlib.Path
) -> None:
    answers = [b"HTTP/1.1 503 No\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in answers:
                connection = listening.accept()[0]
                with connection:
                    connection.recv(100)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        resolved = resolved_of(post_exec=(Hook("exit 4"), Hook(f"echo done > {tmp_path}/done")))
        here = dataclasses.replace(resolved.ranks[0].node, address="127.0.0.1")
        resolved = dataclasses.replace(
            resolved,
            port=listening.getsockname()[1],
            ranks=(Rank(0, "head", here, "exec true", ("true",)),),
        )
        started = subprocess.run(
            ["bash", "-c", mods_and_hooks.after(resolved) + "exec true"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=2,
        )
        assert started.returncode == 0, "the server does not wait for it"
        deadline = time.monotonic() + 30
        while not (tmp_path / "done").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_only_the_head_runs_post_exec_and_every_rank_the_rest(resolved_of: t.Any) -> None:
    resolved = resolved_of(2, pre_exec=(Hook("echo first"),), post_exec=(Hook("echo last"),))
    scripts = [rank["argv"][1] for rank in build_plan(resolved, Settings())["ranks"]]
    assert ["echo first" in script for script in scripts] == [True, True]
    assert ["echo last" in script for script in scripts] == [True, False]
    assert all(script.index("echo first") < script.index("ray start") for script in scripts)


def test_a_mod_is_mounted_by_what_is_in_it_and_changes_the_hash(
    resolved_of: t.Any, tmp_path: pathlib.Path
) -> None:
    plain = build_plan(resolved_of(), Settings())
    resolved = resolved_of(mods=(mod(tmp_path / "patch"),))
    plan = build_plan(resolved, Settings())
    (entry,) = plan["mods"]
    assert entry["folder"] == str(tmp_path / "patch")
    assert entry["source"].startswith("/var/lib/dgxspark/mods/")
    mount = plan["ranks"][0]["mounts"][-1]
    assert (mount["source"], mount["read_only"]) == (entry["source"], True)
    assert mount["source"] in plan["docker_commands"][0]["command"]
    (tmp_path / "patch" / "run.sh").write_text("echo other\n", encoding="utf-8")
    other = build_plan(resolved, Settings())
    assert len({plain["hash"], plan["hash"], other["hash"]}) == 3
    assert other["mods"][0]["source"] != entry["source"]


def test_mods_of_the_same_content_are_mounted_once(
    resolved_of: t.Any, tmp_path: pathlib.Path
) -> None:
    mods = (mod(tmp_path / "one"), mod(tmp_path / "two"))
    plan = build_plan(resolved_of(mods=mods), Settings())
    targets = [mount["target"] for mount in plan["ranks"][0]["mounts"]]
    assert len(targets) == len(set(targets)) == 3
    assert plan["ranks"][0]["argv"][1].count("./run.sh") == 2


def test_where_a_mod_lies_on_the_controller_is_not_part_of_the_hash(
    resolved_of: t.Any, tmp_path: pathlib.Path
) -> None:
    here, there = mod(tmp_path / "here" / "patch"), mod(tmp_path / "there" / "patch")
    plans = [build_plan(resolved_of(mods=(one,)), Settings()) for one in (here, there)]
    assert plans[0]["hash"] == plans[1]["hash"]


def test_a_mod_takes_nothing_of_the_controller_along(
    resolved_of: t.Any, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "secret").write_text("s", encoding="utf-8")
    patch = mod(tmp_path / "patch")
    (tmp_path / "patch" / "file").symlink_to(tmp_path / "secret")
    with pytest.raises(RecipeError, match="file leads out of it"):
        build_plan(resolved_of(mods=(patch,)), Settings())
