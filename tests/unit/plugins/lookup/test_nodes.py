# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of the playbooks, by their groups or by dgxspark_hosts; a run without nodes fails."""

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

from ansible_collections.dgxspark.suite.plugins.plugin_utils.nodes import nodes_of, placeholders

ROOT = Path(__file__).resolve().parents[4]
ANSIBLE = str(Path(sys.executable).with_name("ansible-playbook"))
GROUPED = {
    "spark_workers": {"hosts": {"w": {}}},
    "spark_heads": {"hosts": {"h": {}}},
    "spark_services": {"hosts": {"s": {}, "h": {}}},
}
OWN = {"mine": {"hosts": {"b": {}, "a": {}}}, "other": {"hosts": {"c": {}}}}
# The plays of site.yml, and what the roles use.
PLAYS = [
    {
        "name": name,
        "hosts": "{{ query('dgxspark.suite.nodes', " + words + ") }}",
        "gather_facts": False,
        "vars": {"roles_have": "{{ query('dgxspark.suite.nodes', required='none') }}"},
        "tasks": [
            {
                "ansible.builtin.debug": {"msg": "{{ [ansible_play_hosts_all, roles_have] }}"},
                "run_once": True,
            }
        ],
    }
    for name, words in (
        ("serving", "required='all'"),
        ("services", "'services', required='all'"),
        ("all", "'all'"),
    )
]


def run(
    folder: Path, inventory: dict[str, Any], *words: str, play: str = ""
) -> subprocess.CompletedProcess[str]:
    for group in inventory.values():
        group["vars"] = {"ansible_connection": "local", **group.get("vars", {})}
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory, sort_keys=False))
    (folder / "play.yml").write_text(json.dumps(PLAYS))
    (folder / "ansible.cfg").touch()
    return subprocess.run(
        [ANSIBLE, "-i", "hosts.yml", *words, play or "play.yml"],
        cwd=folder,
        env={
            **os.environ,
            "HOME": str(folder),
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "true",
            "COLUMNS": "1000",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def seen(done: subprocess.CompletedProcess[str]) -> list[list[list[str]]]:
    """For each play that has nodes: those nodes, and the serving nodes by a role."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Could not match" not in done.stderr
    texts = re.findall(r'"msg": (\[.*?\n    \])', done.stdout, re.DOTALL)
    return [json.loads(text) for text in texts]


def test_the_head_is_first_and_a_companion_node_is_apart(tmp_path: Path) -> None:
    serving = ["h", "w"]
    done = run(tmp_path, GROUPED)
    assert seen(done) == [[serving, serving], [["s"], serving], [["h", "w", "s"], serving]]


def test_a_group_that_does_not_exist_is_not_needed(tmp_path: Path) -> None:
    done = run(tmp_path, {"spark_heads": {"hosts": {"h": {}}}})
    assert seen(done) == [[["h"], ["h"]], [["h"], ["h"]]]


def test_a_group_of_somebodys_own_takes_their_place(tmp_path: Path) -> None:
    done = run(tmp_path, {**GROUPED, **OWN}, "-e", "dgxspark_hosts=mine")
    mine = ["b", "a"]
    assert seen(done) == [[mine, mine], [["s", "h"], mine], [["b", "a", "s", "h"], mine]]
    # The plays are limited, the head stays.
    limited = run(tmp_path, {**GROUPED, **OWN}, "-e", "dgxspark_hosts=mine", "--limit", "a")
    assert seen(limited) == [[["a"], mine], [["a"], mine]]


NONE: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "no group": (OWN, [], ["spark_heads, spark_workers", "dgxspark_hosts=GROUP", "mine, other"]),
    "no host": ({"spark_heads": {}}, [], ["-i INVENTORY"]),
    "no match": (OWN, ["-e", "dgxspark_hosts=typo"], ["dgxspark_hosts=typo", "mine, other"]),
    "limit": ({**GROUPED, **OWN}, ["--limit", "c"], ["--limit c", "h, w, s"]),
    "placeholder": (
        {"spark_heads": {"hosts": {"h": {}}, "vars": {"ansible_user": "<spark-user>"}}},
        [],
        ["placeholders", "<spark-user> in hosts.yml"],
    ),
}


@pytest.mark.parametrize(("inventory", "words", "named"), NONE.values(), ids=NONE)
def test_without_nodes_the_run_fails_and_the_reason_names_the_way_out(
    tmp_path: Path, inventory: dict[str, Any], words: list[str], named: list[str]
) -> None:
    done = run(tmp_path, inventory, *words)
    assert done.returncode != 0
    assert "skipping: no hosts matched" not in done.stdout
    # Ansible breaks lines.
    text = " ".join(done.stderr.split())
    assert [word for word in named if word not in text] == []


def test_what_only_lists_a_playbook_needs_no_nodes(tmp_path: Path) -> None:
    for word in ("--syntax-check", "--list-tasks"):
        assert run(tmp_path, OWN, word).returncode == 0


def test_all_playbooks_take_their_nodes_from_here() -> None:
    others = [
        f"{path.name}: {play['hosts']}"
        for path in sorted((ROOT / "playbooks").glob("*.yml"))
        for play in yaml.safe_load(path.read_text(encoding="utf-8"))
        if "hosts" in play
        and "dgxspark.suite.nodes" not in play["hosts"]
        and "localhost" not in play["hosts"]
        # It has no nodes yet.
        and path.name != "discover.yml"
    ]
    assert others == []


@pytest.mark.parametrize("sample", ["single_spark", "dual_spark"])
def test_a_sample_inventory_has_placeholders(sample: str) -> None:
    text = placeholders([str(ROOT / "inventories" / sample)])
    assert "<spark-1-ip>" in text
    assert "<spark-user>" in text
    assert f"{sample}/hosts.yml" in text
    assert f"{sample}/group_vars/all.yml" in text


def test_only_the_value_of_a_variable_is_a_placeholder(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("h ansible_host=<spark-1-ip>\n# x=<y>\n")
    (tmp_path / "hosts.yml").write_text("a: 1 # replace: <it>\nb: {c: '<d> e'}\n# f: <g>\n")
    program = tmp_path / "inventory.py"
    program.write_text("a: <b>\n")
    program.chmod(0o755)
    assert placeholders([str(tmp_path), "198.51.100.1,"]).count("<") == 1
    assert placeholders([str(program)]) == ""
    assert placeholders([str(tmp_path / "hosts.yml")]) == ""


def test_a_node_is_there_once() -> None:
    groups = {"spark_heads": ["a"], "spark_workers": ["a", "b"], "spark_services": ["b", "c", "c"]}
    assert nodes_of("serving", groups) == ["a", "b"]
    assert nodes_of("services", groups) == ["c"]
    assert nodes_of("all", groups, ["d"]) == ["d", "b", "c"]
