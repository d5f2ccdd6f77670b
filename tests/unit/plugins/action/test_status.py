# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""status.yml and logs.yml without root, and what they print of nodes that are not known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[4]
DOWN = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
HERE = {"ansible_connection": "local", "ansible_pipelining": True}
SHOW = [
    {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "tasks": [
            {
                "name": "Show it",
                "ansible.builtin.debug": {
                    "msg": "{{ lookup('ansible.builtin.template', template).splitlines() }}"
                },
            }
        ],
    }
]
PYTHON, SETPRIV = "/usr/bin/python3", "/usr/bin/setpriv"
UNKNOWN = "alice may not use Docker. Run with -b"


def play(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", *words],
        cwd=folder,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def rank(status: str, unit: dict[str, t.Any]) -> dict[str, t.Any]:
    container = {"rank": 0, "node": "spark1", "container": "dgxspark-main-0", "started": ""}
    return {**container, "status": status, "unit": {"down": None, **unit}}


def report_of(**more: t.Any) -> dict[str, t.Any]:
    gib = 1 << 30
    known = {"workloads": [], "answers": {}, "drift": {}, "unknown": [], "containers_unknown": {}}
    sizes = {"nodes": {"spark1": gib}, "memory": {"spark1": 2 * gib}}
    return {**known, **sizes, "lock": {}, "swap": {}, "swaps": [], "history": {}, **more}


@pytest.fixture
def shown(tmp_path: Path) -> t.Callable[..., list[str]]:
    def show(**more: t.Any) -> list[str]:
        template = str(ROOT / "roles" / "status" / "templates" / "status.j2")
        (tmp_path / "play.yml").write_text(json.dumps(SHOW))
        given = json.dumps({"status_report": report_of(**more), "template": template})
        words = ("-i", "localhost,", "play.yml", "-e", given)
        status, said = play(tmp_path, *words)
        assert status == 0, said
        text = said[said.index('"msg": [') + 7 :]
        lines: list[str] = json.JSONDecoder().raw_decode(text)[0]
        return lines

    return show


def test_nothing_runs_only_if_every_node_was_inspected(
    shown: t.Callable[..., list[str]],
) -> None:
    assert shown()[0] == "Nothing of this collection runs."
    lines = shown(unknown=["spark2"])
    assert lines[0] == "No service is known on spark1."
    assert "spark2: unknown, see its error above" in lines
    lines = shown(containers_unknown={"spark1": UNKNOWN, "spark2": UNKNOWN})
    assert lines[0] == "No service is known on spark1."
    assert lines[-1] == f"Containers are unknown on spark1 and spark2: {UNKNOWN}"


def test_a_service_is_shown_by_its_unit_where_containers_are_unknown(
    shown: t.Callable[..., list[str]],
) -> None:
    workload = {
        "service": "main",
        "recipe": "lab-tiny",
        "served_model_name": "lab-tiny",
        "nodes": ["spark1"],
        "state": "1 of 2 ranks run",
        "source": "units",
        "plan_hash": "7d3d",
        "url": "http://192.0.2.1:8000",
        "endpoint": "http://192.0.2.1:8000/v1",
        "ranks": [rank("unknown", {"state": "active", "status_text": "runs, with 2 ranks"})],
        "ray": [],
    }
    lines = shown(
        workloads=[workload],
        answers={"main": {"phase": "healthy", "detail": "/health answers"}},
        unknown=["spark2"],
        containers_unknown={"spark1": UNKNOWN},
        swap={"recipe": "lab-tiny", "owner": "Alice", "phase": "complete", "result": "complete"},
    )
    assert lines[:3] == [
        "lab-tiny as lab-tiny on spark1: 1 of 2 ranks run as far as known, plan 7d3d",
        "  http://192.0.2.1:8000/v1: healthy, /health answers",
        "  rank 0 on spark1: dgxspark-main-0; its unit runs, with 2 ranks",
    ]
    assert lines[-1] == "Last swap: lab-tiny by Alice, complete"


def inventory(folder: Path, script: str, python: str) -> str:
    """The path of one with this machine and a node that is down. script: of a Docker client."""
    client = folder / "docker"
    client.write_text(f"#!/bin/sh\n{script}\n")
    client.chmod(0o755)
    hosts = {"spark1": {**HERE, "ansible_python_interpreter": python}, "spark2": DOWN}
    variables = {"dgxspark_docker_bin": str(client)}
    path = folder / "hosts.yml"
    path.write_text(json.dumps({"spark_heads": {"hosts": hosts, "vars": variables}}))
    return str(path)


def test_a_node_that_is_down_is_unknown(tmp_path: Path) -> None:
    hosts, written = inventory(tmp_path, "exit 0", sys.executable), tmp_path / "status.json"
    words = ("-i", hosts, "dgxspark.suite.status", "-e", f"dgxspark_json={written}")
    status, said = play(tmp_path, *words)
    assert status == 4, said
    assert "spark2: unknown, see its error above" in said
    assert "Nothing of this collection runs" not in said
    assert "nothing runs" not in said
    assert "dgxspark.suite.site --check --limit spark2" in said
    report = json.loads(written.read_text(encoding="utf-8"))
    assert (report["unknown"], report["containers_unknown"]) == (["spark2"], {})


@pytest.fixture
def python(place: Path) -> str:
    """A Python that runs as a user without rights."""
    if os.geteuid() != 0:
        return sys.executable
    if not os.access(SETPRIV, os.X_OK) or not os.access(PYTHON, os.X_OK):
        pytest.skip("root becomes another user by setpriv")
    program = place / "python"
    who = "--reuid=65534 --regid=65534 --clear-groups"
    program.write_text(f'#!/bin/sh\nexec {SETPRIV} {who} {PYTHON} "$@"\n')
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize("name", ["status", "logs"])
def test_a_user_without_docker_is_given_the_two_ways_out(
    place: Path, python: str, name: str
) -> None:
    denied = "echo 'permission denied while trying to connect to the docker API' >&2; exit 1"
    status, said = play(place, "-i", inventory(place, denied, python), f"dgxspark.suite.{name}")
    assert status != 0
    folded = " ".join(said.split())
    assert "may not use Docker. Run with -b, or once on the node: sudo usermod -aG docker" in folded
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["status", "logs"])
def test_the_playbooks_do_not_become_root(name: str) -> None:
    (only,) = yaml.safe_load((ROOT / "playbooks" / f"{name}.yml").read_text(encoding="utf-8"))
    assert "become" not in only
