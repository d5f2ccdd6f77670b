# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""bot.yml with a real git repository, another user, and a Docker client that records."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import (
    bot_of,
    declared,
)

ROOT = Path(__file__).resolve().parents[5]
PROGRAM = str(Path(sys.executable).with_name("ansible-playbook"))
USER = "nobody"
HERALD = {
    "name": "herald",
    "kind": "bot",
    "checkout": "/home/alice/herald",
    "user": "alice",
    "container": "herald",
    "nodes": ["spark1"],
}

# What community.docker asks, and what the module health asks.
CLIENT = """#!/bin/sh
echo "$(id -un) $*" >> {root}/calls
case "$*" in
    *"compose version"*) echo '{{"version": "2.31.0"}}' ;;
    *"version --format"*) echo '{{"Client": {{"Version": "27.0.0", "ApiVersion": "1.46"}}}}' ;;
    *"info --format"*) echo '{{"ServerVersion": "27.0.0", "ClientInfo": {{"Plugins":
        [{{"Name": "compose", "Version": "2.31.0"}}]}}}}' ;;
    *"compose"*" up "*) touch {root}/runs ;;
    *"compose"*" ps "*|*"compose"*" images "*) echo '[]' ;;
    "ps "*) [ ! -e {root}/runs ] || echo c1 ;;
    "inspect "*) cat {root}/containers ;;
    *) ;;
esac
"""


class Place:
    """A repository, and a checkout of it that belongs to another user."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repository, self.checkout = root / "origin", root / "herald"
        self.git("init", "--quiet", "--initial-branch=main", str(self.repository))
        self.commit("one")
        self.git("clone", "--quiet", str(self.repository), str(self.checkout))
        docker = root / "docker"
        docker.write_text(CLIENT.format(root=root))
        docker.chmod(0o755)
        container = {
            "Name": "/herald",
            "Id": "c1",
            "Image": "sha256:1",
            "Config": {"Image": "herald", "Labels": {}},
            "State": {
                "Status": "running",
                "ExitCode": 0,
                "StartedAt": "2026-11-27T10:00:00Z",
                "Health": {"Status": "healthy"},
            },
        }
        (root / "containers").write_text(json.dumps([container]))
        here = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
        entry = {**HERALD, "checkout": str(self.checkout), "user": USER}
        variables = {
            "dgxspark_services": [entry],
            "dgxspark_docker_bin": str(docker),
            "ansible_become_method": "ansible.builtin.su",
            "ansible_become_flags": "-s /bin/sh",
        }
        inventory = {"spark_heads": {"hosts": {"spark1": here}}, "all": {"vars": variables}}
        (root / "inventory.json").write_text(json.dumps(inventory))

    def git(self, *words: str, folder: Path | None = None) -> str:
        named = ["-c", "user.name=Alice", "-c", "user.email=alice@example.org"]
        named += ["-c", "safe.directory=*"]
        done = subprocess.run(
            ["git", *named, *words],
            cwd=folder or self.root,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, text: str) -> str:
        (self.repository / "compose.yml").write_text(f"# {text}\nservices: {{}}\n")
        self.git("add", "compose.yml", folder=self.repository)
        self.git("commit", "--quiet", "--message", text, folder=self.repository)
        return self.git("rev-parse", "HEAD", folder=self.repository)

    def give(self) -> None:
        """Make it all the user's."""
        user = pwd.getpwnam(USER)
        for path in (self.root, *self.root.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)

    def head(self) -> str:
        return self.git("rev-parse", "HEAD", folder=self.checkout)

    def play(self, name: str, *words: str) -> tuple[int, str]:
        self.give()
        path = str(self.root / "inventory.json")
        done = subprocess.run(
            [PROGRAM, "-i", path, str(ROOT / "playbooks" / f"{name}.yml"), *words],
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def bot(place: Path) -> Place:
    if os.geteuid() != 0 or not shutil.which("su"):
        pytest.skip("only root can become another user")
    return Place(place)


def test_a_new_commit_is_fetched_and_started_as_the_user_of_the_bot(bot: Place) -> None:
    first = bot.head()
    second = bot.commit("two")
    status, said = bot.play("bot", "--check")
    assert status == 0, said
    assert bot.head() == first
    status, said = bot.play("bot", "-e", "service=herald")
    assert status == 0, said
    assert bot.head() == second
    assert f"{first[:12]} to {second[:12]}" in said
    assert "started 2026-11-27T10:00:00Z" in said
    calls = (bot.root / "calls").read_text().splitlines()
    assert {call.split()[0] for call in calls} == {USER}
    assert any(" up " in call and "--build" in call for call in calls)
    owners = {path.stat().st_uid for path in bot.checkout.rglob("*")}
    assert owners == {pwd.getpwnam(USER).pw_uid}
    status, said = bot.play("health")
    assert status == 0, said
    assert "herald" in said
    status, said = bot.play("bot", "-e", "do=stop")
    assert status == 0, said
    (bot.root / "runs").unlink()
    status, said = bot.play("health")
    assert status != 0
    assert "service/herald" in said
    assert "bot -e service=herald -e do=restart" in said


def test_changes_in_the_checkout_are_discarded_only_by_name(bot: Place) -> None:
    first, second = bot.head(), bot.commit("two")
    (bot.checkout / "compose.yml").write_text("# by hand\n")
    for words in ((), ("-e", "discard=other")):
        status, said = bot.play("bot", *words)
        assert status != 0
        assert "has changes of its own" in said
        assert "-e discard=herald" in said
        assert bot.head() == first
    status, said = bot.play("bot", "-e", "discard=herald")
    assert status == 0, said
    assert bot.head() == second


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"user": None}, "a user, who runs it, and a container"),
        ({"user": "root"}, "the name of a user, not root"),
        ({"container": ""}, "a user, who runs it, and a container"),
        ({"kind": "http"}, "kind is bot"),
        ({"nodes": []}, "its one node"),
        ({"checkout": "bot"}, "an absolute path"),
        ({"checkout": "/home/../etc"}, "an absolute path"),
        ({"branch": "--upload-pack=x"}, "the name of a branch"),
        ({"branch": "a..b"}, "the name of a branch"),
        ({"compose": "../compose.yml"}, "a path within the checkout"),
        ({"deploy_key": "key"}, "an absolute path"),
        ({"checkout": None}, "expected one of"),
        ({"recipe": "kokoro"}, "expected one of"),
        ({"checkout": None, "recipe": "kokoro", "kind": None}, "is for a bot"),
    ],
)
def test_a_bot_that_cannot_be_meant_is_an_error(change: dict[str, t.Any], said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        declared([{**HERALD, **change}], ["spark1"])
    assert said in str(refused.value)


def test_the_bot_that_is_meant() -> None:
    other = {**HERALD, "name": "other", "branch": "release/2"}
    both = declared([HERALD, other, {"name": "x", "recipe": "kokoro"}], ["spark1"])
    assert bot_of(both[:1], "").name == "herald"
    chosen = bot_of(both, "other").bot
    assert chosen is not None
    assert (chosen.branch, chosen.compose, chosen.deploy_key) == ("release/2", "compose.yml", "")
    for services, name in ((both, ""), (both, "x"), (both[2:], "")):
        with pytest.raises(RecipeError):
            bot_of(services, name)
