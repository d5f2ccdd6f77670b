# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The known faults of a link between nodes, by its figures and the state of its port. Pure.

Figures of sound and of faulty links: NVIDIA/dgx-spark-playbooks PR 108 (92.57 and 97.28 Gbit/s;
13.23 with everything else sound), forum thread 367853 (ASUS GX10, PCIe x2: 55).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    CRITICAL,
    WARNING,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.connectx import Rail

SOUND, STALE, NARROW, ETHERNET, PCIE, TCP_ALONE, DEGRADED = (
    *("sound", "stale", "narrow", "ethernet", "pcie", "tcp_alone", "degraded"),
)

# Of a Spark: PCIe 5 with 4 lanes for each interface, and 200 Gbit/s of Ethernet.
_GTS, _LANES, _MBITS = 32.0, 4, 200000
# The card's stale initialisation: Gbit/s by RDMA and by TCP alike.
_STALE = (8.0, 25.0)

HINTS = {
    STALE: (
        "This is a known state of the ConnectX-7 after its start. 1. Leave the cables in, reboot"
        " both nodes, and measure again. 2. If it stays: power both off, unplug their supplies for"
        " 60 s, and start them without touching a network cable."
    ),
    NARROW: (
        "The port has fewer PCIe lanes than its slot offers: power the node off, unplug its supply"
        " for 60 s, and measure again."
    ),
    PCIE: "PCIe runs below its speed: update the firmware (fwupdmgr), then power off and on.",
    ETHERNET: "Check the cable and the port of the switch: the link is not one of 200 Gbit/s.",
    TCP_ALONE: (
        "RDMA, which NCCL uses, is sound: check the MTU at both ends (fabric_mtu) and the load of"
        " the nodes."
    ),
    DEGRADED: (
        "Run ansible-playbook dgxspark.suite.site --check --tags fabric first. If it reports"
        " nothing, check the cable, the firmware, the power supply and the load of the node."
    ),
}
# NCCL slow with sound RDMA: unslothai/unsloth PR 10280, 3.0 GB/s, and 21.6 after this.
NCCL_ALONE = (
    "RDMA is sound, so it is not the cable: power all nodes off, unplug their supplies for 60 s,"
    " and measure again. A reboot does not end this."
)


@dataclass(frozen=True)
class Verdict:
    """kind is SOUND or the fault; text is what to do, empty if it is sound."""

    kind: str

    @property
    def text(self) -> str:
        return HINTS.get(self.kind, "")

    @property
    def severity(self) -> str:
        return CRITICAL if self.kind == STALE else WARNING


def of_rdma(gbits: float, least: float, rail: Rail | None) -> Verdict:
    """The verdict on a figure of ib_write_bw; rail is None if the port's state is unknown."""
    lanes = min(rail.slot_lanes or _LANES, _LANES) if rail else _LANES
    # A slot with two lanes, as one of the GX10 has, carries half as much by design.
    if gbits >= least * lanes / _LANES:
        return Verdict(SOUND)
    return Verdict(_fault(gbits, rail))


def of_tcp(
    gbits: float, least: float, roce: bool, rail: Rail | None, rdma: float | None
) -> Verdict:
    """The verdict on a figure of iperf3.

    roce: the interface has a RoCE device. rdma is its figure by RDMA if that is sound, else None.
    """
    stale = roce and _STALE[0] <= gbits <= _STALE[1]
    if gbits >= least and not stale:
        return Verdict(SOUND)
    if rdma is not None:
        return Verdict(TCP_ALONE)
    return Verdict(_fault(gbits, rail) if roce else DEGRADED)


def _fault(gbits: float, rail: Rail | None) -> str:
    if rail and rail.mbits and rail.mbits < _MBITS:
        return ETHERNET
    if rail and rail.lanes and rail.lanes < min(rail.slot_lanes or _LANES, _LANES):
        return NARROW
    if rail and rail.gts and rail.gts < _GTS:
        return PCIE
    return STALE if _STALE[0] <= gbits <= _STALE[1] else DEGRADED


def worst(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    """(severity, what to do) of faults; each remedy once, the most severe first."""
    order = sorted(verdicts, key=lambda verdict: verdict.severity != CRITICAL)
    texts = dict.fromkeys(verdict.text for verdict in order)
    return order[0].severity, " ".join(texts)
