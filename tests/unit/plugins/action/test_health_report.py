# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""health.yml, with this machine as one node and a port that nobody listens on as the other."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

Serve = t.Callable[[dict[str, t.Callable[[BaseHTTPRequestHandler], None]]], str]
Run = t.Callable[..., tuple[int, str]]

ROOT = Path(__file__).resolve().parents[4]
PROGRAM = str(Path(sys.executable).with_name("ansible-playbook"))


def ok(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.fixture
def run(tmp_path: Path, serve: Serve) -> Run:
    """Run health.yml with further words: its status and what it prints."""
    nowhere = {"ansible_host": "127.0.0.1", "ansible_port": 9}
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {
        "spark_heads": {"hosts": {"spark1": here}},
        "spark_workers": {"hosts": {"spark2": nowhere}},
        "all": {
            "vars": {
                "dgxspark_docker_bin": str(tmp_path / "no-docker"),
                "dgxspark_services": [
                    {"name": "search", "url": serve({"GET /health": ok})},
                    {"name": "tts", "recipe": "r", "nodes": ["spark2"]},
                ],
            }
        },
    }
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps(inventory), encoding="utf-8")

    def call(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [PROGRAM, "-i", str(path), str(ROOT / "playbooks" / "health.yml"), *words],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return call


def test_a_node_without_an_answer_fails_the_run_and_is_an_outage(run: Run, tmp_path: Path) -> None:
    files = [f"dgxspark_{name}={tmp_path / name}" for name in ("json", "outages")]
    words = [word for one in files for word in ("-e", one)]
    for _run in range(2):
        status, said = run(*words)
        assert status == 2, said
        assert "Down: node/spark2, service/tts." in said
        assert "dgxspark.suite.site --check --limit spark2" in said
    report = json.loads((tmp_path / "json").read_text())
    assert {one["subject"]: one["state"] for one in report["subjects"]} == {
        "node/spark1": "up",
        "node/spark2": "down",
        "service/search": "up",
        "service/tts": "down",
    }
    assert report["containers"] == {}
    counts = {subject: one["count"] for subject, one in report["outages"].items()}
    assert counts == {"node/spark1": 0, "node/spark2": 1, "service/search": 0, "service/tts": 1}
    lines = [json.loads(line) for line in (tmp_path / "outages").read_text().splitlines()]
    assert [line["is"] for line in lines if line["subject"] == "node/spark2"] == ["suspect", "down"]


def test_what_answers_does_not_fail_and_check_mode_writes_no_log(run: Run, tmp_path: Path) -> None:
    outages = tmp_path / "outages"
    more = ["-e", "deep=true", "-e", f"dgxspark_outages={outages}"]
    status, said = run("--limit", "spark1", "--check", *more)
    assert status == 0, said
    assert "/health answers" in said
    assert "Docker was not asked" in said
    assert "dgxspark.suite.status" in said
    assert not outages.exists()


def test_a_declaration_that_cannot_be_meant_is_one_message(run: Run) -> None:
    given = json.dumps({"dgxspark_services": [{"name": "a", "url": "http://spark:80"}]})
    status, said = run("--limit", "spark1", "-e", given)
    assert status == 2
    assert "expected http://ADDRESS:PORT with an IP address" in said
