# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ping and ip print about a link, and a ping that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.neighbours import (
    ask_neighbours,
    ask_networks,
    parse_answers,
    parse_networks,
)

# iputils with -n -L; two nodes on a switch.
PING = """\
PING ff02::1(ff02::1) from fe80::1%enp1s0f0np0 enp1s0f0np0: 56 data bytes
64 bytes from fe80::ff:fec0:ffed%enp1s0f0np0: icmp_seq=1 ttl=64 time=0.558 ms
64 bytes from fe80::2: icmp_seq=1 ttl=64 time=0.600 ms (DUP!)
64 bytes from fe80::ff:fec0:ffed%enp1s0f0np0: icmp_seq=2 ttl=64 time=0.389 ms

--- ff02::1 ping statistics ---
2 packets transmitted, 2 received, +1 duplicates, 0% packet loss, time 300ms
"""


def test_who_answers() -> None:
    assert parse_answers(PING) == ("fe80::2", "fe80::ff:fec0:ffed")


@pytest.mark.parametrize("text", ["", "64 bytes from fe80:::::1: icmp_seq=1", "ping: sendmsg"])
def test_nobody_answers(text: str) -> None:
    assert parse_answers(text) == ()


def test_each_interface_is_asked_once_on_its_own(tmp_path: Path) -> None:
    ping = tmp_path / "ping"
    ping.write_text('#!/bin/sh\nshift 7\necho "64 bytes from fe80::${1#ff02::1%}: "\n')
    ping.chmod(0o755)
    assert ask_neighbours(str(ping), ["a", "b", "a"]) == {"a": ("fe80::a",), "b": ("fe80::b",)}
    assert ask_neighbours("", ["a"]) == {}


ROUTES = """[{"dst":"default","gateway":"192.0.2.1","dev":"enP7s7"},
{"dst":"192.0.2.0/24","dev":"enP7s7"},{"dst":"198.51.100.7","dev":"tun0"},{"dev":"lo"}]"""


def test_the_networks_of_the_routes() -> None:
    assert parse_networks(ROUTES) == ("192.0.2.0/24", "198.51.100.7/32")


@pytest.mark.parametrize("text", ["", "garbage", "3", "[1]"])
def test_no_routes(text: str) -> None:
    assert parse_networks(text) == ()


def test_without_ip_there_are_no_networks() -> None:
    assert ask_networks("") == ()
