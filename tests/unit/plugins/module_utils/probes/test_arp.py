# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ARP frames; the exchange itself is the lab's to try."""

from __future__ import annotations

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.arp import parse, probe, who_has

ANSWER = bytes.fromhex(
    "0242ac120002aa8209e6c00208060001080006040002"
    + "aa8209e6c002"
    + "c633640c"
    + "0242ac120002"
    + "00000000"
)


def test_a_probe_is_a_broadcast_by_nobody_in_particular() -> None:
    frame = probe("02:42:ac:12:00:02", "198.51.100.12")
    assert frame[:6] == b"\xff" * 6
    assert frame[28:32] == b"\0" * 4
    assert frame[-4:] == bytes([198, 51, 100, 12])
    assert len(frame) == 42


def test_only_answers_count() -> None:
    assert parse(ANSWER + b"\0" * 18) == ("198.51.100.12", "aa:82:09:e6:c0:02")
    assert parse(probe("02:42:ac:12:00:02", "198.51.100.12")) == ("", "")
    assert parse(b"short") == ("", "")


def test_nothing_is_asked_of_nobody() -> None:
    assert who_has([], timeout=0) == {}
