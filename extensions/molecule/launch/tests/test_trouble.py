# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults around a launch: what was served before answers afterwards, and the error says why.

Begins and ends with nodes on which nothing is served.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab import (
    NODES,
    ROOT,
    answers,
    complete,
    frozen,
    module,
    on_node,
    playbook,
    recipes_on,
    run,
    wait_for,
)

HEAD, WORKER = NODES
pytestmark = pytest.mark.long
# A model name with all the metacharacters of a shell.
SERVED = "it's; touch /pwned $(touch /pwned) `touch /pwned` | > /pwned & \\ \" %n"


def containers(node: str) -> set[str]:
    return set(on_node(node, "docker ps --all --format '{{.Names}}'").split())


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    status, said = playbook("stop")
    assert status == 0, said
    text = (ROOT / "tests/lab/recipes/lab-tiny-solo.yaml").read_text(encoding="utf-8")
    named = text.replace(
        "served_model_name: lab-tiny-solo", f"served_model_name: {json.dumps(SERVED)}"
    ).replace("{served_model_name}", "{quoted}")
    quoted = "'" + SERVED.replace("'", "'\\''") + "'"
    named = named.replace("defaults:", f"defaults:\n  quoted: {json.dumps(quoted)}")
    path = tmp_path_factory.mktemp("recipes") / "a $(touch pwned) b.yaml"
    path.write_text(named, encoding="utf-8")
    yield path
    playbook("stop", "-e", "force=true")


@pytest.fixture(autouse=True)
def served(recipe: Path) -> None:
    """Launched only where it does not answer."""
    if not answers(SERVED):
        status, said = playbook("launch", "-e", json.dumps({"recipe": str(recipe)}))
        assert status == 0, said


def test_shell_metacharacters_of_a_recipe_are_not_executed() -> None:
    assert isinstance(complete(SERVED, 200), str)
    for node in NODES:
        assert run("docker", "exec", node, "test", "-e", "/pwned").returncode == 1
    (name,) = containers(HEAD)
    inside = f"docker exec {name} find / -xdev -name '*pwned*' -not -path '/proc/*'"
    assert on_node(HEAD, inside) == ""
    assert not (ROOT / "pwned").exists()
    assert "active" in on_node(HEAD, f"systemctl is-active {name}.service")


def test_an_unreachable_node_ends_the_launch_before_any_change() -> None:
    before = containers(HEAD)
    with frozen(WORKER):
        status, said = playbook("launch", "-e", "recipe=lab-tiny-2", "--timeout", "5")
    assert status != 0
    assert "unreachable=1" in said
    assert WORKER in said
    assert containers(HEAD) == before
    assert containers(WORKER) == set()
    assert isinstance(complete(SERVED, 200), str)
    assert "lock" not in on_node(HEAD, "ls /var/lib/dgxspark")


def test_a_full_disk_ends_the_launch_before_any_change() -> None:
    before = containers(HEAD)
    on_node(HEAD, "mount -t tmpfs -o size=16k,mode=755 tmpfs /var/lib/dgxspark")
    on_node(HEAD, "cat /dev/zero >/var/lib/dgxspark/full 2>/dev/null || true")
    try:
        status, said = playbook("launch", "-e", "recipe=lab-tiny-2")
    finally:
        on_node(HEAD, "umount /var/lib/dgxspark")
    assert status != 0
    assert "No space left on device" in said
    assert containers(HEAD) == before
    assert containers(WORKER) == set()
    assert isinstance(complete(SERVED, 200), str)


@contextmanager
def receivers() -> Iterator[list[str]]:
    """One that is unreachable, one that never answers, one that answers without HTTP."""
    silent, garbled = (
        socket.create_server(("127.0.0.1", 0)),
        socket.create_server(("127.0.0.1", 0)),
    )
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        down = closed.getsockname()[1]

    def answer_garbled() -> None:
        while True:
            try:
                connection, _address = garbled.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(b"\x00\xffnonsense\r\n\r\n" * 100)

    threading.Thread(target=answer_garbled, daemon=True).start()
    try:
        ports = (down, silent.getsockname()[1], garbled.getsockname()[1])
        yield [f"http://127.0.0.1:{port}/" for port in ports]
    finally:
        silent.close()
        garbled.close()


def test_a_healthy_server_without_completions_is_rolled_back() -> None:
    """With a context of one token no completion is possible, although /health answers."""
    short = ("-e", "recipe=lab-tiny-solo", "-e", "overrides=max_model_len=1")
    status, said = playbook("launch", *short)
    assert status != 0
    assert "The server is up and will not serve this: a completion was answered with 400" in said
    assert "which was served before, answers again" in said
    assert isinstance(complete(SERVED, 200), str)


def test_broken_webhook_receivers_delay_nothing() -> None:
    """The rollback after a server that exits at once also restores the unit."""
    with receivers() as urls:
        webhooks = {"dgxspark_webhook_urls": urls, "dgxspark_webhook_secret": "lab"}
        wrong = ("-e", "recipe=lab-tiny-solo", "-e", "overrides=dtype=no-such-dtype")
        status, said = playbook("launch", *wrong, "-e", json.dumps(webhooks))
    assert status != 0
    assert "no-such-dtype" in said
    assert "which was served before, answers again" in said
    assert isinstance(complete(SERVED, 200), str)
    (name,) = containers(HEAD)
    assert "active" in on_node(HEAD, f"systemctl is-active {name}.service")


def test_a_lock_that_is_taken_over_stays_with_its_new_holder() -> None:
    """The nodes undo the swap all the same, and release no lock but their own."""
    outcome: list[tuple[int, str]] = []
    launch = threading.Thread(
        target=lambda: outcome.append(
            playbook("launch", "-e", "recipe=lab-tiny-solo", "-e", "overrides=dtype=no-such-dtype")
        )
    )
    launch.start()
    wait_for(lambda: "lab-tiny-solo" in recipes_on(HEAD), 300)
    on_node(HEAD, 'sed -i \'s/"expires": [0-9.]*/"expires": 1/\' /var/lib/dgxspark/lock.json')
    token = module(HEAD, "cluster_lock", {"owner": "Bob", "seconds": 600})["token"]
    launch.join()
    ((status, said),) = outcome
    assert status != 0
    assert "which was served before, answers again" in said
    assert isinstance(complete(SERVED, 200), str)
    status, said = playbook("stop")
    assert "locked by Bob" in said
    status, said = playbook("stop", "-e", f"lock_token={token}")
    assert status == 0, said
    assert containers(HEAD) == set()
    module(HEAD, "cluster_lock", {"state": "released", "token": token})


def test_nothing_of_this_collection_is_left() -> None:
    status, said = playbook("stop")
    assert status == 0, said
    for node in NODES:
        assert containers(node) == set()
        assert "dgxspark" not in on_node(node, "ls /usr/local/lib")
