# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services side by side: each is launched, swapped, rolled back and stopped by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from lab import NODES, ROOT, answers, on_node, playbook

QUICK = ROOT / "extensions" / "molecule" / "launch" / "quick"
SOLO = str(QUICK / "lab-quick.yaml")
BESIDE = ("-e", "service=beside", "-e", "nodes=spark2", "-e", "overrides=port=8001")


def ids(service: str) -> dict[str, str]:
    """Node -> the containers of a service, running or not: name, id and start."""
    label = f"--filter label=dgxspark.suite/service={service}"
    asked = "docker inspect --format '{{.Name}} {{.Id}} {{.State.StartedAt}}'"
    script = f"docker ps --all --quiet {label} | xargs --no-run-if-empty {asked}"
    return {node: on_node(node, script) for node in NODES}


@pytest.fixture
def two() -> Iterator[dict[str, str]]:
    """A server on the first node as `main`, one on the second as `beside`; the latter's ids."""
    for arguments in ((), BESIDE):
        status, said = playbook("launch", "-e", f"recipe={SOLO}", *arguments)
        assert status == 0, said
    yield ids("beside")
    status, said = playbook("stop", "-e", "confirm=all")
    assert status == 0, said


def test_a_service_is_served_beside_another_and_each_swap_leaves_the_other(
    two: dict[str, str],
) -> None:
    assert two[NODES[0]] == ""
    assert "dgxspark-beside-0" in two[NODES[1]]
    status, said = playbook("launch", "-e", f"recipe={SOLO}", "-e", "dgxspark_shm_size=1g")
    assert status == 0, said
    assert answers("lab-quick")
    assert ids("beside") == two
    wrong = ("-e", f"recipe={SOLO}", "-e", "overrides=dtype=no-such-dtype")
    status, said = playbook("launch", *wrong)
    assert status != 0
    assert "lab-quick, which was served before, answers again" in said
    assert ids("beside") == two
    main = ids("main")
    status, said = playbook("launch", "-e", f"recipe={SOLO}", *BESIDE[:-1], "overrides=port=8002")
    assert status == 0, said
    assert ids("main") == main
    status, said = playbook("status")
    assert status == 0, said
    assert "Service beside: lab-quick" in said
    assert said.count("answers, a completion was answered in") == 2


def test_a_port_of_another_service_is_refused_with_its_name(two: dict[str, str]) -> None:
    same_port = ("-e", "nodes=spark1", "-e", "service=third")
    status, said = playbook("launch", "-e", f"recipe={SOLO}", *same_port)
    assert status != 0
    assert "port 8000 (server) is taken by service main" in said
    assert answers("lab-quick")


def test_stop_asks_which_of_several_services(two: dict[str, str]) -> None:
    status, said = playbook("stop")
    assert status != 0
    assert "Several services run: beside, main" in said
    assert ids("beside") == two
    status, said = playbook("stop", "-e", "service=beside")
    assert status == 0, said
    assert answers("lab-quick")
    assert not any(ids("beside").values())
    on_node(NODES[1], "! ls /etc/systemd/system/dgxspark-beside-0.service")


@pytest.fixture
def declared() -> Iterator[tuple[str, ...]]:
    """Two services, and the options that declare them."""
    entries = [
        {"name": "main", "recipe": SOLO, "nodes": [NODES[0]]},
        {"name": "beside", "recipe": SOLO, "nodes": [NODES[1]], "overrides": {"port": 8001}},
    ]
    yield "-e", json.dumps({"dgxspark_services": entries})
    status, said = playbook("stop", "-e", "confirm=all")
    assert status == 0, said


def test_what_is_declared_is_launched_reported_and_left_alone(declared: tuple[str, ...]) -> None:
    status, said = playbook("services", *declared, "--check")
    assert status == 0, said
    assert said.count("answers as service") == 2
    assert not any(ids("main").values())
    status, said = playbook("services", *declared)
    assert status == 0, said
    before = ids("main"), ids("beside")
    assert before[0][NODES[0]]
    assert before[1][NODES[1]]
    status, said = playbook("services", *declared)
    assert status == 0, said
    assert (ids("main"), ids("beside")) == before
    # Somebody stops one by hand.
    on_node(NODES[1], "systemctl stop dgxspark-beside-0; docker rm --force dgxspark-beside-0")
    status, said = playbook("services", *declared, "--check")
    assert "service_beside: drift" in said
    assert "service_main: drift" not in said
    status, said = playbook("services", *declared)
    assert status == 0, said
    assert ids("main") == before[0]
    assert ids("beside")[NODES[1]]
    # No more declared: named, and left alone until it is pruned by name.
    main_only = json.loads(declared[1])["dgxspark_services"][:1]
    only = ("-e", json.dumps({"dgxspark_services": main_only}))
    status, said = playbook("services", *only)
    assert status == 0, said
    assert "Not declared, left as they are: beside" in said
    status, said = playbook("services", *only, "-e", "prune=beside")
    assert status == 0, said
    assert not any(ids("beside").values())
    assert ids("main") == before[0]


@pytest.fixture
def nothing_runs_afterwards() -> Iterator[None]:
    yield
    status, said = playbook("stop", "-e", "confirm=all")
    assert status == 0, said


@pytest.mark.usefixtures("nothing_runs_afterwards")
def test_a_service_that_fails_does_not_hold_up_the_others() -> None:
    both = {"recipe": str(QUICK / "lab-quick-2.yaml")}
    wrong = {"name": "a", **both, "overrides": {"port": 8002, "dtype": "no-such-dtype"}}
    services = [wrong, {"name": "b", **both}, {"name": "c", "recipe": SOLO, "nodes": [NODES[1]]}]
    services[2]["overrides"] = {"port": 8001}
    status, said = playbook("services", "-e", json.dumps({"dgxspark_services": services}))
    assert status != 0
    assert "a could not be launched, see above" in said
    assert "service_a: blocked" in said
    assert "service_b: fixed" in said
    assert "service_c: fixed" in said
    assert all(ids("b").values())
    assert answers("lab-quick-2")
    assert not any(ids("a").values())
