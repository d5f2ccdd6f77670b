# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that answer anything, in real runs: the report has all nodes, and the run fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).with_name("ansible-playbook")

PLAY = """\
- hosts: all
  gather_facts: false
  vars:
    dgxspark_keep_going: true
    dgxspark_storage_directories: []
    dgxspark_hf_home: ""
  tasks:
    - meta: end_host
      when: inventory_hostname == 'silent'
    - import_role: {name: dgxspark.suite.storage}
- hosts: all
  gather_facts: false
  tasks:
    - meta: end_host
      when: inventory_hostname == 'silent'
    - import_role: {name: dgxspark.suite.verdict}
"""
AUDIT = """\
- hosts: all
  gather_facts: false
  tasks:
    - dgxspark.suite.audit:
        specs: [{spec: storage, options: {directories: [], hf_home: ""}}]
      vars: {dgxspark_report_in: ran}
      register: dgxspark_result_audit
    - import_role: {name: dgxspark.suite.verdict}
"""
FINDING = {
    "check": "c",
    "status": "ok",
    "severity": "info",
    "expected": "e",
    "actual": "a",
    "fix": "",
    "hint": "",
}


def answer(**changes: Any) -> dict[str, Any]:
    return {"changed": False, "spec": "storage", "findings": [{**FINDING, **changes}]}


ANSWERS: dict[str, object] = {
    "status": answer(status="DRIFT", actual="rootkit"),
    "types": answer(actual=["x"], status="drift"),
    "keys": answer(extra="x"),
    "nothing": {"changed": False},
    "wrong": {"changed": False, "spec": ["\x1b[2J"], "findings": "none"},
    "skipped": {"skipped": True, "skip_reason": "x"},
    "results": {"changed": False, "results": "x"},
    "empty": {"changed": False, "results": []},
    "audit": {"changed": False, "results": [answer(status="DRIFT"), 3, None]},
    "escape": answer(status="drift", actual="\x1b]0;x\x07\nChecks: 9 ok", hint="\x9b2J"),
}


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    """An inventory of nodes whose interpreters give ANSWERS, whatever they are asked."""
    hosts: dict[str, dict[str, str]] = {"good": {}, "silent": {}}
    for name, told in ANSWERS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(told))
        python = tmp_path / name
        python.write_text(f"#!/bin/sh\ncat >/dev/null\ncat '{tmp_path}/{name}.json'\n")
        python.chmod(0o755)
        hosts[name] = {"ansible_python_interpreter": str(python)}
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    path = tmp_path / "hosts.yml"
    path.write_text(json.dumps({"all": {"hosts": hosts, "vars": local}}))
    return path


def play(nodes: Path, *options: str, text: str = PLAY) -> subprocess.CompletedProcess[str]:
    (nodes.parent / "play.yml").write_text(text)
    (nodes.parent / "ansible.cfg").touch()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(nodes.parent),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(nodes.parent / "ansible.cfg"),
        "ANSIBLE_CALLBACKS_ENABLED": "dgxspark.suite.drift",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_NOCOLOR": "true",
    }
    return subprocess.run(
        [str(PROGRAM), "-i", str(nodes), "--check", "play.yml", *options],
        cwd=nodes.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_no_answer_hides_a_node_or_the_report(nodes: Path, tmp_path: Path) -> None:
    wanted = {"dgxspark_fail_on_drift": True, "dgxspark_report_dir": str(tmp_path / "out")}
    names = ["status", "types", "keys", "nothing", "wrong", "escape"]
    limit = ",".join(["good", "silent", *names])
    done = play(nodes, "--limit", limit, "-e", json.dumps(wanted))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    assert "\x9b" not in done.stdout
    report = done.stdout.partition("DRIFT REPORT")[2]
    assert report.count("\nChecks: ") == 1
    told = json.loads((tmp_path / "out" / "drift.json").read_text())
    assert {cell["node"]: cell["status"] for cell in told["table"]} == {
        "good": "ok",
        "silent": "not assessed",
        "escape": "drift",
        **dict.fromkeys(set(names) - {"escape"}, "failed"),
    }
    assert {one["node"]: one["status"] for one in told["findings"] if one["node"] != "good"} == {
        "escape": "drift",
        **dict.fromkeys(("status", "types", "keys", "wrong"), "failed"),
    }
    assert told["counts"]["failed"] == 5
    assert "\x1b" not in json.dumps(told, ensure_ascii=False)
    failed = dict(line.split(":", 1) for line in done.stdout.splitlines() if "failed=1" in line)
    assert {name.strip() for name in failed} == set(names)


def test_an_audit_needs_an_answer_for_each_spec(nodes: Path, tmp_path: Path) -> None:
    wanted = {"dgxspark_fail_on_drift": True, "dgxspark_report_dir": str(tmp_path / "out")}
    names = {"nothing", "skipped", "results", "empty", "audit", "status"}
    limit = ",".join(["good", *names])
    done = play(nodes, "--limit", limit, "-e", json.dumps(wanted), text=AUDIT)
    assert done.returncode == 2, done.stdout + done.stderr
    told = json.loads((tmp_path / "out" / "drift.json").read_text())
    cells = {cell["node"]: cell["status"] for cell in told["table"] if cell["spec"] == "storage"}
    assert cells == {"good": "ok", **dict.fromkeys(names, "failed")}
    failed = {line.split(":")[0].strip() for line in done.stdout.splitlines() if "failed=1" in line}
    assert failed == names


@pytest.mark.parametrize("folder", ["file/x", "{{ nothing }}"])
def test_a_report_that_cannot_be_written_fails_the_run(
    nodes: Path, tmp_path: Path, folder: str
) -> None:
    (tmp_path / "file").touch()
    given = json.dumps({"dgxspark_report_dir": folder})
    done = play(nodes, "--limit", "good", "-e", given)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "DRIFT REPORT" in done.stdout
    assert "No report in " in done.stderr
