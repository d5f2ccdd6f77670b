# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The memory of a node, which the driver releases some time after a container has stopped.

CUDA on a GB10 takes MemFree for what is free: MemAvailable counts the page cache as well, which the
GPU does not get, so that an engine refuses to start beside weights that were just copied
(unslothai/unsloth PR #10704, measured on a GB10).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import gib_of
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.meminfo import memory_bytes

DRIVER = "/proc/driver/nvidia"
DROP = "/proc/sys/vm/drop_caches"
_GIB = 1 << 30
# An estimate may be off by that much; an engine that takes a share refuses by itself.
_TOLERANCE = {"share": 1.0, "gib": 0.9}
_SYNC = 20.0  # seconds for dirty pages, which cannot be dropped

# Memory counts as released once two readings in a row rise by no more than this.
_STABLE_BYTES = 64 << 20
_INTERVAL = 0.5  # seconds between two readings


def available() -> int:
    """MemAvailable in bytes. On a GB10 it counts memory that the GPU holds as taken."""
    return memory_bytes("MemAvailable")


def free() -> int:
    """MemFree in bytes: what CUDA takes for free on a GB10."""
    return memory_bytes("MemFree")


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


def make_room(claim: str, limit: float) -> str:
    """Release the page cache if less is free than a service claims; why it is too little, if so.

    claim: as of labels.gib_of. limit: seconds for what else is being released. Without an NVIDIA
    driver nothing is done: processes get what the page cache has.
    """
    wanted = gib_of(claim, total())
    if not wanted or not os.path.isdir(DRIVER):
        return ""
    least = wanted * _TOLERANCE[claim.partition(":")[0]] * _GIB
    if free() >= least:
        return ""
    problem = _drop_page_cache()
    found, _waited, _stable = await_release(limit, free)
    if found >= least:
        return ""
    text = "%.1f GiB of memory are claimed, %.1f GiB are free (%.1f GiB with the page cache%s)"
    held = ", which is not released: %s" % problem if problem else ""
    return text % (wanted, found / _GIB, available() / _GIB, held)


def _drop_page_cache() -> str:
    """Why not, empty where it is done."""
    # It has no limit of its own.
    writes = threading.Thread(target=os.sync, daemon=True)
    writes.start()
    writes.join(_SYNC)
    try:
        with open(DROP, "w", encoding="ascii") as stream:
            stream.write("3\n")
    except OSError as error:
        return str(error)
    return ""
