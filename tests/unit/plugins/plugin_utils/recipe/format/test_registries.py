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
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format import registries
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
    commit_more(upstream)
    fetch(registry(upstream), cache)
    older = load(untrusted.path, [place_of(registry(upstream), cache)])
    assert (older.registry, older.trusted) == ("arena", False)


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
        ({"name": "a", "url": "https://hush@git.example/a"}, "token"),
        ({"name": "a", "url": "https://git.example/a?private_token=hush"}, "token"),
        ({"name": "a", "url": "ssh://hush@git.example/a"}, "token"),
        ({"name": "a", "url": "hush@git.example:a"}, "token"),
        ({"name": "a", "url": "https://alice:hu/sh@git.example/a"}, "token"),
        ({"name": "a", "url": "ftp://hush@git.example/a"}, "token"),
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


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example/a.git",
        "https://git.example:8443/~alice/a@b",
        "ssh://git@git.example:22/a",
        "ssh://git.example/a",
        "git@git.example:team/a.git",
        "https://[2001:db8::1]:3000/a",
        "file:///srv/a@b",
        "/srv/a",
    ],
)
def test_an_address_without_a_secret_is_taken(url: str) -> None:
    assert registries_of([{"name": "a", "url": url}])[0].url == url


@pytest.fixture
def filters(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The controller's user has filters; the file in which they note that they ran."""
    ran = tmp_path / "ran"
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (home / ".gitattributes").write_text("* filter=mine\n", encoding="utf-8")
    (home / ".gitconfig").write_text(
        f'[filter "mine"]\n\tsmudge = tee -a {ran}\n\tclean = tee -a {ran}\n\trequired = true\n'
        f'[filter "other"]\n\tprocess = touch {ran}\n'
        f"[core]\n\tattributesFile = {home}/.gitattributes\n\teol = crlf\n",
        encoding="utf-8",
    )
    return ran


def test_no_filter_of_the_user_sees_a_file_of_a_registry(
    upstream: pathlib.Path, cache: str, filters: pathlib.Path
) -> None:
    """Its bytes stay as they are in the repository, too."""
    attributes = "*.yaml filter=mine ident text eol=crlf working-tree-encoding=UTF-16\n"
    (upstream / ".gitattributes").write_text(attributes, encoding="utf-8")
    (upstream / "mods/.gitattributes").write_text("* filter=other\n", encoding="utf-8")
    (upstream / "recipes/ident.yml").write_text("# $Id$\n" + RECIPE, encoding="utf-8")
    git(upstream, "add", ".gitattributes", "mods", "recipes/ident.yml")
    git(upstream, "commit", "--quiet", "--message=filters")
    mine = registry(upstream)
    fetch(mine, cache)
    folder = place_of(mine, cache).path
    assert (folder / "deep/mine.yaml").read_text(encoding="utf-8") == RECIPE
    assert (folder / "ident.yml").read_bytes().startswith(b"# $Id$\nmodel")
    assert not filters.exists()


def test_a_secret_in_an_address_is_in_no_error_and_no_pin(
    upstream: pathlib.Path, cache: str
) -> None:
    lost = Registry("arena", "https://ghp_hush@127.0.0.1:9/a", folder="recipes")
    with pytest.raises(RecipeError, match="git fetch") as caught:
        fetch(lost, cache)
    assert "ghp_hush" not in str(caught.value)
    pin = pathlib.Path(cache) / "arena" / "pinned.json"
    commit = git(upstream, "rev-parse", "HEAD")
    pin.write_text(f'{{"url": "{lost.url}", "ref": "", "commit": "{commit}"}}', encoding="utf-8")
    mine = registry(upstream)
    assert pinned_commit(mine, cache) == ""
    fetch(mine, cache)
    assert "ghp_hush" not in pin.read_text(encoding="utf-8")


def test_a_users_token_for_all_addresses_is_in_no_error(cache: str, filters: pathlib.Path) -> None:
    config = filters.parent / "home/.gitconfig"
    rule = '[url "https://ghp_hush@127.0.0.1:9/"]\n\tinsteadOf = https://git.example/\n'
    config.write_text(rule, encoding="utf-8")
    with pytest.raises(RecipeError, match="git fetch") as caught:
        fetch(Registry("arena", "https://git.example/a"), cache)
    assert "ghp_hush" not in str(caught.value)


@pytest.mark.parametrize("what", ["files", "bytes", "bomb"])
def test_a_registry_that_is_too_large_is_not_unpacked(
    upstream: pathlib.Path, cache: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "files":
        monkeypatch.setattr(registries, "MAX_FILES", 2)
    elif what == "bytes":
        monkeypatch.setattr(registries, "MAX_BYTES", 100)
    else:
        grow(upstream)
    with pytest.raises(RecipeError, match="has more than"):
        fetch(registry(upstream), cache)
    assert [path.name for path in (pathlib.Path(cache) / "arena").iterdir()] == [".lock"]


def grow(upstream: pathlib.Path) -> None:
    """A tree of 12 objects with 10^9 files."""
    blob = git(upstream, "hash-object", "-w", "recipes/deep/mine.yaml")
    inner = f"100644 blob {blob}\tx.yaml"
    for _level in range(9):
        done = subprocess.run(
            ["git", "-C", str(upstream), "mktree"],
            input="".join(inner.replace("\t", f"\t{i}") + "\n" for i in range(10)),
            capture_output=True,
            text=True,
            check=True,
        )
        inner = f"040000 tree {done.stdout.strip()}\tx"
    commit = git(upstream, "commit-tree", "-m", "bomb", done.stdout.strip())
    git(upstream, "update-ref", "refs/heads/main", commit)
