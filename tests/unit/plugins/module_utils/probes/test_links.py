# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ip` prints of interfaces and routes, and where somebody is logged in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.links import (
    Link,
    ask_default_routes,
    ask_links,
    parse_links,
    session_address,
    stacked,
)

# Of a lab node, shortened.
SAID = [
    {
        "ifname": "enp1s0f0np0",
        "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
        "mtu": 9000,
        "address": "ee:28:55:d2:a8:ff",
        "addr_info": [
            {"family": "inet", "local": "198.51.100.11", "prefixlen": 25, "scope": "global"},
            {"family": "inet", "local": "169.254.10.1", "prefixlen": 16, "scope": "link"},
            {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"},
        ],
    },
    {"ifname": "enP2p1s0f0np0", "flags": ["NO-CARRIER", "UP"], "mtu": 1500, "address": "02::1"},
    {"ifname": "enp1s0f1np1", "flags": ["BROADCAST"], "mtu": 1500, "address": "02::2"},
]


def test_interfaces_with_their_state() -> None:
    assert list(parse_links(json.dumps(SAID)).values()) == [
        Link(
            "enp1s0f0np0",
            "ee:28:55:d2:a8:ff",
            9000,
            True,
            True,
            ("198.51.100.11/25",),
            link_local=("169.254.10.1/16",),
            local=("198.51.100.11", "169.254.10.1", "fe80::1"),
        ),
        Link("enP2p1s0f0np0", "02::1", 1500, True, False),
        Link("enp1s0f1np1", "02::2", 1500),
    ]


@pytest.mark.parametrize("text", ["", "null", "garbage", "[3]"])
def test_what_is_no_answer_is_none(text: str) -> None:
    assert parse_links(text) == {}


def test_without_ip_nothing_is_known(tmp_path: Path) -> None:
    assert ask_links("") == {}
    assert ask_links(str(tmp_path / "ip")) == {}
    assert ask_default_routes("") == ()


def test_the_preferred_default_route_comes_first(tmp_path: Path) -> None:
    ip = tmp_path / "ip"
    routes = '[{"dst":"default","dev":"wlP9s9","metric":600},{"dst":"default","dev":"enP7s7"}]'
    ip.write_text(f"#!/bin/sh\n[ $1 = -4 ] && echo '{routes}' || echo '[]'\n")
    ip.chmod(0o755)
    assert ask_default_routes(str(ip)) == ("enP7s7", "wlP9s9")


def process(proc: Path, pid: int, parent: int, environ: bytes) -> None:
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "stat").write_text(f"{pid} (a (b) c) S {parent} 1 1")
    (proc / str(pid) / "environ").write_bytes(environ)


def test_a_login_is_found_above_what_sudo_has_cleared(tmp_path: Path) -> None:
    process(tmp_path, 30, 20, b"PATH=/bin\0")
    process(tmp_path, 20, 10, b"SUDO_USER=alice\0")
    process(tmp_path, 10, 1, b"A=b\0SSH_CONNECTION=192.0.2.9 50000 192.0.2.1 22\0")
    assert session_address({}, 30, str(tmp_path)) == "192.0.2.1"
    said = {"SSH_CONNECTION": "192.0.2.9 50000 203.0.113.1 22"}
    assert session_address(said, 30, str(tmp_path)) == "203.0.113.1"


def test_nobody_is_logged_in_where_nothing_says_so(tmp_path: Path) -> None:
    process(tmp_path, 30, 1, b"PATH=/bin\0")
    assert session_address({}, 30, str(tmp_path)) == ""
    assert session_address({}, 99, str(tmp_path)) == ""


def test_what_uses_an_interface_is_found_upwards() -> None:
    records = [
        {"ifname": "port0", "master": "bond0"},
        {"ifname": "port1", "master": "bond0"},
        {"ifname": "bond0", "master": "br0"},
        {"ifname": "br0"},
        {"ifname": "bond0.7", "link": "bond0"},
        {"ifname": "alone"},
        # The two ends of one cable name each other.
        {"ifname": "end0", "link": "end1"},
        {"ifname": "end1", "link": "end0"},
    ]
    links = parse_links(json.dumps(records))
    assert stacked(links, "port0") == ("bond0", "br0", "bond0.7")
    assert stacked(links, "alone") == ()
    assert stacked(links, "missing") == ()
    assert stacked(links, "end0") == ()
