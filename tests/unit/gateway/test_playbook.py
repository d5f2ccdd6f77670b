# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway.yml, with this machine as one node and a port that nobody listens on as the other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from gateway_fakes import Upstream

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = str(Path(sys.executable).with_name("ansible-playbook"))


def ran(folder: Path, url: str, *words: str, **variables: Any) -> tuple[int, str]:
    """Status and output of gateway.yml in check mode."""
    here = {"ansible_connection": "local", "dgxspark_address": "127.0.0.1"}
    inventory = {
        "spark_heads": {"hosts": {"spark1": here}},
        "spark_workers": {"hosts": {"spark2": {"ansible_host": "127.0.0.1", "ansible_port": 9}}},
        "all": {
            "vars": {
                "ansible_python_interpreter": sys.executable,
                "dgxspark_docker_bin": str(folder / "no-docker"),
                "dgxspark_gateway_python": sys.executable,
                "dgxspark_services": [{"name": "main", "url": url, "kind": "chat"}],
            }
        },
    }
    path = folder / "inventory.json"
    path.write_text(json.dumps(inventory), encoding="utf-8")
    # They go before the vars of the role and what its tasks register.
    extra = {"ansible_become": False, "gateway_state": str(folder), **variables}
    done = subprocess.run(
        [
            *(PROGRAM, "-i", str(path), str(ROOT / "playbooks/gateway.yml"), "--check", "--diff"),
            *("-e", json.dumps(extra), *words),
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


SYSTEMD = {"gateway_systemd": {"stat": {"exists": True}}}


def test_the_services_that_answer_are_written_and_a_lost_node_is_no_fault(tmp_path: Path) -> None:
    with Upstream() as server:
        status, said = ran(tmp_path, server.url, "-e", "deep=false", **SYSTEMD)
    assert status == 0, said
    assert f'"url": "{server.url}"' in said
    assert '"state": "ready"' in said
    assert "User=dgxspark-gateway" in said
    assert f"main: chat at {server.url}" in said


def test_a_server_that_fails_its_deep_probe_is_not_routed_to(tmp_path: Path) -> None:
    with Upstream() as server:
        server.default = "500"
        status, said = ran(tmp_path, server.url, **SYSTEMD)
    assert status == 0, said
    assert '"state": "failed"' in said
    assert "not routed" in said


def test_caps_that_are_misspelt_are_said(tmp_path: Path) -> None:
    caps = {"main": {"concurency": 1}}
    status, said = ran(
        tmp_path, "http://127.0.0.1:9", "-e", "deep=false", dgxspark_gateway_caps=caps, **SYSTEMD
    )
    assert status == 2, said
    assert "did you mean concurrency?" in said


def test_the_file_of_another_program_is_left_to_it(tmp_path: Path) -> None:
    theirs = str(tmp_path / "theirs.json")
    status, said = ran(
        tmp_path,
        "http://127.0.0.1:9",
        *("-e", "deep=false"),
        dgxspark_gateway_endpoints=theirs,
        **SYSTEMD,
    )
    assert status == 0, said
    assert "TASK [dgxspark.suite.gateway : Write the services]" in said
    assert '"schema": 1' not in said
    assert not Path(theirs).exists()
