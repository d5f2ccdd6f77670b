# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long something waits before it tries again. Pure; all in seconds."""

from __future__ import annotations

import math

# Between two inspections of a server that answers.
LOOK = 5.0
_FIRST = 1.0
# A model loads for minutes; whoever asks more often learns nothing.
NOT_READY = 20
LOST = 1


def next_look(misses: int) -> float:
    """Until the next inspection of a server that has not answered so many times in a row."""
    return LOOK if misses <= 0 else min(LOOK, _FIRST * 2.0 ** min(misses - 1, 8))


def busy(waiting: int, concurrency: int, seconds: float) -> int:
    """Retry-After of a full queue.

    waiting: requests in the queue. seconds: that a request has taken lately, 0 if none has.
    """
    expected = seconds * (waiting + 1) / max(concurrency, 1)
    return max(1, min(60, math.ceil(expected)))
