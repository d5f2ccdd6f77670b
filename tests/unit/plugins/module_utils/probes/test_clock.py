# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's clock, by the bytes that adjtimex was seen to return."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.clock import (
    Clock,
    kernel_clock,
    parse_timex,
)


def timex(error: int, status: int) -> bytes:
    return struct.pack("@I4xqqqqi", 0, 0, 0, error, error, status).ljust(512, b"\0")


@pytest.mark.parametrize(
    ("error", "status", "synchronised"),
    [
        (16_000_000, 0x40, False),  # nobody has ever set it
        (1_250, 0x2001, True),
        # chrony without rtcsync leaves STA_UNSYNC.
        (1_250, 0x40, True),
        (15_999_999, 0x2001, True),
    ],
)
def test_a_clock_is_right_as_long_as_its_error_is_known(
    error: int, status: int, synchronised: bool
) -> None:
    assert parse_timex(timex(error, status)) == Clock(synchronised, error / 1e6)


def test_the_kernel_of_this_machine_tells() -> None:
    clock = kernel_clock()
    assert clock is not None
    assert clock.synchronised == (clock.error < 16)
