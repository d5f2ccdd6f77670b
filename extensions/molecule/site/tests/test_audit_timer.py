# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timer's audit, against real nodes and a real receiver; and the timer, where systemd runs."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from lab import INVENTORY, NODES, ROOT, on_node, playbook, run

NODE = NODES[0]
RUNNER = ROOT / "plugins" / "plugin_utils" / "audit_runner.py"
SETTING = "net.ipv4.tcp_keepalive_time"
# Stands for ansible-playbook on a node that has none.
PROGRAM = """#!/usr/bin/python3
import json, sys
folder = json.loads(sys.argv[-1])["dgxspark_report_dir"]
with open(folder + "/drift.json", "w") as report:
    json.dump({"findings": [], "table": [], "unreachable": {}}, report)
"""


@pytest.fixture
def told() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver's address, and what it was told."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()


def test_a_breakage_between_two_audits_is_told_once_and_its_end_once(
    tmp_path: Path, told: tuple[str, list[dict[str, Any]]]
) -> None:
    url, got = told
    config = {
        "program": str(Path(sys.executable).with_name("ansible-playbook")),
        "inventory": str(ROOT / INVENTORY[1]),
        "playbook": "dgxspark.suite.audit",
        "options": ["--tags", "kernel", "--limit", NODE],
        "ansible_config": str(ROOT / "ansible.cfg"),
        "directory": "",
        "folder": str(tmp_path / "audit"),
        "keep": 4,
        "timeout": 600,
        "urls": [url],
        "secret": "hush",
    }
    (tmp_path / "audit.json").write_text(json.dumps(config))

    def audit() -> None:
        done = run(sys.executable, "-I", str(RUNNER), str(tmp_path / "audit.json"))
        assert done.returncode == 0, done.stdout + done.stderr

    audit()
    assert got == []
    on_node(NODE, f"sysctl -qw {SETTING}=7200")
    try:
        audit()
        audit()
    finally:
        on_node(NODE, f"sysctl -qw {SETTING}=600")
    audit()
    audit()
    assert [
        (one["event"], [(found["node"], found["check"]) for found in one["drift"]["findings"]])
        for one in got
    ] == [
        ("drift_appeared", [(NODE, "sysctl_values")]),
        ("drift_gone", [(NODE, "sysctl_values")]),
    ]
    assert len(list((tmp_path / "audit" / "reports").iterdir())) == 4


def test_a_node_with_systemd_has_the_timer_start_it(tmp_path: Path) -> None:
    on_node(NODE, f"cat >/opt/program <<'END'\n{PROGRAM}END\nchmod 0755 /opt/program")
    options = {
        "dgxspark_controller": NODE,
        "dgxspark_audit_timer_inventory": "/nowhere",
        "dgxspark_audit_timer_calendar": "*:*:0/2",
        "dgxspark_audit_timer_program": "/opt/program",
        "dgxspark_audit_timer_python": "/usr/bin/python3",
        "dgxspark_webhook_urls": ["http://192.0.2.1/"],
        "dgxspark_webhook_secret": "hush-hush",
    }
    given = ("--extra-vars", json.dumps(options))
    try:
        status, said = playbook("audit_timer", *given)
        assert status == 0, said
        assert "hush-hush" not in said
        mode = on_node(NODE, "stat -c '%a %U' /etc/dgxspark/audit.json").strip()
        assert mode == "600 root"
        on_node(NODE, "systemd-analyze verify /etc/systemd/system/dgxspark-audit.*")
        deadline = time.monotonic() + 60
        while on_node(NODE, "ls /var/lib/dgxspark/audit/latest/drift.json || true") == "":
            assert time.monotonic() < deadline, on_node(NODE, "journalctl -u dgxspark-audit")
            time.sleep(0.5)
        status, said = playbook("audit_timer", *given)
        assert "changed=0" in said, said
    finally:
        options["dgxspark_audit_timer_enabled"] = False
        status, said = playbook("audit_timer", "--extra-vars", json.dumps(options))
        on_node(NODE, "rm -rf /opt/program /opt/dgxspark/audit /var/lib/dgxspark/audit")
        on_node(NODE, "rm -f /etc/dgxspark/audit.json")
    assert status == 0, said
    there = on_node(NODE, "systemctl list-unit-files 'dgxspark-audit*' --no-legend || true")
    assert there == ""
