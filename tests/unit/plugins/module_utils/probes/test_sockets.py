# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens: the tables as kernels print them, and one socket that is really there."""

from __future__ import annotations

import os
import socket
import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.sockets import (
    Listener,
    RayPort,
    listeners,
    parse_bound,
    parse_container,
    parse_listening,
    parse_peers,
    peers,
    ray_ports,
    unprotected,
)

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:CC8D 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 278230 1 00000000203052fb 100 0 0 10 0
   1: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 276405 1 0000000089a9a72e 100 0 0 10 0
   2: 0B0017AC:8EBD 0C0017AC:8FF8 01 00000000:00000000 02:000000F9 00000000     0        0 289262 2 0000000080b3205d 20 4 24 10 -1
   3: 0B0017AC:1F40 0B0016AC:A87C 06 00000000:00000000 03:00001743 00000000     0        0 0 3 0000000070f1e1a4
"""  # noqa: E501
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:A2DB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 288691 1 000000003d721ea9 100 0 0 10 0
   1: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 267432 1 00000000bea9d867 100 0 0 10 0
   2: 0000000000000000FFFF00000B0017AC:A2DB 0000000000000000FFFF00000C0017AC:8FF8 01 00000000:00000000 00:00000000 00000000     0        0 289854 1 00000000e0a6a7b0 20 4 1 24 -1
"""  # noqa: E501

INNER = "05bee84ec04465cb355a118ed190585b5a36688076ba1a29bbf6363411f1a4ea"
OUTER = "572ec1192b482986131616791219979e6fb4937dacf524eddb4efb064aba0f3d"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (TCP, [(52365, "278230"), (8000, "276405")]),
        (TCP6, [(41691, "288691"), (22, "267432")]),
        (TCP.splitlines()[0], []),
        ("", []),
        (TCP + "   4: 00000000:1F41 00000000:0000 0A", [(52365, "278230"), (8000, "276405")]),
    ],
    ids=["IPv4", "IPv6", "nobody listens", "empty", "cut off"],
)
def test_only_listening_lines_count(table: str, expected: list[tuple[int, str]]) -> None:
    assert list(parse_listening(table)) == expected


@pytest.mark.skipif(sys.byteorder != "little", reason="recorded on a little-endian machine")
@pytest.mark.parametrize(
    ("table", "expected"),
    [(TCP, [(36541, "172.23.0.12")]), (TCP6, [(41691, "172.23.0.12")]), ("", [])],
    ids=["IPv4", "IPv4 by way of IPv6", "empty"],
)
def test_connections_are_told_with_the_other_end(
    table: str, expected: list[tuple[int, str]]
) -> None:
    assert list(parse_peers(table)) == expected


def test_who_is_connected_here_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert peers(port) == []
        with socket.create_connection(("127.0.0.1", port)):
            assert peers(port) == ["127.0.0.1"]


CGROUPS: dict[str, tuple[str, str | None]] = {
    "cgroup v2, systemd driver": (f"0::/system.slice/docker-{INNER}.scope\n", INNER),
    "cgroup v2, cgroupfs driver": (f"0::/docker/{INNER}\n", INNER),
    "cgroup v1": (
        f"9:name=systemd:/docker/{INNER}\n8:pids:/docker/{INNER}\n4:memory:/docker/{INNER}\n0::/\n",
        INNER,
    ),
    "a systemd inside, moved below its container": (
        f"13:perf_event:/\n9:name=systemd:/docker/{OUTER}/init.scope\n0::/docker/{OUTER}/init.scope\n",
        OUTER,
    ),
    "podman": (f"0::/machine.slice/libpod-{INNER}.scope/container\n", INNER),
    "nested, cgroupfs": (f"0::/docker/{OUTER}/docker/{INNER}\n", INNER),
    "nested, systemd": (
        f"0::/system.slice/docker-{OUTER}.scope/system.slice/docker-{INNER}.scope\n",
        INNER,
    ),
    "a service": ("0::/system.slice/ssh.service\n", None),
    "a login": ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
    "a name that is no id": (f"0::/system.slice/job-{INNER[:63]}.scope\n", None),
    "more than an id": (f"0::/system.slice/{INNER}0\n", None),
    "empty": ("", None),
}


@pytest.mark.parametrize(("table", "expected"), CGROUPS.values(), ids=CGROUPS)
def test_a_process_belongs_to_its_innermost_container(table: str, expected: str | None) -> None:
    assert parse_container(table) == expected


def listening_line(port: int, inode: int) -> str:
    return f"   0: 00000000:{port:04X} 00000000:0000 0A 0:0 00:0 0     0        0 {inode} 1 0\n"


class Proc(t.Protocol):
    def __call__(self, tcp: str, processes: dict[int, tuple[bytes, str, list[str]]]) -> Path: ...


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    """Build a /proc of TCP listeners and pid -> (comm, cgroup, what its descriptors point at)."""

    def build(tcp: str, processes: dict[int, tuple[bytes, str, list[str]]]) -> Path:
        (tmp_path / "net").mkdir()
        (tmp_path / "net" / "tcp").write_text("  sl  local_address\n" + tcp)
        for pid, (comm, cgroup, links) in processes.items():
            descriptors = tmp_path / str(pid) / "fd"
            descriptors.mkdir(parents=True)
            (tmp_path / str(pid) / "comm").write_bytes(comm + b"\n")
            (tmp_path / str(pid) / "cgroup").write_text(cgroup)
            for number, link in enumerate(links):
                (descriptors / str(number)).symlink_to(link)
        return tmp_path

    return build


def test_listeners_come_by_port_with_process_and_container(proc: Proc) -> None:
    root = proc(
        listening_line(8000, 71) + listening_line(22, 72),
        {
            1: (b"systemd", "0::/init.scope\n", ["/dev/null"]),
            20: (b"sshd", "0::/system.slice/ssh.service\n", ["/dev/null", "socket:[72]"]),
            345: (b"vllm", f"0::/docker/{INNER}\n", ["pipe:[9]", "socket:[70]", "socket:[71]"]),
        },
    )
    assert listeners(root) == [Listener(22, 20, "sshd"), Listener(8000, 345, "vllm", INNER)]


def test_a_name_cannot_control_a_terminal(proc: Proc) -> None:
    name = b"\x1b[2J\x1b]0;x\x07\xc2\x9b"
    root = proc(listening_line(8000, 71), {5: (name, "0::/\n", ["socket:[71]"])})
    assert [one.process for one in listeners(root)] == ["\\x1b[2J\\x1b]0;x\\x07\\x9b"]


@pytest.mark.skipif(sys.byteorder != "little", reason="recorded on a little-endian machine")
@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (TCP, [("127.0.0.1", 52365, "278230"), ("0.0.0.0", 8000, "276405")]),
        (TCP6, [("::", 41691, "288691"), ("::", 22, "267432")]),
    ],
)
def test_listening_lines_have_an_address(table: str, expected: list[tuple[str, int, str]]) -> None:
    assert list(parse_bound(table)) == expected


@pytest.mark.skipif(sys.byteorder != "little", reason="recorded on a little-endian machine")
def test_ports_of_ray_are_found_with_whether_it_asks_for_a_token(proc: Proc) -> None:
    root = proc(
        "".join(TCP.splitlines(True)[1:]) + listening_line(46379, 71),
        {
            7: (b"gcs_server", "0::/\n", ["/dev/null", "socket:[71]"]),
            8: (b"ray::RuntimeEnv", "0::/\n", ["socket:[278230]"]),
            9: (b"raylet", "0::/\n", ["socket:[1]"]),
            10: (b"vllm", "0::/\n", ["socket:[276405]"]),
        },
    )
    (root / "net" / "tcp6").write_text(TCP6)
    (root / "9" / "fd" / "1").symlink_to("socket:[288691]")
    (root / "9" / "environ").write_bytes(b"PATH=/bin\0RAY_AUTH_MODE=token\0")
    found = ray_ports(root)
    assert found == [
        RayPort("::", 41691, 9, "raylet", True),
        RayPort("0.0.0.0", 46379, 7, "gcs_server", False),
    ]
    assert [port.port for port in unprotected(found, [])] == [46379]
    assert unprotected(found, ["0.0.0.0"]) == []


def test_an_inherited_socket_belongs_to_the_oldest_process(proc: Proc) -> None:
    workers = {pid: (b"worker", "0::/\n", ["socket:[71]"]) for pid in range(1000, 1020)}
    master = (b"master", "0::/\n", ["socket:[71]"])
    root = proc(listening_line(8000, 71), {**workers, 99: master})
    assert listeners(root) == [Listener(8000, 99, "master")]


def test_a_port_on_two_addresses_is_told_once(proc: Proc) -> None:
    lines = listening_line(8000, 71) + listening_line(8000, 72)
    root = proc(lines, {5: (b"nginx", "0::/\n", ["socket:[71]", "socket:[72]"])})
    assert listeners(root) == [Listener(8000, 5, "nginx")]


def test_an_owner_that_cannot_be_seen_leaves_the_port(proc: Proc) -> None:
    root = proc(listening_line(8000, 71), {5: (b"vllm", "0::/\n", [])})
    (root / "5" / "fd").rmdir()
    assert listeners(root) == [Listener(8000)]


def test_a_descriptor_closed_meanwhile_does_not_hide_the_others(proc: Proc) -> None:
    root = proc(listening_line(8000, 71), {5: (b"vllm", "0::/\n", ["socket:[70]", "socket:[71]"])})
    (root / "5" / "fd" / "0").unlink()
    (root / "5" / "fd" / "0").touch()  # reading it as a link fails, as for one that is gone
    assert listeners(root) == [Listener(8000, 5, "vllm")]


def test_a_process_gone_meanwhile_leaves_its_number(proc: Proc) -> None:
    root = proc(listening_line(8000, 71), {5: (b"vllm", "0::/\n", ["socket:[71]"])})
    (root / "5" / "comm").unlink()
    assert listeners(root) == [Listener(8000, 5)]


def test_a_process_name_of_any_bytes_is_no_crash(proc: Proc) -> None:
    root = proc(listening_line(8000, 71), {5: (b"mod\xc3", "0::/\n", ["socket:[71]"])})
    assert listeners(root) == [Listener(8000, 5, "mod\ufffd")]


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_a_real_socket_is_found_while_it_listens(family: int, address: str) -> None:
    with socket.socket(family) as listening:
        try:
            listening.bind((address, 0))
        except OSError as error:
            pytest.skip(f"no {address} here: {error}")
        port = listening.getsockname()[1]
        assert port not in {listener.port for listener in listeners()}
        listening.listen()
        (entries,) = [listener for listener in listeners() if listener.port == port]
    assert entries.pid == os.getpid()
    assert entries.process == Path("/proc/self/comm").read_text().strip()
    assert port not in {listener.port for listener in listeners()}
