# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries from real git repositories: fetched, pinned, offline, and nothing of them run."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    RecipeError,
    RecipeNotFound,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.registries import (
    Registry,
    fetch,
    pinned_commit,
    place_of,
    registries_of,
)

RECIPE = """\
model: org/model
runtime: vllm
container: org/image:1
mods: [mods/patch]
pre_exec: [touch /tmp/x]
post_exec: [curl localhost]
volumes: ["/etc:/host"]
command: vllm serve {model}
"""

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


def git(folder: pathlib.Path, *arguments: str) -> str:
    environ = {
        **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "Alice"),
        **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "alice@host.example"),
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def upstream(tmp_path: pathlib.Path) -> pathlib.Path:
    """A repository with recipes/deep/mine.yaml, mods/patch and a link that leads out of it."""
    folder = tmp_path / "upstream"
    (folder / "recipes/deep").mkdir(parents=True)
    (folder / "recipes/deep/mine.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "mods/patch").mkdir(parents=True)
    (folder / "mods/patch/run.sh").write_text("touch /tmp/pwned\n", encoding="utf-8")
    (folder / "recipes/link.yaml").symlink_to("/etc/hostname")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=one")
    return folder


@pytest.fixture
def cache(tmp_path: pathlib.Path) -> str:
    return str(tmp_path / "cache")


def registry(upstream: pathlib.Path, **more: t.Any) -> Registry:
    return Registry("arena", f"file://{upstream}", folder="recipes", **more)


def commit_more(upstream: pathlib.Path) -> str:
    (upstream / "recipes/second.yaml").write_text(RECIPE, encoding="utf-8")
    git(upstream, "add", ".")
    git(upstream, "commit", "--quiet", "--message=two")
    return git(upstream, "rev-parse", "HEAD")


def test_a_registry_is_fetched_once_and_read_offline(upstream: pathlib.Path, cache: str) -> None:
    mine = registry(upstream)
    assert pinned_commit(mine, cache) == ""
    with pytest.raises(RecipeNotFound, match="has not been fetched yet"):
        load("@arena/mine", [place_of(mine, cache)])
    commit, changed = fetch(mine, cache)
    assert changed
    assert commit == git(upstream, "rev-parse", "HEAD") == pinned_commit(mine, cache)
    shutil.rmtree(upstream)
    recipe = load("@arena/mine", [place_of(mine, cache)])
    assert (recipe.registry, recipe.trusted) == ("arena", False)
    assert load("mine", [place_of(mine, cache)]).path == recipe.path


def test_the_copy_is_plain_files_without_git_and_without_links(
    upstream: pathlib.Path, cache: str
) -> None:
    fetch(registry(upstream), cache)
    root = pathlib.Path(place_of(registry(upstream), cache).root)
    assert not (root / ".git").exists()
    assert not (root / "recipes/link.yaml").is_symlink()
    assert sorted(path.name for path in root.parent.iterdir()) == sorted(
        [".lock", "pinned.json", root.name]
    )


def test_a_branch_stays_pinned_until_it_is_fetched_again(
    upstream: pathlib.Path, cache: str
) -> None:
    mine = registry(upstream, ref="main")
    first, _changed = fetch(mine, cache)
    assert fetch(mine, cache) == (first, False)
    second = commit_more(upstream)
    with pytest.raises(RecipeNotFound):
        load("second", [place_of(mine, cache)])
    assert fetch(mine, cache) == (second, True)
    assert load("second", [place_of(mine, cache)]).name == "second"


def test_a_pinned_commit_is_that_one_and_needs_no_network_again(
    upstream: pathlib.Path, cache: str
) -> None:
    first = git(upstream, "rev-parse", "HEAD")
    commit_more(upstream)
    mine = registry(upstream, commit=first)
    assert fetch(mine, cache) == (first, True)
    shutil.rmtree(upstream)
    assert fetch(mine, cache) == (first, False)
    with pytest.raises(RecipeNotFound):
        load("second", [place_of(mine, cache)])


def test_another_address_is_another_registry(upstream: pathlib.Path, cache: str) -> None:
    fetch(registry(upstream), cache)
    other = Registry("arena", "https://git.example/other", folder="recipes")
    assert pinned_commit(other, cache) == ""


def test_a_registry_that_cannot_be_had_says_why_and_leaves_what_is_there(
    upstream: pathlib.Path, cache: str
) -> None:
    mine = registry(upstream)
    commit, _changed = fetch(mine, cache)
    shutil.rmtree(upstream)
    with pytest.raises(RecipeError, match=r"registry arena: git fetch of file://.* failed"):
        fetch(mine, cache)
    assert pinned_commit(mine, cache) == commit
    with pytest.raises(RecipeError, match="git"):
        fetch(registry(upstream, commit="0" * 40), cache)


def test_hooks_of_the_controllers_git_are_not_run(
    upstream: pathlib.Path, cache: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "template/hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n", encoding="utf-8")
    (hooks / "post-checkout").chmod(0o755)
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(hooks.parent))
    fetch(registry(upstream), cache)
    assert not (tmp_path / "pwned").exists()


def test_what_an_untrusted_registry_brings_besides_the_server_is_refused(
    upstream: pathlib.Path, cache: str
) -> None:
    fetch(registry(upstream), cache)
    untrusted = load("mine", [place_of(registry(upstream), cache)])
    found = {(issue.severity, issue.field) for issue in validate(untrusted)}
    assert found == {
        ("error", "mods"),
        ("error", "pre_exec"),
        ("error", "volumes"),
        ("warning", "post_exec"),
    }
    trusted = load("mine", [place_of(registry(upstream, trusted=True), cache)])
    assert validate(trusted) == []
    # Its path makes no other recipe of it.
    direct = load(untrusted.path, [place_of(registry(upstream), cache)])
    assert (direct.registry, direct.trusted) == ("arena", False)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("x", "expected maps"),
        ({"name": "a"}, "url"),
        ({"name": "../a", "url": "https://git.example/a"}, "plain name"),
        ({"name": "a", "url": "--upload-pack=touch x"}, "url"),
        ({"name": "a", "url": "ext::sh -c touch% x"}, "url"),
        ({"name": "a", "url": "http://git.example/a"}, "url"),
        ({"name": "a", "url": "-oProxyCommand=x@host:path"}, "url"),
        ({"name": "a", "url": "https://alice:hush@git.example/a"}, "password"),
        ({"name": "a", "url": "/srv/a", "ref": "--exec=x"}, "ref"),
        ({"name": "a", "url": "/srv/a", "commit": "main"}, "40 hex digits"),
        ({"name": "a", "url": "/srv/a", "folder": "../b"}, "within the repository"),
        ({"name": "a", "url": "/srv/a", "trusted": "yes"}, "true or false"),
        ({"name": "a", "url": "/srv/a", "branch": "x"}, "unknown"),
    ],
)
def test_a_registry_that_is_none_is_refused(entry: object, text: str) -> None:
    with pytest.raises(RecipeError, match=text) as caught:
        registries_of([entry])
    assert "hush" not in str(caught.value)


def test_two_registries_of_one_name_are_refused() -> None:
    entry = {"name": "a", "url": "/srv/a"}
    with pytest.raises(RecipeError, match="twice"):
        registries_of([entry, entry])
