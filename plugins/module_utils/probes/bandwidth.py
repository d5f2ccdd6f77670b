# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Parsers for programs that measure links: iperf3, ping, ib_write_bw and the NCCL tests."""

from __future__ import annotations

import re

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

_RTT = re.compile(r"^(?:rtt|round-trip) min/avg/max/\w+ = [\d.]+/([\d.]+)/", re.MULTILINE)
# bytes, iterations, BW peak, BW average, message rate; of several sizes the last counts.
_WRITE = re.compile(r"^\s*\d+\s+\d+\s+([\d.]+)\s+([\d.]+)\s+[\d.]+\s*$", re.MULTILINE)
_BUS = re.compile(r"^#\s*Avg bus bandwidth\s*:\s*([\d.]+)", re.MULTILINE)


def parse_iperf(text: str) -> tuple[float, str]:
    """(received Gbit/s, why there is no value) of `iperf3 --json`."""
    try:
        said = foreign.json_of(text)
        if said.get("error"):
            return 0.0, str(said["error"])
        return float(said["end"]["sum_received"]["bits_per_second"]) / 1e9, ""
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return 0.0, "iperf3 printed no result"


def parse_ping(text: str) -> float | None:
    """The mean round trip in milliseconds of `ping -q`."""
    match = _RTT.search(text)
    return _number(match[1]) if match else None


def parse_write_bw(text: str) -> float | None:
    """The average in Gbit/s of `ib_write_bw --report_gbits`."""
    matches = _WRITE.findall(text)
    return _number(matches[-1][1]) if matches else None


def parse_nccl(text: str) -> float | None:
    """The average bus bandwidth in GB/s of one of NCCL's tests."""
    match = _BUS.search(text)
    return _number(match[1]) if match else None


def _number(text: str) -> float | None:
    try:
        return foreign.real(text)
    except foreign.Foreign:
        return None
