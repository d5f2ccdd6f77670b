# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The short words of the playbooks come from -e alone, whatever an inventory has by these names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[4]
ANSIBLE = str(Path(sys.executable).with_name("ansible-playbook"))

# Variables of an inventory that has these names for its own purposes, and two of ours that are
# dangerous there.
THEIRS = {
    "force": True,
    "confirm": "org/model",
    "image": "their/image:1",
    "revision": "r2",
    "source": "/srv/source",
    "files": ["a"],
    "exclude": ["b"],
    "recipe": "soup",
    "overrides": {"port": 1},
    "lines": 7,
    "follow": True,
    "json": "/tmp/theirs.json",
    "show": "all",
    "validate": "all",
    "memory": "64g",
    "strict": True,
    "announce": "2026-12-01T14:00",
    "cancel": "id",
    "hours": 9,
    "dgxspark_force": True,
    "dgxspark_confirm": "org/model",
}
READ = re.compile(r"\{\{ lookup\('dgxspark\.suite\.extra_var', '\w+'(, default=[^|]*)?\) \}\}")
# Without these two, a playbook that needs them ends.
NAMED = {"recipe": "mine", "model": "org/mine"}


def plays() -> dict[str, dict[str, str]]:
    """Playbook -> its variables that are read from the command line."""
    found = {}
    for path in sorted((ROOT / "playbooks").glob("*.yml")):
        for play in yaml.safe_load(path.read_text(encoding="utf-8")):
            words = {
                name: value
                for name, value in play.get("vars", {}).items()
                if READ.fullmatch(str(value))
            }
            if words:
                found[path.stem] = words
    return found


PLAYS = plays()


def values(folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """Playbook -> what its variables are, with these arguments and the other inventory."""
    inventory = {"all": {"hosts": {"node": {"ansible_connection": "local"}}, "vars": THEIRS}}
    (folder / "hosts.yml").write_text(json.dumps(inventory), encoding="utf-8")
    written = [
        {
            "name": name,
            "hosts": "all",
            "gather_facts": False,
            "vars": words,
            "tasks": [
                {"ansible.builtin.debug": {"msg": {word: f"{{{{ {word} }}}}" for word in words}}}
            ],
        }
        for name, words in PLAYS.items()
    ]
    (folder / "play.yml").write_text(json.dumps(written), encoding="utf-8")
    done = subprocess.run(
        [ANSIBLE, "-i", "hosts.yml", "play.yml", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
    )
    return {
        play["play"]["name"]: play["tasks"][0]["hosts"]["node"]["msg"]
        for play in json.loads(done.stdout)["plays"]
    }


@pytest.fixture(scope="module")
def untyped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return values(tmp_path_factory.mktemp("untyped"), "-e", json.dumps(NAMED))


@pytest.mark.parametrize(
    "playbook", sorted(PLAYS.keys() - {"discover", "lock", "recipes", "schedule"})
)
def test_without_a_word_the_default_of_the_role_holds(
    playbook: str, untyped: dict[str, dict[str, Any]]
) -> None:
    role = ROOT / "roles" / playbook / "defaults" / "main.yml"
    defaults = yaml.safe_load(role.read_text(encoding="utf-8"))
    required = {f"dgxspark_{name}": value for name, value in NAMED.items()}
    assert untyped[playbook] == {
        name: required[name] if name in required else defaults[name] for name in PLAYS[playbook]
    }


@pytest.mark.parametrize("playbook", ["lock", "recipes", "schedule"])
def test_a_playbook_without_a_role_reads_nothing_of_the_inventory(
    playbook: str, untyped: dict[str, dict[str, Any]]
) -> None:
    assert untyped[playbook]
    assert not any(untyped[playbook].values())


def test_what_is_typed_holds(tmp_path: Path) -> None:
    (tmp_path / "more.yml").write_text("image: mine:2\nfiles: ['*.json']\n", encoding="utf-8")
    typed = values(
        tmp_path,
        *("-e", json.dumps(NAMED), "-e", "force=true lines=200", "-e", "@more.yml"),
        *("-e", "revision='{{ 1 + 1 }}'"),
    )
    assert [typed[name]["dgxspark_force"] for name in ("launch", "stop", "updates")] == ["true"] * 3
    assert typed["logs"]["dgxspark_lines"] == "200"
    assert typed["model_setup"]["dgxspark_image"] == "mine:2"
    assert typed["model_download"]["dgxspark_files"] == ["*.json"]
    assert str(typed["model_sync"]["dgxspark_revision"]) == "2"


def test_a_playbook_names_the_word_that_it_needs(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(
        json.dumps({"spark_heads": {"hosts": {"node": {"ansible_connection": "local"}}}}),
        encoding="utf-8",
    )
    done = subprocess.run(
        [ANSIBLE, "-i", "hosts.yml", str(ROOT / "playbooks" / "launch.yml"), "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "-e recipe=NAME is missing" in done.stdout
