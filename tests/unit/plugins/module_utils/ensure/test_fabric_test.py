# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which links are measured from where, and what is made of the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.fabric_test import (
    Measured,
    Observed,
    Wanted,
    observe,
    plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.fabric_verdict import (
    DEGRADED,
    ETHERNET,
    HINTS,
    NARROW,
    NCCL_ALONE,
    PCIE,
    SOUND,
    STALE,
    TCP_ALONE,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.connectx import Rail, rail_of

MEMBERS = ["spark1", "spark2", "spark3"]


def link(interface: str, own: str, **peers: str) -> dict[str, Any]:
    parts = [{"name": name, "address": address} for name, address in peers.items()]
    return {"interface": interface, "address": own, "prefix": 27, "hca": "", "peers": parts}


def wanted(node: str, *links: dict[str, Any]) -> Wanted:
    return Wanted(node, MEMBERS, links, 3, 4, 5301, 12000, 10, 1, 90, [], 21.875)


def test_each_link_is_measured_once() -> None:
    near = link("a0", "198.51.100.12", spark1="198.51.100.11", spark3="198.51.100.13")
    assert [way.name for way in wanted("spark2", near).ways] == ["spark3"]
    assert [str(way) for way in wanted("spark1", link("a0", "198.51.100.11", spark2="x")).ways] == [
        "a0 to spark2"
    ]


def test_both_ends_of_a_link_find_one_port_and_other_links_others() -> None:
    here = wanted("spark1")
    ports = [here.rdma_port_of(link("x", f"198.51.100.{n * 32 + 11}")) for n in range(6)]
    there = [here.rdma_port_of(link("x", f"198.51.100.{n * 32 + 12}")) for n in range(6)]
    assert ports == there
    assert len(set(ports)) == 6


def test_what_is_not_measured_says_why() -> None:
    near = link("a0", "198.51.100.12", spark1="198.51.100.11")
    for given, act, why in (
        (wanted("spark1"), True, "no link of the address plan on this node"),
        (wanted("spark2", near), True, "measured by the other node"),
        (wanted("spark1", near), False, "not measured in check mode"),
    ):
        findings = plan(observe(given, act), given).findings
        assert {(finding.status, finding.actual) for finding in findings} == {("skipped", why)}


@pytest.mark.parametrize(
    ("check", "figure", "status"),
    [
        ("bandwidth", Measured("a0 to spark2", 24.8, "Gbit/s"), "ok"),
        ("bandwidth", Measured("a0 to spark2", 9.4, "Gbit/s"), "blocked"),
        ("bandwidth", Measured("a0 to spark2", problem="Connection refused"), "blocked"),
        ("latency", Measured("a0 to spark2", 0.05, "ms"), "ok"),
        ("latency", Measured("a0 to spark2", 1.2, "ms"), "blocked"),
        ("latency", Measured("a0 to spark2", problem="no answer"), "blocked"),
        ("rdma", Measured("a0 to spark2", 111.7, "Gbit/s"), "ok"),
        ("nccl", Measured("all nodes", 15.6, "GB/s"), "blocked"),
    ],
)
def test_figures_are_compared_with_what_is_to_be_expected(
    check: str, figure: Measured, status: str
) -> None:
    made = plan(Observed({check: [figure]}, {}), wanted("spark1"))
    (entries,) = [finding for finding in made.findings if finding.check == f"fabric_test_{check}"]
    assert (entries.status, entries.actual) == (status, str(figure))
    assert len(made.facts["figures"]) == (0 if figure.problem else 1)


GOOD = Rail(32.0, 4, 4, 200000, "28.45.4028")
GX10 = Rail(32.0, 2, 2, 200000)


@pytest.mark.parametrize(
    ("tcp", "rdma", "rail", "verdicts"),
    [
        # NVIDIA/dgx-spark-playbooks PR 108: sound, and the fault with everything else sound.
        (92.0, 92.57, GOOD, (SOUND, SOUND)),
        (92.0, 97.28, GOOD, (SOUND, SOUND)),
        (12.86, 13.23, GOOD, (STALE, STALE)),
        (12.86, None, GOOD, (STALE, None)),
        (12.86, None, None, (STALE, None)),
        (12.86, 13.23, None, (STALE, STALE)),
        # NVIDIA/daqiri 49: sound, below 90.
        (70.0, 88.99, GOOD, (SOUND, SOUND)),
        # unslothai/unsloth PR 10280: sound, degraded, and 13 to 16.
        (97.0, 97.97, GOOD, (SOUND, SOUND)),
        (38.0, 39.0, GOOD, (SOUND, DEGRADED)),
        (16.0, 15.9, GOOD, (STALE, STALE)),
        # Forum 367853: the second function of an ASUS GX10 has two lanes by design.
        (50.0, 55.0, GX10, (SOUND, SOUND)),
        (50.0, 55.0, Rail(32.0, 2, 4, 200000), (SOUND, NARROW)),
        (24.0, 25.0, Rail(32.0, 1, 4, 200000), (NARROW, NARROW)),
        (45.0, 50.0, Rail(16.0, 4, 4, 200000), (SOUND, PCIE)),
        (23.0, 24.0, Rail(32.0, 4, 4, 25000), (ETHERNET, ETHERNET)),
        # Slow over TCP alone.
        (9.0, 97.0, GOOD, (TCP_ALONE, SOUND)),
        (20.0, 97.0, GOOD, (TCP_ALONE, SOUND)),
        (2.0, 2.1, GOOD, (DEGRADED, DEGRADED)),
    ],
)
def test_the_fault_of_a_link_has_a_name(
    tcp: float, rdma: float | None, rail: Rail | None, verdicts: tuple[str, str | None]
) -> None:
    here = link("a0", "198.51.100.11", spark2="198.51.100.12")
    given = Wanted("spark1", MEMBERS, [{**here, "hca": "r0"}], 3, 4, 5301, 12000, 10, 1, 80, [], 20)
    figures = {"bandwidth": [Measured("a0 from spark2", tcp, "Gbit/s")]}
    if rdma is not None:
        figures["rdma"] = [Measured("a0 to spark2", rdma, "Gbit/s")]
    observed = Observed(figures, {}, {"a0": rail} if rail else {})
    made = {entry.check: entry for entry in plan(observed, given).findings}
    for check, verdict in zip(("bandwidth", "rdma"), verdicts):
        found = made["fabric_test_%s" % check]
        if verdict is None:
            assert found.status == "skipped"
        else:
            assert (found.status, found.hint) == (
                ("ok", "") if verdict == SOUND else ("blocked", HINTS[verdict])
            )
            assert (found.severity == "critical") is (verdict == STALE)


def test_a_faulty_link_is_shown_with_the_state_of_its_port() -> None:
    here = {**link("a0", "198.51.100.11", spark2="198.51.100.12"), "hca": "r0"}
    given = Wanted("spark1", MEMBERS, [here], 3, 4, 5301, 12000, 10, 1, 80, [], 20)
    observed = Observed({"rdma": [Measured("a0 to spark2", 13.23, "Gbit/s")]}, {}, {"a0": GOOD})
    (found,) = [f for f in plan(observed, given).findings if f.check == "fabric_test_rdma"]
    assert "PCIe 32 GT/s x4, Ethernet 200 Gbit/s, firmware 28.45.4028" in found.actual


@pytest.mark.parametrize(("rdma", "hint"), [(97.0, NCCL_ALONE), (13.2, HINTS[DEGRADED])])
def test_nccl_that_is_slow_alone_has_its_own_remedy(rdma: float, hint: str) -> None:
    here = {**link("a0", "198.51.100.11", spark2="198.51.100.12"), "hca": "r0"}
    given = Wanted("spark1", MEMBERS, [here], 3, 4, 5301, 12000, 10, 1, 80, ["/x"], 20)
    figures = {
        "rdma": [Measured("a0 to spark2", rdma, "Gbit/s")],
        "nccl": [Measured("all nodes", 3.0, "GB/s")],
    }
    (found,) = [f for f in plan(Observed(figures, {}), given).findings if "nccl" in f.check]
    assert (found.status, found.hint) == ("blocked", hint)


def test_each_end_measures_the_direction_in_which_it_sends() -> None:
    first = {**link("a0", "198.51.100.11", spark2="198.51.100.12"), "hca": "r0"}
    second = {**link("b0", "198.51.100.12", spark1="198.51.100.11"), "hca": "r1"}
    ends = [wanted("spark1", first), wanted("spark2", second)]
    assert [[str(way) for way in end.all_ways] for end in ends] == [
        ["a0 to spark2"],
        ["b0 to spark1"],
    ]
    assert [len(end.ways) for end in ends] == [1, 0]


def test_the_state_of_a_port_is_read_from_sysfs(tmp_path: Path) -> None:
    slot = tmp_path / "devices" / "pci0000:00" / "0000:00:00.0"
    device = slot / "0000:01:00.0"
    net = tmp_path / "class" / "net" / "enp1s0f0np0"
    hca = tmp_path / "class" / "infiniband" / "rocep1s0f0"
    for folder in (device, net, hca):
        folder.mkdir(parents=True)
    (net / "device").symlink_to(device)
    (net / "speed").write_text("200000\n")
    (device / "current_link_speed").write_text("32.0 GT/s PCIe\n")
    (device / "current_link_width").write_text("4\n")
    (slot / "max_link_width").write_text("4\n")
    (hca / "fw_ver").write_text("28.45.4028\n")
    assert rail_of("enp1s0f0np0", "rocep1s0f0", str(tmp_path)) == GOOD
    (net / "speed").write_text("-1\n")
    (device / "current_link_speed").write_text("Unknown\n")
    assert rail_of("enp1s0f0np0", "", str(tmp_path)) == Rail(0.0, 4, 4, 0)
    assert rail_of("none", "none", str(tmp_path)) == Rail()
