# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether the clock is synchronised, according to the kernel."""

from __future__ import annotations

import struct
from dataclasses import dataclass

# The first members of struct timex with 64-bit long: modes, offset, freq, maxerror,
# esterror, status.
_TIMEX = "@I4xqqqqi"
_TIMEX_BYTES = 512
# The kernel increases the maximum error up to this, in microseconds, if the clock is not set.
# STA_UNSYNC is less reliable: not every time service clears it.
_LOST = 16_000_000


@dataclass(frozen=True)
class Clock:
    """error is the maximum error of the clock, in seconds."""

    synchronised: bool
    error: float


def parse_timex(data: bytes) -> Clock:
    """Parse a struct timex of adjtimex(2)."""
    _modes, _offset, _frequency, error, _estimate, _status = struct.unpack_from(_TIMEX, data)
    return Clock(error < _LOST, error / 1e6)


def kernel_clock() -> Clock | None:
    """None if the kernel does not answer. Changes nothing and needs no root."""
    try:
        import ctypes
    except ImportError:
        return None
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        answer = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else parse_timex(buffer.raw)
