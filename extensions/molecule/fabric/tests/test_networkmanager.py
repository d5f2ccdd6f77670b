# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The links by NetworkManager: taken over, repaired, undone, restarted, given back.

Runs on nodes whose links systemd-networkd has, and leaves them so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from lab import NETPLAN, NODES, Verdict, all_reach, links, on_node, run, verdicts_of, wait_for

HERE, THERE = NODES[:2]
pytestmark = pytest.mark.long
CONVERGE = "extensions/molecule/fabric/converge.yml"
CHANGE = "/var/lib/dgxspark/fabric-change"
# What the lab itself goes by stays as it is.
THEIRS = "/etc/NetworkManager/conf.d/lab.conf"
INSTALL = f"""
mkdir -p {THEIRS.rpartition("/")[0]}
printf '[keyfile]\\nunmanaged-devices=interface-name:eth*;interface-name:docker*\\n' >{THEIRS}
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends network-manager
"""
REMOVE = f"""
DEBIAN_FRONTEND=noninteractive apt-get purge -y -qq --auto-remove network-manager
rm -rf {THEIRS.rpartition("/")[0]} /run/NetworkManager
"""


def fabric(renderer: str, *options: str) -> dict[str, Verdict]:
    given = ("-e", f"dgxspark_fabric_renderer={renderer}")
    return verdicts_of(CONVERGE, (HERE, THERE), "fabric", *given, *options)


def connected(node: str) -> set[str]:
    """Connections of netplan that NetworkManager has up."""
    listed = on_node(node, "nmcli -t -f NAME connection show --active")
    return {name for name in listed.split() if name.startswith("netplan-en")}


@pytest.fixture(scope="module", autouse=True)
def managed() -> Iterator[None]:
    for node in (HERE, THERE):
        on_node(node, INSTALL)
    yield
    fabric("")
    for node in (HERE, THERE):
        on_node(node, REMOVE)


def test_it_takes_the_links_over_and_the_next_run_is_silent() -> None:
    if any(connected(node) for node in (HERE, THERE)):
        fabric("")
    checked = fabric("NetworkManager", "--check")
    assert {verdict.changed for verdict in checked.values()} == {True}
    done = fabric("NetworkManager")
    for node, peer in ((HERE, THERE), (THERE, HERE)):
        assert done[node].having("fixed") == {"fabric_netplan"}
        assert done[node].diff == checked[node].diff
        assert connected(node) == {f"netplan-{name}" for name, _address in links(node, peer)}
    assert all_reach()
    again = fabric("NetworkManager")
    assert {verdict.changed for verdict in again.values()} == {False}


@pytest.fixture
def taken_over() -> None:
    if not all(connected(node) for node in (HERE, THERE)):
        fabric("NetworkManager")


@pytest.mark.usefixtures("taken_over")
def test_a_link_that_was_changed_by_hand_is_repaired() -> None:
    (name, _address), _other = links(THERE, HERE)
    on_node(THERE, f"ip link set {name} mtu 1500; ip address flush dev {name}")
    seen = fabric("NetworkManager")[THERE]
    assert seen.having("fixed") == {"fabric_mtu", "fabric_addresses"}
    assert all_reach()


@pytest.mark.usefixtures("taken_over")
def test_a_wrong_plan_undoes_itself() -> None:
    before = on_node(HERE, f"cat {NETPLAN}")
    wrong = {"dgxspark_fabric_networks": [f"198.51.100.{n * 32}/27" for n in range(6)]}
    seen = verdicts_of(
        CONVERGE,
        (HERE,),
        "fabric",
        *("-e", "dgxspark_fabric_renderer=NetworkManager", "-e", json.dumps(wrong)),
    )[HERE]
    assert "fabric_change" in seen.having("blocked")
    assert on_node(HERE, f"cat {NETPLAN}") == before
    assert on_node(HERE, f"ls {CHANGE}* 2>/dev/null || :") == ""
    wait_for(all_reach, 15)
    assert not fabric("NetworkManager")[HERE].changed


@pytest.mark.usefixtures("taken_over")
def test_a_restart_brings_the_links_back() -> None:
    run("docker", "restart", THERE)
    wait_for(all_reach, 90)
    assert not fabric("NetworkManager")[THERE].changed


@pytest.mark.usefixtures("taken_over")
def test_networkd_has_them_again_when_that_is_wanted() -> None:
    # As by default: nobody else's file names NetworkManager.
    done = fabric("")
    for node, peer in ((HERE, THERE), (THERE, HERE)):
        assert done[node].having("fixed") == {"fabric_netplan"}
        assert connected(node) == set()
        (name, _address), _other = links(node, peer)
        assert "configured" in on_node(node, f"networkctl status {name}")
    assert all_reach()
    assert not any(verdict.changed for verdict in fabric("").values())
