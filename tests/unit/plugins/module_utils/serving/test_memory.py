# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of a node, and the wait for its release."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("readings", "limit", "expected"),
    [
        ([50 * GIB] * 3, 90, (50 * GIB, 1.0, True)),
        ([50 * GIB, 60 * GIB, 90 * GIB, 90 * GIB, 90 * GIB], 90, (90 * GIB, 2.0, True)),
        # Something else takes memory meanwhile.
        ([50 * GIB, 40 * GIB, 30 * GIB], 90, (30 * GIB, 1.0, True)),
        ([step * GIB for step in range(10)], 2, (4 * GIB, 2.0, False)),
    ],
)
def test_the_wait_ends_when_available_memory_stops_rising(
    readings: list[int], limit: float, expected: tuple[int, float, bool]
) -> None:
    following = iter(readings)
    assert memory.await_release(limit, lambda: next(following), lambda _seconds: None) == expected


def test_memory_is_reported_in_bytes() -> None:
    kib = re.search(r"MemTotal: +([0-9]+) kB", Path("/proc/meminfo").read_text("ascii"))
    assert kib
    assert memory.total() == int(kib[1]) * 1024
    assert 0 < memory.available() <= memory.total()
