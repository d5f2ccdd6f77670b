# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The ConnectX-7 ports of a node, their RoCE devices and GIDs, from sysfs.

The network card of a Spark has two cages (QSFP sockets). Each appears as two PCI functions, in two
PCI domains: 0000:01:00.0 and 0002:01:00.0 are cage 0, 0000:01:00.1 and 0002:01:00.1 cage 1. A card
without a cable may disappear from PCI, so an empty result is not an error.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import (
    list_folder,
    read_text,
)

_MELLANOX = "0x15b3"
_CONNECTX_7 = "0x1021"
_PCI = re.compile(r"([0-9a-f]{4}):[0-9a-f]{2}:[0-9a-f]{2}\.([0-7])")
# A GID table has 256 entries, of which the first few are used.
_GIDS = 32


@dataclass(frozen=True)
class Gid:
    """An entry of a GID table; kind is the text of sysfs, "RoCE v2" or "IB/RoCE v1"."""

    index: int
    gid: str
    kind: str


@dataclass(frozen=True)
class Port:
    """A PCI function of the card. carrier is None (unknown) if the interface is down."""

    interface: str
    pci: str
    carrier: bool | None = None
    hca: str = ""
    gids: tuple[Gid, ...] = ()

    @property
    def cage(self) -> int:
        return int(self.pci.rpartition(".")[2])

    def gid_of(self, address: str) -> Gid | None:
        """The RoCE v2 entry of an IPv4 address; it exists once the interface has the address."""
        # As the kernel writes it; Python versions differ.
        high, low = divmod(int(ipaddress.IPv4Address(address)), 1 << 16)
        mapped = "0000:0000:0000:0000:0000:ffff:%04x:%04x" % (high, low)
        for gid in self.gids:
            if gid.gid == mapped and gid.kind == "RoCE v2":
                return gid
        return None


def find_ports(sysfs: str = "/sys") -> tuple[Port, ...]:
    """All ports, in the order of their PCI domains. Changes nothing, needs no root."""
    ports = []
    for interface in list_folder(os.path.join(sysfs, "class", "net")):
        device = os.path.join(sysfs, "class", "net", interface, "device")
        pci = os.path.basename(os.path.realpath(device))
        ids = [_value(os.path.join(device, name)) for name in ("vendor", "device")]
        if ids != [_MELLANOX, _CONNECTX_7] or not _PCI.fullmatch(pci):
            continue
        carrier = _value(os.path.join(sysfs, "class", "net", interface, "carrier"))
        hca = next(iter(list_folder(os.path.join(device, "infiniband"))), "")
        table = os.path.join(sysfs, "class", "infiniband", hca, "ports", "1") if hca else ""
        gids = _gids(table, interface) if table else ()
        known = carrier == "1" if carrier in ("0", "1") else None
        ports.append(Port(interface, pci, known, hca, gids))
    return tuple(sorted(ports, key=lambda port: port.pci))


@dataclass(frozen=True)
class Rail:
    """The state of a port: PCIe in GT/s and lanes, Ethernet in Mbit/s; 0 and empty if unknown.

    slot_lanes are those that the slot, the PCIe port above the card, can have.
    """

    gts: float = 0.0
    lanes: int = 0
    slot_lanes: int = 0
    mbits: int = 0
    firmware: str = ""

    def __str__(self) -> str:
        parts = [
            "PCIe %g GT/s x%d" % (self.gts, self.lanes) if self.gts else "",
            "Ethernet %g Gbit/s" % (self.mbits / 1000) if self.mbits else "",
            "firmware %s" % self.firmware if self.firmware else "",
        ]
        return ", ".join(filter(None, parts)) or "state of the port unknown"


def rail_of(interface: str, hca: str, sysfs: str = "/sys") -> Rail:
    """The state of a port now. Needs no root."""
    device = os.path.realpath(os.path.join(sysfs, "class", "net", interface, "device"))
    slot = os.path.dirname(device)
    # "32.0 GT/s PCIe"
    speed = _value(os.path.join(device, "current_link_speed")).partition(" ")[0]
    return Rail(
        float(speed) if re.fullmatch(r"\d{1,3}(\.\d)?", speed) else 0.0,
        _number(os.path.join(device, "current_link_width")),
        _number(os.path.join(slot, "max_link_width")),
        _number(os.path.join(sysfs, "class", "net", interface, "speed")),
        _value(os.path.join(sysfs, "class", "infiniband", hca, "fw_ver")) if hca else "",
    )


def _number(path: str) -> int:
    text = _value(path)
    return int(text) if foreign.is_whole(text) else 0


def cages(ports: Sequence[Port]) -> tuple[tuple[str, ...], ...]:
    """The interfaces of each cage, by its number; empty if it is not visible."""
    last = max((port.cage for port in ports), default=-1)
    return tuple(
        tuple(port.interface for port in ports if port.cage == number) for number in range(last + 1)
    )


def _gids(table: str, interface: str) -> tuple[Gid, ...]:
    gids = []
    for index in range(_GIDS):
        owner = _value(os.path.join(table, "gid_attrs", "ndevs", str(index)))
        gid = _value(os.path.join(table, "gids", str(index)))
        if owner == interface and gid:
            kind = _value(os.path.join(table, "gid_attrs", "types", str(index)))
            gids.append(Gid(index, gid, kind))
    return tuple(gids)


def _value(path: str) -> str:
    """Empty for the carrier of an interface that is down, and for an unused entry of a table."""
    return (read_text(path) or "").strip()
