# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit says what site.yml --check says, of whole nodes and of broken ones; writes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import INVENTORY, NODES, mark, on_node, run, touched

NODE, OTHER = NODES[0], NODES[1]
VENV = "/opt/ai-tools/vllm-env"
# What goes away and comes back, so that nothing is left to repair.
MOVED = (
    "/etc/dgxspark/paths.env",
    "/etc/security/limits.d/90-dgxspark.conf",
    "/etc/profile.d/dgxspark-storage.sh",
    "/opt/dgxspark/bin/dgxspark",
    "/etc/sysctl.d/90-dgxspark.conf",
)


def report(folder: Path, name: str, *options: str, **environment: str) -> dict[str, Any]:
    """What a playbook's report says, apart from the run, and from how much room there is now."""
    argv = ["ansible-playbook", *INVENTORY, f"playbooks/{name}.yml", *options]
    done = run(*argv, "--extra-vars", f"dgxspark_report_dir={folder}", **environment)
    path = folder / "drift.json"
    assert path.exists(), done.stdout + done.stderr
    text = re.sub(r"[0-9.]+ GiB", "N GiB", path.read_text())
    path.unlink()
    told = dict(json.loads(text))
    told.pop("run")
    return told


def having(told: dict[str, Any], node: str, *statuses: str) -> set[str]:
    return {
        one["check"]
        for one in told["findings"]
        if one["node"] == node and one["status"] in statuses
    }


@contextmanager
def broken() -> Iterator[None]:
    for path in MOVED:
        on_node(NODE, f"mv {path} {path}.away")
    on_node(NODE, "sysctl -qw net.ipv4.tcp_keepalive_time=7200")
    try:
        yield
    finally:
        for path in MOVED:
            on_node(NODE, f"mv {path}.away {path}")
        on_node(NODE, "sysctl -qw net.ipv4.tcp_keepalive_time=600")


def test_the_audit_of_converged_nodes_is_the_check(tmp_path: Path) -> None:
    mark(NODE)
    audited = report(tmp_path, "audit")
    assert touched(NODE) == []
    assert audited == report(tmp_path, "site", "--check")
    for node in NODES:
        assert having(audited, node, "drift", "blocked") == set()
        assert len(having(audited, node, "ok")) > 50


def test_the_audit_of_a_broken_node_is_the_check(tmp_path: Path) -> None:
    # Without its pins vLLM would have to be asked anew by both, which takes minutes.
    options = ("--skip-tags", "vllm_runtime")
    with broken():
        mark(NODE)
        audited = report(tmp_path, "audit", *options)
        assert touched(NODE) == []
        assert audited == report(tmp_path, "site", "--check", *options)
    drifting = having(audited, NODE, "drift")
    assert {"limits_file", "sysctl_values", "sysctl_file", "launcher_dgxspark"} <= drifting
    assert {"nvcc_bin", "vllm_bin", "triton_ptxas_path"} <= drifting
    assert having(audited, OTHER, "drift", "blocked") == set()


def test_tags_choose_the_same_specs(tmp_path: Path) -> None:
    options = ("--tags", "kernel,storage", "--limit", NODE)
    audited = report(tmp_path, "audit", *options)
    assert {one["spec"] for one in audited["findings"]} == {"kernel", "storage"}
    assert audited == report(tmp_path, "site", "--check", *options)


def test_what_hangs_on_a_node_costs_its_own_finding(tmp_path: Path) -> None:
    python = f"{VENV}/bin/python3"
    hanging = "#!/bin/sh\\nsleep 600\\n"
    on_node(NODE, f"mv {python} {python}.away; printf '{hanging}' >{python}; chmod 0755 {python}")
    try:
        options = ("--tags", "kernel,ptxas", "--limit", NODE)
        told = report(tmp_path, "audit", *options, "-e", "dgxspark_audit_probe_timeout=5")
    finally:
        on_node(NODE, f"mv {python}.away {python}")
    assert having(told, NODE, "blocked") == {"ptxas_assessed"}
    assert "swap_now" in having(told, NODE, "ok")


def test_a_node_that_does_not_answer_keeps_no_other_from_answering(tmp_path: Path) -> None:
    run("docker", "pause", OTHER)
    try:
        # A connection of its own: one that was open already is given up after 45 s only.
        alone = "-o ControlMaster=no -o ControlPath=none"
        told = report(tmp_path, "audit", "--tags", "kernel", ANSIBLE_SSH_ARGS=alone)
    finally:
        run("docker", "unpause", OTHER)
    assert set(told["unreachable"]) == {OTHER}
    assert having(told, NODE, "ok")
