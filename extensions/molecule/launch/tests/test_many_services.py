# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Four services on two nodes, whose servers start in a second: what they outlive together."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab import (
    NODES,
    ROOT,
    answers,
    declared,
    ended,
    on_node,
    playbook,
    playbook_begun,
    run,
    serve,
    wait_for,
)

HEAD, WORKER = NODES
pytestmark = pytest.mark.long
QUICK = ROOT / "extensions" / "molecule" / "launch" / "quick"
PERMITS = "/run/dgxspark/starts"
# Seconds for all of them on two busy cores.
PATIENCE = 600

# Four whose servers start in a second, after a pause in which others could start.
FAST: list[dict[str, object]] = [
    {"name": "main", "recipe": str(QUICK / "lab-quick-2.yaml")},
    *(
        {
            "name": f"solo{number}",
            "recipe": str(QUICK / "lab-quick.yaml"),
            "nodes": [node],
            "overrides": {"port": 8001 + number},
        }
        for number, node in enumerate((HEAD, WORKER, HEAD))
    ),
]


def unproven(node: str) -> set[str]:
    """The services of which a container runs whose start is not complete."""
    script = f"""
        docker ps --no-trunc --filter label=dgxspark.suite/supervise \
            --format '{{{{.ID}}}} {{{{.Label "dgxspark.suite/service"}}}}' |
        while read -r id name; do
            [ -e {PERMITS}/complete/$id ] || echo $name
        done
    """
    done = run("docker", "exec", node, "sh", "-c", script)
    return set(done.stdout.split()) if done.returncode == 0 else set()


@contextmanager
def sampled() -> Iterator[list[tuple[str, set[str]]]]:
    """What was starting on each node, about every second."""
    seen: list[tuple[str, set[str]]] = []
    done = threading.Event()

    def watch(node: str) -> None:
        while not done.wait(0.5):
            seen.append((node, unproven(node)))

    threads = [threading.Thread(target=watch, args=(node,)) for node in NODES]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        done.set()
        for thread in threads:
            thread.join()


def started() -> dict[str, str]:
    """Node and container -> when it was started last."""
    asked = "docker inspect --format '{{.Name}} {{.State.StartedAt}} {{.State.Running}}'"
    script = f"docker ps --all --quiet | xargs --no-run-if-empty {asked}"
    lines = {
        node: run("docker", "exec", node, "sh", "-c", script).stdout.splitlines() for node in NODES
    }
    return {f"{node}{line.split()[0]}": line for node, rows in lines.items() for line in rows}


def all_back(before: Mapping[str, str]) -> bool:
    now = started()
    return now.keys() == before.keys() and all(
        line.endswith("true") and line != before[name] for name, line in now.items()
    )


def complete() -> bool:
    return not any(unproven(node) for node in NODES)


@pytest.fixture(scope="module")
def four() -> Iterator[None]:
    serve(FAST)
    yield
    status, said = playbook("stop", "-e", "confirm=all")
    assert status == 0, said


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize("fault", ["docker", "reboot"])
def test_after_a_fault_of_both_nodes_one_service_starts_at_a_time(fault: str) -> None:
    before = started()
    assert len(before) == 5
    with sampled() as seen:
        if fault == "docker":
            for node in NODES:
                on_node(node, "systemctl restart docker")
        else:
            assert run("docker", "restart", "-t", "30", *NODES).returncode == 0
        wait_for(lambda: all_back(before), PATIENCE)
        wait_for(complete, 60)
    assert max(len(names) for _node, names in seen) == 1, seen
    starting = {name for _node, names in seen for name in names}
    assert len(starting) > 1
    status, said = playbook("services", *declared(FAST), "--check")
    assert status == 0, said
    assert "Checks: 4 ok" in said


@pytest.mark.usefixtures("four")
def test_a_worker_lost_right_after_a_launch_stops_the_head() -> None:
    status, said = playbook(
        "launch", "-e", f"recipe={QUICK / 'lab-quick-2.yaml'}", "-e", "dgxspark_shm_size=1g"
    )
    assert status == 0, said
    assert run("docker", "kill", WORKER).returncode == 0
    try:
        began = time.monotonic()
        running = "docker inspect --format '{{.State.Running}}' dgxspark-main-0"
        wait_for(lambda: "false" in on_node(HEAD, running), 60)
        assert time.monotonic() - began < 45
        # The other services of the node that is left go on.
        alone = "docker ps --filter label=dgxspark.suite/supervise --format '{{.Names}}'"
        assert {"dgxspark-solo0-0", "dgxspark-solo2-0"} <= set(on_node(HEAD, alone).split())
    finally:
        assert run("docker", "start", WORKER).returncode == 0
    wait_for(lambda: "true" in on_node(HEAD, running) and answers("lab-quick-2", 5), PATIENCE)
    wait_for(complete, 60)


@pytest.mark.usefixtures("four")
def test_a_service_that_the_others_leave_no_memory_for_is_refused(tmp_path: Path) -> None:
    before = started()
    greedy = tmp_path / "greedy.yaml"
    text = (ROOT / "tests/lab/recipes/lab-tiny-solo.yaml").read_text(encoding="utf-8")
    assert 'VLLM_CPU_KVCACHE_SPACE: "1"' in text
    greedy.write_text(text.replace('_SPACE: "1"', '_SPACE: "500"'), encoding="utf-8")
    wanted = ("-e", f"recipe={greedy}", "-e", "service=greedy", "-e", f"nodes={HEAD}")
    status, said = playbook("launch", *wanted, "-e", "overrides=port=8009")
    assert status != 0
    assert f"{HEAD}: service greedy asks for 50" in said
    assert "solo0" in said
    assert "main" in said
    assert started() == before


@pytest.mark.usefixtures("four")
def test_a_service_that_crashes_in_a_loop_is_given_up_and_holds_up_nobody() -> None:
    before = started()
    name = "dgxspark-solo0-0"
    state = json.dumps({"starts": [round(time.time())] * 3})
    on_node(HEAD, f"echo '{state}' >/var/lib/dgxspark/{name}.service.json; docker kill {name}")
    failed = f"systemctl is-failed {name} || true"
    wait_for(lambda: on_node(HEAD, failed).strip() == "failed", 60)
    now = started()
    assert {place for place, line in now.items() if line != before[place]} == {f"{HEAD}/{name}"}
    status, said = playbook("services", *declared(FAST), "--check")
    assert "service_solo0: drift" in said
    assert status == 0, said
    assert "service_solo0: fixed" in serve(FAST)


@pytest.mark.usefixtures("four")
def test_two_launches_at_once_of_services_with_crossed_nodes() -> None:
    two = str(QUICK / "lab-quick-2.yaml")
    begun = [
        playbook_begun(
            "launch",
            *("-e", f"recipe={two}", "-e", f"service={name}", "-e", f"nodes={','.join(nodes)}"),
            *("-e", f"overrides=port={port}", "-e", "lock_wait=300"),
        )
        for name, nodes, port in (("ab", (HEAD, WORKER), 8020), ("ba", (WORKER, HEAD), 8021))
    ]
    outcomes = [ended(launch) for launch in begun]
    assert [status for status, _said in outcomes] == [0, 0], outcomes
    # Both come back together. The tests before have started the others too often for one hour.
    for node in NODES:
        on_node(node, "rm -f /var/lib/dgxspark/dgxspark-*.service.json")
    before = started()
    for node in NODES:
        on_node(node, "systemctl restart docker")
    wait_for(lambda: all_back(before), PATIENCE)
    wait_for(complete, 60)
    for name in ("ab", "ba"):
        status, said = playbook("stop", "-e", f"service={name}")
        assert status == 0, said
