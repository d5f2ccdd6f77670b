# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model over two nodes, through Ray, restarts by itself after faults of the nodes.

Each time it stops on both nodes, starts on both once, and answers completions.
"""

from __future__ import annotations

import json
import time

import pytest
from lab import NODES, answers, on_node, playbook, recipes_on, run, wait_for

HEAD, WORKER = NODES
pytestmark = pytest.mark.long
RANKS = {HEAD: "dgxspark-main-0", WORKER: "dgxspark-main-1"}
# Seconds. Two cores load the model in one minute, in five if they are busy.
PATIENCE = 900


def started() -> dict[str, str]:
    """When each node's rank was started last; empty if the engine does not answer."""
    asked = "docker inspect --format '{{.State.StartedAt}} {{.State.Running}}' "
    return {
        node: run("docker", "exec", node, "sh", "-c", asked + name).stdout.strip()
        for node, name in RANKS.items()
    }


def await_restart(before: dict[str, str]) -> None:
    """Wait until both ranks have been restarted and a completion is answered."""
    deadline = time.monotonic() + PATIENCE
    while any(
        now == before[node] or not now.endswith("true") for node, now in started().items()
    ) or not answers("lab-tiny", 200):
        assert time.monotonic() < deadline, "the workload did not come back"
        time.sleep(3)


def starts() -> int:
    """How often the units have started the workload within the last hour."""
    return len(json.loads(on_node(HEAD, f"cat {state(HEAD)}")).get("starts", ()))


def state(node: str) -> str:
    return f"/var/lib/dgxspark/{RANKS[node]}.service.json"


def forget_starts() -> None:
    """Reset the count of starts: the tests below are no crash loop."""
    on_node(HEAD, f"rm -f {state(HEAD)}")


@pytest.fixture(autouse=True)
def served() -> None:
    """Launched only where it does not run."""
    runs = all(seen.endswith("true") for seen in started().values())
    if not runs or any(recipes_on(node) != {"lab-tiny"} for node in NODES):
        status, said = playbook("launch", "-e", "recipe=lab-tiny")
        assert status == 0, said
    for node, name in RANKS.items():
        assert "enabled" in on_node(node, f"systemctl is-enabled {name}.service")


@pytest.mark.parametrize("nodes", [[WORKER], [HEAD], [HEAD, WORKER]], ids=["worker", "head", "all"])
def test_a_reboot(nodes: list[str]) -> None:
    forget_starts()
    before = started()
    assert run("docker", "restart", "-t", "30", *nodes).returncode == 0
    await_restart(before)
    assert starts() == 1


def test_a_ray_worker_that_is_killed_while_it_serves() -> None:
    forget_starts()
    before = started()
    # The pattern does not match the shell that runs it.
    on_node(WORKER, "pkill -9 -f '[r]ay::RayWorkerProc'")
    await_restart(before)
    assert starts() == 1


def test_a_docker_daemon_that_is_restarted() -> None:
    forget_starts()
    before = started()
    on_node(WORKER, "systemctl restart docker")
    await_restart(before)
    assert starts() == 1


def test_status_reports_why_it_went_down() -> None:
    status, said = playbook("status", "-b")
    if "went down 20" not in said:
        forget_starts()
        before = started()
        on_node(WORKER, f"docker kill {RANKS[WORKER]}")
        await_restart(before)
        status, said = playbook("status", "-b")
    assert status == 0, said
    assert "its unit runs, with 2 ranks in all" in said
    assert "went down 20" in said
    assert "Ray has 2 of 2 nodes" in said


def test_launching_it_again_starts_nothing() -> None:
    status, said = playbook("launch", "-e", "recipe=lab-tiny")
    assert status == 0, said
    assert "(it ran already)" in said


def test_a_crash_loop_ends_and_is_reported() -> None:
    now = round(time.time())
    state_file = json.dumps({"starts": [now, now, now]})
    on_node(HEAD, f"echo '{state_file}' >{state(HEAD)}")
    on_node(WORKER, f"docker kill {RANKS[WORKER]}")

    def failed() -> bool:
        asked = [
            ("docker", "exec", n, "systemctl", "is-failed", f"{r}.service")
            for n, r in RANKS.items()
        ]
        return not any(run(*argv).returncode for argv in asked)

    wait_for(failed, 180)
    assert all(seen.endswith("false") for seen in started().values())
    status, said = playbook("status", "-b")
    assert status == 0, said
    assert "started 3 times within an hour" in said


def test_stop_leaves_nothing() -> None:
    status, said = playbook("stop")
    assert status == 0, said
    for node in NODES:
        left = "ls /etc/systemd/system /etc/systemd/system/multi-user.target.wants /usr/local/lib"
        assert "dgxspark-main" not in on_node(node, left)
        assert "dgxspark" not in on_node(node, "ls /usr/local/lib")
        assert "service" not in on_node(node, "ls /var/lib/dgxspark 2>/dev/null || true")
        assert on_node(node, "docker ps --all --quiet") == ""
