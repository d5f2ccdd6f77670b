# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults during a copy or a delete: nothing incomplete is reported as done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import NODES, address, ended, on_node, playbook, playbook_begun

FIRST, OTHER = NODES
pytestmark = pytest.mark.long
HUB = "/ai/cache/huggingface/hub"
FOLDER = f"{HUB}/models--lab--slow"
MODEL = ("-e", "model=lab/slow")


@pytest.fixture(autouse=True)
def slow() -> Iterator[None]:
    """A model on the first node for which a slow link needs half a minute."""
    make = f"""
        cp -a {HUB}/models--lab--llama {FOLDER}
        cd {FOLDER} && link=$(echo snapshots/*/model.safetensors)
        rm $(readlink -f $link) && head -c 40M /dev/urandom >blobs/new
        sum=$(sha256sum <blobs/new | cut -d ' ' -f 1)
        mv blobs/new blobs/$sum && ln -sfn ../../blobs/$sum $link && chown -R spark: .
    """
    on_node(FIRST, make)
    on_node(OTHER, f"rm -rf {FOLDER}")
    yield
    on_node(OTHER, "systemctl start ssh")
    unthrottle()
    for node in NODES:
        on_node(node, f"umount {FOLDER}/refs 2>/dev/null || true; rm -rf {FOLDER} {HUB}/.dgxspark*")


def on_fabric(script: str) -> None:
    """On the first node, where $dev is its interface on the way that a copy takes."""
    own = address(FIRST, "dgxspark_fabric_address")
    on_node(FIRST, f"dev=$(ip -o addr | awk '/ {own}\\//{{ print $2 }}'); {script}")


def throttle() -> None:
    on_fabric("tc qdisc replace dev $dev root tbf rate 12mbit burst 256k latency 400ms")


def unthrottle() -> None:
    on_fabric("tc qdisc del dev $dev root 2>/dev/null || true")


def until_it_copies() -> None:
    script = f"until find {FOLDER}/.dgxspark-sync -size +500k 2>/dev/null | grep -q .; do sleep 0.1"
    on_node(OTHER, f"timeout 120 sh -c '{script}; done'")


def complete(node: str) -> bool:
    return "snapshots" in on_node(node, f"ls {FOLDER} 2>/dev/null || true").split()


def test_a_copy_to_a_lost_node_fails_and_the_next_run_completes_it() -> None:
    throttle()
    begun = playbook_begun("model_sync", *MODEL)
    until_it_copies()
    # The brackets keep the pattern from being found in the shell that has it.
    running = "$(pgrep -x sshd; pgrep -f 'dgxspark-[c]opy:')"
    on_node(OTHER, f"systemctl stop ssh; kill {running} || true")
    status, said = ended(begun)
    assert status != 0
    assert f"{OTHER} has not been reachable for " in said
    assert "Run again; what has arrived is kept" in said
    assert not complete(OTHER)
    unthrottle()
    on_node(OTHER, "systemctl start ssh")
    status, said = playbook("model_sync", *MODEL)
    assert status == 0, said
    assert "0.00 Bytes of it by an earlier run" not in said
    trees = [on_node(node, f"cd {FOLDER} && sha256sum blobs/*") for node in NODES]
    assert trees[0] == trees[1]
    # Nor does the offer of the first run remain.
    assert "dgxspark-offer:" not in on_node(FIRST, "ps -eo args")


def test_a_second_copy_at_the_same_time_is_refused() -> None:
    throttle()
    begun = playbook_begun("model_sync", *MODEL)
    until_it_copies()
    status, said = playbook("model_sync", *MODEL)
    assert status != 0
    assert "it is being downloaded there" in said
    unthrottle()
    status, said = ended(begun)
    assert status == 0, said
    assert complete(OTHER)


def test_nothing_is_deleted_while_a_node_is_unreachable() -> None:
    on_node(OTHER, f"mkdir {FOLDER}; systemctl stop ssh; kill $(pgrep -x sshd) || true")
    status, said = playbook("model_delete", *MODEL, "-e", "confirm=lab/slow")
    assert status != 0
    assert "unreachable=1" in said
    assert complete(FIRST)
    on_node(OTHER, "systemctl start ssh")
    status, said = playbook("model_delete", *MODEL, "-e", "confirm=lab/slow")
    assert status == 0, said
    assert "slow" not in on_node(FIRST, f"ls {HUB}") + on_node(OTHER, f"ls {HUB}")


def test_an_interrupted_delete_fails_and_the_next_run_completes_it() -> None:
    status, said = playbook("model_sync", *MODEL)
    assert status == 0, said
    # What is mounted somewhere in it cannot be removed.
    on_node(OTHER, f"mount -t tmpfs lab {FOLDER}/refs; echo x >{FOLDER}/refs/main")
    confirmed = (*MODEL, "-e", "confirm=lab/slow")
    status, said = playbook("model_delete", *confirmed)
    assert status != 0
    assert "lab/slow is not completely removed" in said
    on_node(OTHER, f"umount {HUB}/.dgxspark-trash/*/refs || umount {FOLDER}/refs")
    status, said = playbook("model_delete", *confirmed)
    assert status == 0, said
    for node in NODES:
        assert "slow" not in on_node(node, f"find {HUB} -name '*slow*'")
