# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check, audit and run report the same of converged, broken and partly accepted nodes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from lab import INVENTORY, NODES, Verdict, mark, on_node, run, touched, verdicts_of

NODE, OTHER = NODES[0], NODES[1]
VENV = "/opt/ai-tools/vllm-env"
SPECS = "prereqs,kernel,oom_protection,storage,fabric,cuda_toolchain,vllm_venv,ptxas,launchers"
# Moved away and back, so that nothing is left to repair.
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
    content = dict(json.loads(text))
    content.pop("run")
    return content


def having(content: dict[str, Any], node: str, *statuses: str) -> set[str]:
    return {
        finding["check"]
        for finding in content["findings"]
        if finding["node"] == node and finding["status"] in statuses
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


TASK_BY_TASK = ("-e", "dgxspark_task_by_task=true")


def test_the_reports_of_converged_nodes_are_equal(tmp_path: Path) -> None:
    mark(NODE)
    checked = report(tmp_path, "site", "--check")
    assert touched(NODE) == []
    assert checked == report(tmp_path, "audit")
    assert checked == report(tmp_path, "site", "--check", *TASK_BY_TASK)
    for node in NODES:
        assert having(checked, node, "drift", "blocked") == set()
        assert len(having(checked, node, "ok")) > 50


def test_tags_choose_the_same_specs(tmp_path: Path) -> None:
    options = ("--tags", "kernel,storage", "--limit", NODE)
    checked = report(tmp_path, "site", "--check", *options)
    assert {finding["spec"] for finding in checked["findings"]} == {"kernel", "storage"}
    assert checked == report(tmp_path, "site", "--check", *options, *TASK_BY_TASK)


ACCEPTED = [
    {"check": "sysctl_values", "reason": "a test", "until": "2099-12-31"},
    {"check": "launcher_dgxspark", "reason": "a test", "until": "2020-01-31"},
]
BROKEN = {"limits_file", "sysctl_file", "launcher_dgxspark", "nvcc_bin", "vllm_bin"}


@pytest.mark.parametrize(
    ("state", "accepted", "drifting", "left"),
    [
        (nullcontext, [], set(), set()),
        (broken, [], {*BROKEN, "sysctl_values"}, set()),
        (broken, ACCEPTED, BROKEN, {"sysctl_values"}),
    ],
    ids=["converged", "broken", "partly accepted"],
)
def test_check_audit_tasks_and_run_agree(
    state: Callable[[], AbstractContextManager[None]],
    accepted: list[dict[str, str]],
    drifting: set[str],
    left: set[str],
) -> None:
    given = json.dumps({"dgxspark_accepted_drift": accepted})
    # Without its pins vLLM would be inspected anew each time, which takes minutes.
    options = ("--skip-tags", "vllm_runtime", "--extra-vars", given)

    def verdicts(name: str, *more: str) -> dict[str, Verdict]:
        return verdicts_of(f"playbooks/{name}.yml", NODES, SPECS, *options, *more)

    with state():
        mark(NODE)
        checked = verdicts("site", "--check")
        assert touched(NODE) == []
        others = [verdicts("audit"), verdicts("site", "--check", *TASK_BY_TASK)]
        run = verdicts("site")
    for node in NODES:
        check, expected = checked[node], _comparable(checked[node])
        assert [_comparable(other[node]) for other in others] == [expected, expected]
        assert (run[node].changed, run[node].diff) == (check.changed, check.diff)
        repaired = [
            (name, "fixed" if status == "drift" else status) for name, status in _ids(check)
        ]
        assert _ids(run[node]) == repaired
        assert check.having("blocked") == set()
    assert drifting <= checked[NODE].having("drift")
    assert checked[NODE].having("accepted") == left
    assert checked[NODE].changed == bool(drifting)
    assert (checked[OTHER].changed, checked[OTHER].having("drift")) == (False, set())


def _ids(verdict: Verdict) -> list[tuple[str, str]]:
    return [(finding["check"], finding["status"]) for finding in verdict.findings]


def _comparable(verdict: Verdict) -> tuple[Any, ...]:
    """A verdict without the amounts of free space."""
    text = re.sub(r"[0-9.]+ GiB", "N GiB", json.dumps(verdict.findings))
    return text, verdict.changed, verdict.diff


def test_what_hangs_on_a_node_costs_its_own_finding(tmp_path: Path) -> None:
    python = f"{VENV}/bin/python3"
    hanging = "#!/bin/sh\\nsleep 600\\n"
    on_node(NODE, f"mv {python} {python}.away; printf '{hanging}' >{python}; chmod 0755 {python}")
    try:
        options = ("--tags", "kernel,ptxas", "--limit", NODE)
        content = report(tmp_path, "audit", *options, "-e", "dgxspark_audit_probe_timeout=5")
    finally:
        on_node(NODE, f"mv {python}.away {python}")
    assert having(content, NODE, "blocked") == {"ptxas_assessed"}
    assert "swap_now" in having(content, NODE, "ok")


def test_a_node_that_does_not_answer_keeps_no_other_from_answering(tmp_path: Path) -> None:
    run("docker", "pause", OTHER)
    try:
        # A connection of its own: one that was open already is given up after 45 s only.
        alone = "-o ControlMaster=no -o ControlPath=none"
        content = report(tmp_path, "audit", "--tags", "kernel", ANSIBLE_SSH_ARGS=alone)
    finally:
        run("docker", "unpause", OTHER)
    assert set(content["unreachable"]) == {OTHER}
    assert having(content, NODE, "ok")
