# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether the kernel's clock is kept right by somebody, as the kernel itself knows it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

# The first members of struct timex where a long has 64 bits: modes, offset, freq, maxerror,
# esterror, status.
_TIMEX = "@I4xqqqqi"
_TIMEX_BYTES = 512
# The kernel lets the largest possible error grow up to this, in microseconds, while nobody sets
# the clock. STA_UNSYNC says less: not every time service clears it.
_LOST = 16_000_000


@dataclass(frozen=True)
class Clock:
    """error is by how much the clock may be wrong at most, in seconds."""

    synchronised: bool
    error: float


def parse_timex(data: bytes) -> Clock:
    """From the bytes of a struct timex that adjtimex(2) has filled."""
    _modes, _offset, _frequency, error, _estimate, _status = struct.unpack_from(_TIMEX, data)
    return Clock(error < _LOST, error / 1e6)


def kernel_clock() -> Clock | None:
    """None where the kernel cannot be asked. Changes nothing and needs no root."""
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
