# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of an image, and how it gets to the nodes."""

from __future__ import annotations

import json
from typing import Any

from lab import mark, module, on_node, playbook, touched

VLLM, OLD_TRITON = "dgxspark-lab/vllm:cpu", "dgxspark-lab/triton:3.5.1"
RECORDS = "/var/lib/dgxspark/images"
PTXAS = "/usr/local/cuda-13.0/bin/ptxas"


def facts(node: str, image: str) -> dict[str, Any]:
    return dict(module(node, "image_preflight", {"image": image})["image_facts"])


def test_an_image_whose_triton_supports_the_gb10_needs_nothing() -> None:
    found = facts("spark1", VLLM)
    assert (found["assembles"], found["pins"], found["message"]) == (True, {}, "")
    assert found["vllm"] == "0.32.0"
    assert found["triton"] == "3.9.0"
    assert found["ray"]
    assert found["torch"]


def test_an_image_with_an_older_triton_mounts_the_ptxas_of_the_node() -> None:
    found = facts("spark1", OLD_TRITON)
    assert found["pins"] == {"TRITON_PTXAS_PATH": PTXAS}
    assert "Value 'sm_121" in found["message"]


def test_facts_are_recorded_by_the_id_of_the_image() -> None:
    before = facts("spark1", VLLM)
    name = before["image_id"].partition(":")[2]
    record = json.loads(on_node("spark1", f"cat {RECORDS}/{name}.json"))
    assert record["facts"] == before
    seen = module("spark1", "workload_info", {"image": VLLM})
    assert seen["image_facts"] == before


def test_check_mode_prints_the_pin_and_writes_nothing() -> None:
    on_node("spark1", f"rm -rf {RECORDS}")
    mark("spark1")
    wanted = ("-e", "recipe=lab-tiny-solo", "-e", f"overrides=container={OLD_TRITON}")
    status, said = playbook("launch", *wanted, "--check")
    assert status == 0, said
    assert f"--env TRITON_PTXAS_PATH={PTXAS}" in said
    assert f"--mount type=bind,source={PTXAS},target={PTXAS},readonly" in said
    assert "spark1: Triton 3.5.1 of dgxspark-lab/triton:3.5.1 does not compile" in said
    assert [path for path in touched("spark1") if "dgxspark" in path] == []


def test_without_a_working_ptxas_a_launch_with_a_gpu_is_refused() -> None:
    wanted = ("-e", "recipe=lab-tiny-solo", "-e", f"overrides=container={OLD_TRITON}")
    on_node("spark1", "mv /usr/local/cuda-13.0 /usr/local/away-13.0")
    try:
        status, said = playbook("launch", *wanted, "-e", "dgxspark_gpus=all", "--check")
        assert status != 0
        assert "Upgrade Triton to 3.6 or later" in said
        assert "dgxspark_image_preflight=false" in said
        past = ("-e", "dgxspark_gpus=all", "-e", "dgxspark_image_preflight=false")
        status, said = playbook("launch", *wanted, *past, "--check")
        assert status == 0, said
    finally:
        on_node("spark1", "mv /usr/local/away-13.0 /usr/local/cuda-13.0")


def image_id(node: str, image: str) -> str:
    return str(module(node, "workload_info", {"image": image})["image_id"])


def bring(node: str, **arguments: Any) -> dict[str, Any]:
    """As the launch does: begin, then look until it is through."""
    return module(node, "image_receive", {"image": OLD_TRITON, **arguments})


def test_an_image_comes_from_a_node_that_has_it_by_its_id_and_leaves_nothing_beside() -> None:
    fabric = {
        node: on_node(node, "ip -4 -o addr show eth1").split()[3].partition("/")[0]
        for node in ("spark1", "spark2")
    }
    wanted = image_id("spark1", OLD_TRITON)
    on_node("spark2", f"docker rmi --force {OLD_TRITON} || true")
    offered = module(
        "spark1",
        "image_share",
        {
            "image": OLD_TRITON,
            "address": fabric["spark1"],
            "clients": [fabric["spark2"]],
            "secret": "of the lab",
        },
    )
    try:
        given = {"address": fabric["spark1"], "port": offered["port"], "id": wanted}
        refused = bring("spark2", secret="guessed", **given)
        assert refused["failed"] is True
        assert "secret" in refused["msg"]
        assert image_id("spark2", OLD_TRITON) == "None"
        assert bring("spark2", secret="of the lab", **given)["changed"] is True
    finally:
        module("spark1", "share_end", {"id": offered["id"]})
    assert image_id("spark2", OLD_TRITON) == wanted
    for node in fabric:
        assert on_node(node, "ls /run/dgxspark/images /var/lib/docker/tmp | grep -v :") == "\n"


def test_an_image_that_is_nowhere_is_told_with_where_it_was_looked_for() -> None:
    wanted = ("-e", "recipe=lab-tiny", "-e", "overrides=container=registry.invalid/vllm:1")
    status, said = playbook("launch", *wanted)
    assert status != 0
    assert "registry.invalid/vllm:1 is not on spark1 and spark2, and this node cannot pull" in said
    assert "docker load" in said
