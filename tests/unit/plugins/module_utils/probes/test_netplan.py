# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What netplan 0.106 made of a file for each renderer, recorded from `netplan generate`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.netplan import (
    NETWORK_MANAGER,
    NETWORKD,
    NetplanSetting,
    generate,
    handed_over,
    parse_connection,
    parse_network,
    settings,
)

NETWORK = """[Match]
Name=enp1s0f0np0

[Link]
RequiredForOnline=no
MTUBytes=9000

[Network]
LinkLocalAddressing=no
Address=198.51.100.11/25
Address=198.51.100.13/25
IPv6AcceptRA=no
ConfigureWithoutCarrier=yes
"""
BY_MAC = """[Match]
PermanentMACAddress=02:42:AC:12:00:0b

[Network]
DHCP=ipv4
LinkLocalAddressing=ipv6
"""
KEYFILE = """[connection]
id=netplan-enp1s0f0np0
type=ethernet
interface-name=enp1s0f0np0

[ethernet]
wake-on-lan=0
mtu=9000

[ipv4]
method=manual
address1=198.51.100.11/25
address2=198.51.100.13/25,198.51.100.1

[ipv6]
method=ignore
"""
ANY = "[connection]\nid=Wired connection 1\ntype=ethernet\n[ipv4]\nmethod=auto\n"
BOTH = ("198.51.100.11/25", "198.51.100.13/25")


def test_what_is_set_for_networkd_and_for_networkmanager() -> None:
    found = settings(
        {
            "systemd/network/10-netplan-enp1s0f0np0.network": NETWORK,
            "systemd/network/10-netplan-enp1s0f0np0.link": "[Match]\nOriginalName=enp1s0f0np0\n",
            "systemd/network/10-netplan-mgmt.network": BY_MAC,
            "NetworkManager/system-connections/netplan-enp1s0f0np0.nmconnection": KEYFILE,
            "NetworkManager/system-connections/netplan-any.nmconnection": ANY,
            "NetworkManager/system-connections/netplan-broken.nmconnection": "garbage",
        }
    )
    parts = [
        (entry.renderer, entry.names, entry.macs, entry.addresses, entry.mtu, entry.dhcp)
        for entry in found
    ]
    name = ("enp1s0f0np0",)
    assert parts == [
        (NETWORK_MANAGER, (), (), (), 0, True),
        (NETWORK_MANAGER, (), (), (), 0, False),
        (NETWORK_MANAGER, name, (), BOTH, 9000, False),
        (NETWORKD, name, (), BOTH, 9000, False),
        (NETWORKD, (), ("02:42:ac:12:00:0b",), (), 0, True),
    ]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (NetplanSetting("", NETWORKD, names=("enp1s0f*",)), True),
        (NetplanSetting("", NETWORKD, macs=("02:42:ac:12:00:0b",)), True),
        (NetplanSetting("", NETWORKD, names=("*",)), False),
        (NetplanSetting("", NETWORK_MANAGER), False),
    ],
)
def test_a_setting_concerns_what_it_names(setting: NetplanSetting, expected: bool) -> None:
    assert setting.concerns("enp1s0f0np0", "02:42:AC:12:00:0b") is expected


def netplan(folder: Path, script: str) -> str:
    path = folder / "netplan"
    path.write_text(f'#!/bin/sh\ncd "$3"\n{script}\n')
    path.chmod(0o755)
    return str(path)


def test_netplan_is_asked_in_a_folder_of_which_nothing_remains(tmp_path: Path) -> None:
    script = (
        "mkdir -p run/systemd/network; echo $PWD >>$0.seen; ls -l etc/netplan >>$0.seen;"
        " cp etc/netplan/a.yaml run/systemd/network/10-netplan-a.network;"
        " touch run/systemd/network/unrelated"
    )
    tool = netplan(tmp_path, script)
    made = generate(tool, {"a.yaml": "network: {version: 2}\n"})
    assert made.error == ""
    assert made.files == {"systemd/network/10-netplan-a.network": "network: {version: 2}\n"}
    folder, *listing = (tmp_path / "netplan.seen").read_text().splitlines()
    assert not os.path.exists(folder)
    assert any(line.startswith("-rw-------") for line in listing)


def test_what_netplan_refuses_is_told_by_the_name_of_the_file(tmp_path: Path) -> None:
    tool = netplan(tmp_path, 'echo "$PWD/etc/netplan/a.yaml:3:5: Error in network" >&2; exit 1')
    error = generate(tool, {"a.yaml": "x"}).error
    assert error == "exit status 1: /etc/netplan/a.yaml:3:5: Error in network"


def test_a_node_without_netplan_has_handed_over_nothing(tmp_path: Path) -> None:
    assert handed_over(str(tmp_path)) == {}


def test_what_is_stacked_on_an_interface_is_read() -> None:
    text = "[Match]\nName=port0\n[Network]\nBond=bond0\nVLAN=a\nVLAN=b c\n"
    assert parse_network("x.network", text).uppers == ("bond0", "a", "b", "c")
    keyfile = "[connection]\ninterface-name=port0\nmaster=bond0\nslave-type=bond\n"
    assert parse_connection("x.nmconnection", keyfile).uppers == ("bond0",)
    newer = "[connection]\ninterface-name=port0\ncontroller=bond0\nport-type=bond\n"
    assert parse_connection("x.nmconnection", newer).uppers == ("bond0",)
    assert parse_network("x.network", "[Match]\nName=port0\n").uppers == ()
