# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama.cpp over two nodes by RPC and on one; image and model are on the first node only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import LLAMA_IMAGE as IMAGE
from lab import LLAMA_MODEL as MODEL
from lab import (
    NODES,
    ROOT,
    address,
    answers,
    llama,
    on_node,
    playbook,
    recipes_on,
    remove_llama,
    run,
    wait_for,
)

HEAD, WORKER = NODES
pytestmark = pytest.mark.long
PS = "docker ps --format '{{.Names}}'"
RANKS = {HEAD: "dgxspark-main-0", WORKER: "dgxspark-main-1"}


@pytest.fixture(scope="module", autouse=True)
def first_node() -> Iterator[None]:
    with llama():
        yield


def running() -> set[str]:
    return {name for node in NODES for name in on_node(node, PS).split()}


@pytest.fixture
def served() -> None:
    """Over two nodes, launched only where it does not run."""
    if any(recipes_on(node) != {"lab-llama"} for node in NODES):
        status, said = playbook("launch", "-e", "recipe=lab-llama")
        assert status == 0, said


def test_over_two_nodes_image_and_quantisation_are_copied() -> None:
    if running():
        playbook("stop")
        remove_llama(WORKER)
    status, said = playbook("launch", "-e", "recipe=lab-llama")
    assert status == 0, said
    assert "lab-llama answers at" in said
    assert answers("lab-llama")
    # The other quantisation is not copied.
    files = {node: on_node(node, f"ls {MODEL}/snapshots/*").split() for node in NODES}
    assert files[HEAD] == ["tiny-llama-F16.gguf", "tiny-llama-Q8_0.gguf"]
    assert files[WORKER] == ["tiny-llama-Q8_0.gguf"]
    ids = {on_node(node, f"docker image inspect -f '{{{{.Id}}}}' {IMAGE}") for node in NODES}
    assert len(ids) == 1
    said = on_node(WORKER, f"docker logs {RANKS[WORKER]} 2>&1")
    assert "Accepted client connection" in said


@pytest.mark.usefixtures("served")
def test_the_rpc_port_is_only_on_the_fabric() -> None:
    fabric = address(WORKER, "dgxspark_fabric_address")
    listening = on_node(WORKER, "ss -Hltn 'sport = :50052'").split()
    assert [word for word in listening if word.endswith(":50052")] == [f"{fabric}:50052"]


@pytest.mark.usefixtures("served")
def test_launching_it_again_changes_nothing() -> None:
    status, said = playbook("launch", "-e", "recipe=lab-llama")
    assert status == 0, said
    assert "(it ran already)" in said
    assert said.count("changed=0") == 2


@pytest.mark.usefixtures("served")
def test_a_killed_worker_restarts_both_ranks() -> None:
    on_node(HEAD, f"rm -f /var/lib/dgxspark/{RANKS[HEAD]}.service.json")
    asked = "docker inspect --format '{{.State.StartedAt}} {{.State.Running}}' "
    before = {node: on_node(node, asked + name) for node, name in RANKS.items()}
    on_node(WORKER, f"docker kill {RANKS[WORKER]}")

    def restarted() -> bool:
        now = {node: on_node(node, asked + name) for node, name in RANKS.items()}
        return all(state != before[node] and "true" in state for node, state in now.items())

    wait_for(restarted)
    wait_for(lambda: answers("lab-llama"))


def test_on_one_node(tmp_path: Path) -> None:
    text = (ROOT / "tests/lab/recipes/lab-llama.yaml").read_text(encoding="utf-8")
    solo = tmp_path / "lab-llama-solo.yaml"
    alone = text.replace("min_nodes: 2\nmax_nodes: 2", "max_nodes: 1")
    solo.write_text(alone.replace(":Q8_0", ":F16"), encoding="utf-8")
    status, said = playbook("launch", "-e", f"recipe={solo}")
    assert status == 0, said
    assert "lab-llama answers at" in said
    assert answers("lab-llama")


@pytest.mark.usefixtures("served")
def test_a_missing_quantisation_is_refused() -> None:
    status, said = playbook(
        *("launch", "-e", "recipe=lab-llama"),
        *("-e", json.dumps({"overrides": {"model": "dgxspark/tiny-llama-GGUF:Q2_K"}})),
    )
    assert status != 0
    assert "dgxspark/tiny-llama-GGUF:Q2_K" in said
    assert "-e model=dgxspark/tiny-llama-GGUF -e quant=Q2_K" in said
    assert answers("lab-llama")


REGISTERED = "localhost:5000/lab/llama:1"
REGISTRY = """version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/lab-registry}}
http: {addr: "127.0.0.1:5000"}
"""


@pytest.fixture
def registry() -> Iterator[None]:
    """A registry on the first node, with the only copy of the image; no other node reaches it."""
    install = "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends"
    on_node(HEAD, f"apt-get -qq update; {install} docker-registry >/dev/null 2>&1")
    on_node(HEAD, f"systemctl disable --now -q docker-registry; echo '{REGISTRY}' >/root/lab.yml")
    on_node(HEAD, "systemd-run -q --unit=lab-registry docker-registry serve /root/lab.yml")
    try:
        on_node(HEAD, "timeout 30 sh -c 'until curl -s localhost:5000/v2/; do sleep 0.2; done'")
        on_node(HEAD, f"docker tag {IMAGE} {REGISTERED}; docker push -q {REGISTERED}")
        on_node(HEAD, f"docker rmi --force {IMAGE} {REGISTERED}")
        yield
    finally:
        on_node(HEAD, "systemctl stop lab-registry || true; rm -rf /root/lab.yml /var/lib/lab-reg*")
        on_node(HEAD, "apt-get -qq purge -y docker-registry >/dev/null 2>&1; apt-get clean")
        on_node(HEAD, f"docker tag {REGISTERED} {IMAGE}")
        for node in NODES:
            run("docker", "exec", node, "docker", "rmi", REGISTERED)


def test_an_image_is_pulled_once_and_copied_to_the_other_node(
    registry: None,
) -> None:
    status, said = playbook("stop")
    assert status == 0, said
    wanted = ("-e", "recipe=lab-llama", "-e", f"overrides=container={REGISTERED}")
    status, said = playbook("launch", *wanted)
    assert status == 0, said
    assert answers("lab-llama")
    asked = f"docker image inspect -f '{{{{.Id}}}}' {REGISTERED}"
    assert len({on_node(node, asked) for node in NODES}) == 1
    # The other node cannot pull it.
    assert "refused" in run("docker", "exec", WORKER, "docker", "pull", REGISTERED).stderr
    on_node(HEAD, "systemctl stop lab-registry")
    status, said = playbook("stop")
    assert status == 0, said
    status, said = playbook("launch", *wanted)
    assert status == 0, said
    assert answers("lab-llama")
    playbook("stop")
