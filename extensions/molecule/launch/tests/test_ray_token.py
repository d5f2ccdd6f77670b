# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ray over both nodes with token authentication."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lab import NODES, playbook

HEAD = "dgxspark-main-0"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module", autouse=True)
def served() -> Iterator[None]:
    status, said = playbook("launch", "-e", "recipe=lab-tiny")
    assert status == 0, said
    assert "Ray with a token" in said
    yield
    playbook("stop")


def test_with_the_token_both_nodes_are_visible(nodes: dict[str, Any]) -> None:
    assert "2.0/2.0 GPU" in nodes["spark1"].check_output(f"docker exec {HEAD} ray status")


def test_without_the_token_access_is_denied(nodes: dict[str, Any]) -> None:
    without = f"docker exec --env RAY_AUTH_MODE=disabled {HEAD} ray status"
    assert nodes["spark1"].run(without).rc != 0


def test_the_token_is_in_one_file_of_each_node_and_nowhere_else(nodes: dict[str, Any]) -> None:
    (token,) = {nodes[name].check_output("cat /var/lib/dgxspark/ray/token") for name in NODES}
    assert len(token) == 64
    head = nodes["spark1"]
    assert token not in head.check_output(f"docker inspect {HEAD}")
    assert token not in head.check_output(f"docker logs {HEAD} 2>&1")
    assert token not in head.check_output("cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\\0' ' '")


def test_launching_it_again_changes_nothing(nodes: dict[str, Any]) -> None:
    before = nodes["spark1"].check_output("docker inspect --format '{{.Id}}' %s", HEAD)
    status, said = playbook("launch", "-e", "recipe=lab-tiny")
    assert status == 0, said
    assert "it ran already" in said
    assert nodes["spark1"].check_output("docker inspect --format '{{.Id}}' %s", HEAD) == before


def test_the_container_is_limited(nodes: dict[str, Any]) -> None:
    form = "{{json .HostConfig.SecurityOpt}} {{.HostConfig.PidsLimit}}"
    set_ = nodes["spark1"].check_output("docker inspect --format %s %s", form, HEAD)
    assert set_ == '["no-new-privileges"] 16384'
    status = nodes["spark1"].check_output("docker exec %s cat /proc/1/status", HEAD)
    assert "NoNewPrivs:\t1" in status


def test_an_older_ray_is_refused_and_what_is_served_stays(nodes: dict[str, Any]) -> None:
    before = nodes["spark1"].check_output("docker inspect --format '{{.Id}}' %s", HEAD)
    for name in NODES:
        nodes[name].check_output(
            """sed -i 's/"ray": "[^"]*"/"ray": "2.40.0"/' /var/lib/dgxspark/images/*.json"""
        )
    try:
        status, said = playbook("launch", "-e", "recipe=lab-tiny")
    finally:
        for name in NODES:
            nodes[name].check_output("rm -f /var/lib/dgxspark/images/*.json")
    assert status != 0
    assert "-e dgxspark_ray_auth=false" in " ".join(said.split())
    assert nodes["spark1"].check_output("docker inspect --format '{{.Id}}' %s", HEAD) == before
