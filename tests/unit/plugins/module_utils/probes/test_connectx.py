# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Spark's network card in sysfs, built as its layout is documented."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.connectx import (
    Gid,
    Port,
    cages,
    find_ports,
)

MAPPED = "0000:0000:0000:0000:0000:ffff:c633:640b"  # 198.51.100.11
LOCAL = "fe80:0000:0000:0000:0ac0:ebff:fe00:0001"


class Sysfs:
    """A GB10's: one Realtek port, Wi-Fi, and what of the card is there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "class/net").mkdir(parents=True)
        (root / "class/infiniband").mkdir()
        self.add("enP7s7", "0007:01:00.0", "0x10ec", "0x8127", "1")
        (root / "class/net/lo").mkdir()

    def add(self, name: str, pci: str, vendor: str, device: str, carrier: str) -> Path:
        folder = self.root / "devices" / f"pci{pci[:7]}" / pci
        interface = folder / "net" / name
        interface.mkdir(parents=True)
        (folder / "vendor").write_text(vendor + "\n")
        (folder / "device").write_text(device + "\n")
        (interface / "device").symlink_to(folder)
        if carrier:
            (interface / "carrier").write_text(carrier + "\n")
        (self.root / "class/net" / name).symlink_to(interface)
        return folder

    def port(self, name: str, pci: str, carrier: str, hca: str, gids: Sequence[Gid]) -> None:
        folder = self.add(name, pci, "0x15b3", "0x1021", carrier)
        if not hca:
            return
        (folder / "infiniband" / hca).mkdir(parents=True)
        (self.root / "class/infiniband" / hca).symlink_to(folder / "infiniband" / hca)
        port = folder / "infiniband" / hca / "ports/1"
        for part in ("gids", "gid_attrs/ndevs", "gid_attrs/types"):
            (port / part).mkdir(parents=True)
        for gid in gids:
            (port / "gids" / str(gid.index)).write_text(gid.gid + "\n")
            (port / "gid_attrs/ndevs" / str(gid.index)).write_text(name + "\n")
            (port / "gid_attrs/types" / str(gid.index)).write_text(gid.kind + "\n")


GIDS = (Gid(0, LOCAL, "IB/RoCE v1"), Gid(2, MAPPED, "IB/RoCE v1"), Gid(3, MAPPED, "RoCE v2"))


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path)


def test_a_card_without_a_cable_may_be_gone(sysfs: Sysfs) -> None:
    assert find_ports(str(sysfs.root)) == ()
    assert cages(()) == ()


def test_twins_are_paired_by_function_and_ordered_by_domain(sysfs: Sysfs) -> None:
    sysfs.port("enP2p1s0f1np1", "0002:01:00.1", "0", "roceP2p1s0f1", ())
    sysfs.port("enP2p1s0f0np0", "0002:01:00.0", "1", "roceP2p1s0f0", ())
    sysfs.port("enp1s0f0np0", "0000:01:00.0", "1", "rocep1s0f0", GIDS)
    sysfs.port("enp1s0f1np1", "0000:01:00.1", "0", "rocep1s0f1", ())
    found = find_ports(str(sysfs.root))
    assert cages(found) == (
        ("enp1s0f0np0", "enP2p1s0f0np0"),
        ("enp1s0f1np1", "enP2p1s0f1np1"),
    )
    assert [port.carrier for port in found] == [True, False, True, False]
    assert found[0] == Port("enp1s0f0np0", "0000:01:00.0", True, "rocep1s0f0", GIDS)


def test_the_gid_of_an_address_is_the_one_for_roce_2(sysfs: Sysfs) -> None:
    sysfs.port("enp1s0f0np0", "0000:01:00.0", "1", "rocep1s0f0", GIDS)
    (port,) = find_ports(str(sysfs.root))
    assert port.gid_of("198.51.100.11") == GIDS[2]
    assert port.gid_of("198.51.100.12") is None


def test_of_a_port_that_is_down_nobody_knows_whether_it_has_a_cable(sysfs: Sysfs) -> None:
    sysfs.port("enp1s0f1np1", "0000:01:00.1", "", "", ())
    (port,) = find_ports(str(sysfs.root))
    assert (port.carrier, port.hca, port.cage) == (None, "", 1)
    assert cages([port]) == ((), ("enp1s0f1np1",))
