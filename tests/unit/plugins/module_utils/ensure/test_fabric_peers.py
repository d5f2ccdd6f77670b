# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of answers of peers; nobody is asked here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.fabric_change import Open
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.fabric_peers import (
    Observed,
    Wanted,
    lost_by_change,
    plan,
    reached,
    settle,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.links import Link

A, B, OTHER = "enp1s0f0np0", "enP2p1s0f0np0", "enp1s0f1np1"
WAY_A, WAY_B = (A, "198.51.100.12"), (B, "198.51.100.140")


def planned(interface: str, own: str, peer: str) -> dict[str, Any]:
    return {
        "interface": interface,
        "address": own,
        "peers": [{"name": "spark2", "address": peer}],
        "others": [OTHER],
    }


WANTED = Wanted(
    [planned(A, "198.51.100.11", WAY_A[1]), planned(B, "198.51.100.139", WAY_B[1])], 9000
)
LINKS = {
    A: Link(A, "02::1", 9000, True, True, ("198.51.100.11/25",)),
    B: Link(B, "02::2", 9000, True, True, ("198.51.100.139/25",)),
    OTHER: Link(OTHER, "02::3", 1500, True, False),
}
FINE = Observed(LINKS, frozenset({WAY_A, WAY_B}), frozenset({WAY_A, WAY_B}), root=True)


def blocked(seen: Observed) -> dict[str, str]:
    """Check -> what was found and what to do, of what is blocked."""
    found = plan(seen, WANTED).findings
    return {
        entry.check: f"{entry.actual}. {entry.hint}" for entry in found if entry.status == "blocked"
    }


def test_links_that_carry_are_fine() -> None:
    made = plan(FINE, WANTED)
    assert {finding.status for finding in made.findings} == {"ok"}
    assert made.facts == {"reached": [list(WAY_B), list(WAY_A)], "undone": ""}


def test_without_a_plan_nothing_is_told() -> None:
    found = plan(Observed(), Wanted([], 9000)).findings
    assert {entry.check: entry.status for entry in found if entry.status != "skipped"} == {
        "fabric_change": "ok"
    }


def test_an_mtu_that_is_too_small_on_the_way_is_no_peer_that_is_down() -> None:
    told = blocked(replace(FINE, full=frozenset({WAY_B})))
    assert set(told) == {"fabric_path_mtu"}
    assert f"spark2 (198.51.100.12) on {A}, small packets do" in told["fabric_path_mtu"]
    low = {**LINKS, A: replace(LINKS[A], mtu=1500)}
    told = blocked(replace(FINE, links=low, full=frozenset({WAY_B})))
    assert f"{A} has MTU 1500" in told["fabric_path_mtu"]


@pytest.mark.parametrize(
    ("heard", "message"),
    [
        ({}, f"spark2 (198.51.100.12) does not answer on {A}. "),
        ({(B, WAY_A[1]): ("02::9",)}, f"but ARP on {B}"),
        (
            {(A, WAY_A[1]): ("02::9",), (B, WAY_A[1]): ("02::9",)},
            f"answers ARP on {A}",
        ),
    ],
)
def test_a_peer_that_is_down_is_told_from_a_cable_on_the_wrong_port(
    heard: dict[tuple[str, str], tuple[str, ...]], message: str
) -> None:
    seen = replace(FINE, small=frozenset({WAY_B}), full=frozenset({WAY_B}), heard=heard)
    assert message in blocked(seen)["fabric_peers"]


def test_a_cable_in_the_other_cage_is_named() -> None:
    bare = {**LINKS, A: replace(LINKS[A], carrier=False)}
    assert "in the other port" not in blocked(replace(FINE, links=bare))["fabric_cable"]
    there = {**bare, OTHER: replace(LINKS[OTHER], carrier=True)}
    told = blocked(replace(FINE, links=there))["fabric_cable"]
    assert told.startswith(f"no carrier on {A}; carrier on {OTHER}. The cable is in the other port")


def test_an_address_that_somebody_else_has_is_told() -> None:
    told = blocked(replace(FINE, owners={"198.51.100.11": ("02::9",)}))
    assert "02::9 answers for 198.51.100.11" in told["fabric_duplicates"]
    found = plan(replace(FINE, root=False), WANTED).findings
    assert [entry.actual for entry in found if entry.status == "skipped"] == [
        "not assessed: requires root"
    ]


def test_links_that_are_not_set_up_yet_are_not_asked() -> None:
    bare = {
        name: replace(link, addresses=(), up=False, carrier=None) for name, link in LINKS.items()
    }
    found = plan(Observed(bare, root=True), WANTED).findings
    assert {entry.check for entry in found if entry.status == "skipped"} == {
        "fabric_cable",
        "fabric_duplicates",
        "fabric_peers",
        "fabric_path_mtu",
    }


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({}, ""),
        # What was silent before may be silent after.
        ({"open": Open((A,), 0), "full": frozenset({WAY_A})}, ""),
        ({"open": Open((), 0), "full": frozenset()}, ""),
        ({"open": Open((A, B), 0), "full": frozenset({WAY_A})}, f"{B} reached a peer before"),
        ({"links": {**LINKS, B: replace(LINKS[B], addresses=())}}, f"{B} does not have 198.51"),
        ({"owners": {"198.51.100.11": ("02::9",)}}, "02::9"),
    ],
)
def test_a_change_stays_unless_it_lost_something(changes: dict[str, Any], lost: str) -> None:
    seen = replace(FINE, **{"open": Open((A, B), 0), **changes})
    told = lost_by_change(seen, WANTED)
    assert lost in told
    assert bool(told) is bool(lost)


def test_what_became_of_a_change_is_told() -> None:
    assert "not confirmed" in blocked(replace(FINE, open=Open((), 0)))["fabric_change"]
    assert "fabric_change" not in blocked(replace(FINE, open=Open((), 0), settled="just now"))
    told = blocked(replace(FINE, open=Open((), 0), undone="it lost a link"))["fabric_change"]
    assert "it lost a link" in told
    assert settle(FINE, WANTED) == FINE


def test_each_way_is_asked_by_its_interface_in_one_piece(tmp_path: Path) -> None:
    ping = tmp_path / "ping"
    ping.write_text(
        f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\ncase "$*" in *{A}*) exit 0;; esac\nexit 1\n'
    )
    ping.chmod(0o755)
    assert reached([WAY_A, WAY_A, WAY_B], 8972, str(ping)) == {WAY_A}
    asked = (tmp_path / "asked").read_text().splitlines()
    assert f"-n -q -c 1 -W 1 -M do -s 8972 -I {A} 198.51.100.12" in asked
    assert len(asked) == 3
    assert reached([WAY_A], ping="") == set()
