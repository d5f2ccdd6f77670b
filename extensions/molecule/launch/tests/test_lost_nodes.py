# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that is lost while a model starts and while it serves, with llama.cpp.

Its server starts in a second.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import (
    NODES,
    ROOT,
    answers,
    ended,
    frozen,
    llama,
    on_node,
    playbook,
    playbook_begun,
    recipes_on,
    wait_for,
)

HEAD, WORKER = NODES
pytestmark = pytest.mark.long
RANKS = {HEAD: "dgxspark-main-0", WORKER: "dgxspark-main-1"}


def running(node: str, container: str) -> bool:
    asked = f"docker inspect --format '{{{{.State.Running}}}}' {container} || true"
    return "true" in on_node(node, asked)


@pytest.fixture(scope="module", autouse=True)
def served() -> Iterator[None]:
    with llama():
        status, said = playbook("launch", "-e", "recipe=lab-llama")
        assert status == 0, said
        yield


def progress() -> dict[str, Any]:
    return dict(json.loads(on_node(HEAD, "cat /run/dgxspark/swaps/main.json")))


def test_a_worker_lost_during_the_start_is_waited_for_and_started_anew(tmp_path: Path) -> None:
    """Its engine keeps running; only the node is unreachable."""
    text = (ROOT / "tests/lab/recipes/lab-llama.yaml").read_text(encoding="utf-8")
    slow = tmp_path / "lab-llama-slow.yaml"
    slow.write_text(f"{text}\npre_exec: ['sleep 30']\n", encoding="utf-8")
    begun = playbook_begun("launch", "-e", f"recipe={slow}")
    wait_for(lambda: progress()["step"] == "waits until the new plan answers", 90)
    with frozen(WORKER):
        wait_for(lambda: progress().get("missing") == [WORKER], 90)
    status, said = ended(begun)
    assert status == 0, said
    assert f"no answer from {WORKER}" in said
    assert progress()["attempt"] == 2
    assert answers("lab-llama", 20)
    for node, number in zip(NODES, "01", strict=True):
        name = f"dgxspark-main-{number}"
        assert recipes_on(node) == {"lab-llama-slow"}
        assert on_node(node, "docker ps --all --format '{{.Names}}'").split() == [name]
        assert "enabled" in on_node(node, f"systemctl is-enabled {name}.service")
    status, said = playbook("launch", "-e", "recipe=lab-llama")
    assert status == 0, said


def test_a_worker_lost_while_serving_stops_the_head_and_both_restart() -> None:
    on_node(HEAD, f"rm -f /var/lib/dgxspark/{RANKS[HEAD]}.service.json")
    assert answers("lab-llama", 20)
    with frozen(WORKER):
        wait_for(lambda: not running(HEAD, RANKS[HEAD]), 90)
        _status, said = playbook("status")
        assert f"{WORKER}: unknown, see its error above" in said
    wait_for(lambda: answers("lab-llama", 20), 180)
    assert all(running(node, name) for node, name in RANKS.items())
