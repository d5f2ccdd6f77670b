# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The memory of a node, which the driver releases some time after a container has stopped."""

from __future__ import annotations

import time
from collections.abc import Callable

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.meminfo import memory_bytes

# Memory counts as released once two readings in a row rise by no more than this.
_STABLE_BYTES = 64 << 20
_INTERVAL = 0.5  # seconds between two readings


def available() -> int:
    """MemAvailable in bytes. On a GB10 it counts memory that the GPU holds as taken."""
    return memory_bytes("MemAvailable")


def total() -> int:
    """MemTotal in bytes."""
    return memory_bytes("MemTotal")


def await_release(
    limit: float,
    read: Callable[[], int] = available,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[int, float, bool]:
    """Wait until available memory stops rising: the driver releases unified memory late.

    limit: seconds. read: available bytes. Returns what is available in bytes, the seconds waited,
    and whether it had stopped rising.
    """
    waited, last, stable = 0.0, read(), 0
    while stable < 2 and waited < limit:
        sleep(_INTERVAL)
        waited += _INTERVAL
        now = read()
        stable = stable + 1 if now - last <= _STABLE_BYTES else 0
        last = now
    return last, waited, stable >= 2
