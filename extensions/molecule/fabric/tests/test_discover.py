# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""discover.yml on the two nodes: with the plan applied, with somebody's addresses, from nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab import NETPLAN, NODES, address, all_reach, module, on_node, playbook, verdicts_of, wait_for

HERE, THERE = NODES[:2]
FACTS = "/etc/ansible/facts.d/dgxspark_fabric.fact"
CAGES = [["enp1s0f0np0", "enP2p1s0f0np0"], ["enp1s0f1np1", "enP2p1s0f1np1"]]
# The nodes by the names of the lab's inventory; they are no Sparks by their DMI.
GIVEN = ("-e", f"nodes={HERE},{THERE}", "-e", "any_machine=true")
# Links as on a new Spark: up, with nothing but their link-local address.
FRESH = """
    systemctl stop systemd-networkd.socket systemd-networkd
    for link in $(ls /sys/class/net | grep ^en.*np); do
        sysctl -qw net.ipv6.conf.$link.disable_ipv6=0 net.ipv6.conf.$link.addr_gen_mode=0
        ip -4 address flush dev $link
        ip link set $link down
        ip link set $link up
    done
"""


@pytest.fixture
def bare() -> Iterator[None]:
    """Without the file and the facts of the plan; both nodes have it again afterwards."""
    for node in NODES[:2]:
        on_node(node, f"rm -f {NETPLAN} {FACTS}")
    yield
    for node in NODES[:2]:
        on_node(node, "systemctl start systemd-networkd")
    verdicts_of("extensions/molecule/fabric/converge.yml", NODES[:2], "fabric")
    assert all_reach()


def has_own_address(node: str) -> bool:
    """Whether the first link has its link-local address, which no duplicate holds back."""
    shown = on_node(node, f"ip -6 -o address show dev {CAGES[0][0]} scope link")
    return "inet6 fe80" in shown and "tentative" not in shown


def inventory(folder: Path, *options: str) -> dict[str, Any]:
    status, output = playbook("discover", *GIVEN, "-e", f"write={folder}", *options)
    assert status == 0, output
    return dict(yaml.safe_load((folder / "hosts.yml").read_text()))


def test_the_plan_of_the_nodes_is_recognised_and_nothing_is_overwritten(tmp_path: Path) -> None:
    plan = json.loads(on_node(HERE, f"cat {FACTS}"))
    found = inventory(tmp_path)
    (head,), (worker,) = found["spark_heads"]["hosts"], found["spark_workers"]["hosts"]
    assert (head, worker) == (HERE, THERE)
    assert found["spark_heads"]["hosts"][HERE]["ansible_host"] == address(HERE)
    assert found["all"]["vars"]["dgxspark_fabric_topology"] == plan["topology"]
    assert found["all"]["vars"]["dgxspark_fabric_links"] == CAGES
    before = (tmp_path / "hosts.yml").stat()
    inventory(tmp_path)
    assert (tmp_path / "hosts.yml").stat().st_mtime_ns == before.st_mtime_ns
    (tmp_path / "hosts.yml").write_text("all: {}\n")
    status, output = playbook("discover", *GIVEN, "-e", f"write={tmp_path}")
    assert status != 0
    assert "-all: {}" in output
    assert (tmp_path / "hosts.yml").read_text() == "all: {}\n"


def test_a_container_is_no_spark_unless_any_machine_is_wanted() -> None:
    status, output = playbook("discover", *GIVEN[:2])
    assert status != 0
    assert "no DGX Spark" in output


@pytest.mark.usefixtures("bare")
def test_addresses_of_somebody_else_are_kept(tmp_path: Path) -> None:
    found = inventory(tmp_path)
    has = on_node(HERE, "ip -o -4 address show dev enp1s0f0np0")
    assert f" {found['spark_heads']['hosts'][HERE]['dgxspark_fabric_address']}/" in has
    assert "dgxspark_fabric_topology" not in found["all"]["vars"]


@pytest.mark.usefixtures("bare")
def test_fresh_links_get_a_plan_without_an_address_typed(tmp_path: Path) -> None:
    for node in NODES[:2]:
        on_node(node, FRESH)
    for node in NODES[:2]:
        # An address appears with the link, and is not used until duplicates have been ruled out.
        wait_for(lambda node=node: has_own_address(node), 30)
    mine = module(HERE, "spark_info", {"cages": CAGES})
    theirs = module(THERE, "spark_info", {"cages": CAGES})
    local = {a["address"] for a in theirs["addresses"] if a["interface"] == CAGES[0][0]}
    assert local & set(mine["ports"][0]["neighbours"])
    found = inventory(tmp_path)["all"]["vars"]
    assert found["dgxspark_fabric_topology"] == "pair"
    assert len(found["dgxspark_fabric_networks"]) == 2
