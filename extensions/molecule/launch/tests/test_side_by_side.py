# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real engines side by side, declared, each proven by its kind and swapped by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import NODES, answers, declared, llama, minilm, on_node, playbook, serve

HEAD, WORKER = NODES
pytestmark = pytest.mark.long

# Chat over two nodes, another one on the first, embeddings on the second: all are vLLM. And a
# llama.cpp over both nodes by its RPC.
REAL = [
    {"name": "main", "recipe": "lab-tiny"},
    {
        "name": "second",
        "recipe": "lab-tiny-solo",
        "nodes": [HEAD],
        "overrides": {"port": 8001},
    },
    {"name": "embeddings", "recipe": "lab-minilm", "nodes": [WORKER]},
    {"name": "small", "recipe": "lab-llama", "overrides": {"port": 8002}},
]
OTHERS = ("second", "embeddings", "small")


def ids(*services: str) -> dict[str, list[str]]:
    """Node -> the containers of these services that run."""
    labels = {name: f"--filter label=dgxspark.suite/service={name}" for name in services}
    return {
        node: [
            identity
            for label in labels.values()
            for identity in on_node(node, f"docker ps --quiet --no-trunc {label}").split()
        ]
        for node in NODES
    }


@pytest.fixture(scope="module")
def real() -> Iterator[None]:
    minilm()
    with llama():
        serve(REAL)
        yield
        status, said = playbook("stop", "-e", "confirm=all")
        assert status == 0, said


@pytest.mark.usefixtures("real")
def test_all_are_proven_by_their_kind() -> None:
    status, said = playbook("status")
    assert status == 0, said
    assert said.count("answers, a completion was answered in") == 3
    assert "answers, an embedding was answered in" in said
    check = playbook("services", *declared(REAL), "--check")
    assert check[0] == 0
    assert "Checks: 4 ok" in check[1]


@pytest.mark.usefixtures("real")
def test_the_chat_model_is_swapped_and_the_others_stay() -> None:
    before = ids(*OTHERS)
    assert all(before.values())
    for recipe in ("lab-tiny-2", "lab-tiny"):
        status, said = playbook("launch", "-e", f"recipe={recipe}")
        assert status == 0, said
        assert answers(recipe)
    wrong = ("-e", "recipe=lab-tiny-2", "-e", "overrides=dtype=no-such-dtype")
    status, said = playbook("launch", *wrong)
    assert status != 0
    assert "lab-tiny, which was served before, answers again" in said
    assert ids(*OTHERS) == before
    # Back to what was proven before the present one.
    status, said = playbook("launch", "-e", "back=true")
    assert status == 0, said
    assert answers("lab-tiny-2")
    serve(REAL)
    assert answers("lab-tiny")
    assert ids(*OTHERS) == before


@pytest.mark.usefixtures("real")
def test_what_somebody_stopped_is_reported_and_comes_back() -> None:
    before = ids("main", "second")
    name = "dgxspark-embeddings-0"
    on_node(WORKER, f"systemctl disable --now {name}; docker rm --force {name}")
    status, said = playbook("services", *declared(REAL), "--check")
    assert "service_embeddings: drift" in said
    assert status == 0, said
    said = serve(REAL)
    assert "service_embeddings: fixed" in said
    assert ids("main", "second") == before
