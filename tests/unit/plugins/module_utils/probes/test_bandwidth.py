# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs that measure links print: iperf3 and ping recorded, the others as documented."""

from __future__ import annotations

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.bandwidth import (
    parse_iperf,
    parse_nccl,
    parse_ping,
    parse_write_bw,
)

PING = """PING 198.51.100.12 (198.51.100.12) 56(84) bytes of data.

--- 198.51.100.12 ping statistics ---
50 packets transmitted, 50 received, 0% packet loss, time 999ms
rtt min/avg/max/mdev = 0.021/0.047/0.213/0.031 ms
"""
WRITE_BW = """--------------------------------------------------------------------------------
                    RDMA_Write BW Test
 Dual-port       : OFF\t\tDevice         : rocep1s0f0
 Number of qps   : 4\t\tTransport type : IB
--------------------------------------------------------------------------------
 #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]
 65536      1062000          0.00               111.70\t\t     0.213055
--------------------------------------------------------------------------------
"""
NCCL = """#       size         count      type   redop    root     time   algbw   busbw #wrong
 17179869184    2147483648     float    none      -1   372210   46.16   23.08      0
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 23.0787
"""


def test_figures_are_read() -> None:
    said = '{"end": {"sum_received": {"bits_per_second": 24800000000.0}}}'
    assert parse_iperf(said) == (24.8, "")
    assert parse_ping(PING) == 0.047
    assert parse_write_bw(WRITE_BW) == 111.7
    assert parse_nccl(NCCL) == 23.0787


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('{"error": "unable to connect to server: Connection refused"}', "unable to connect"),
        ("", "no result"),
        ("[]", "no result"),
        ('{"end": {}}', "no result"),
    ],
)
def test_iperf_that_measured_nothing_says_why(said: str, why: str) -> None:
    value, problem = parse_iperf(said)
    assert value == 0
    assert why in problem


def test_what_says_no_figure_has_none() -> None:
    assert parse_ping("100% packet loss") is None
    assert parse_write_bw("Couldn't connect to 198.51.100.12:12000") is None
    assert parse_nccl("NET/IB : No device found.") is None
