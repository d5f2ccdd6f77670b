# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ray over both nodes with token authentication."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lab import NODES, playbook

HEAD = "dgxspark-lab-tiny-0"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module", autouse=True)
def served() -> Iterator[None]:
    status, said = playbook("launch", "-e", "recipe=lab-tiny", "-e", "dgxspark_ray_auth=true")
    assert status == 0, said
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
