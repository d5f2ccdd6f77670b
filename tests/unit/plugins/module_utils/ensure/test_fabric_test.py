# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which links are measured from where, and what is made of the figures."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.fabric_test import (
    Measured,
    Observed,
    Wanted,
    observe,
    plan,
)

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
