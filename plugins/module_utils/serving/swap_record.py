# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What a swap that has ended leaves: a line of the history, the journal, and a free lock."""

from __future__ import annotations

import time
import typing as t
from contextlib import suppress

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    history,
    journal,
    lock,
    state_files,
)


def record(folder: str, entry: t.Mapping[str, t.Any]) -> None:
    """Write the end of a swap into the journal. Raises OSError, Blocked and Broken."""
    with state_files.exclusive(folder):
        journal.store(folder, entry)
        state_files.append(folder, state_files.HISTORY, dict(entry), 100)


def release_lock(folder: str, held: t.Mapping[str, t.Any]) -> None:
    """Release the cluster lock of the swap if it lies here. held: its `token` and `run`."""
    request = lock.Request(str(held["token"]), run=str(held["run"]))
    with suppress(OSError, Blocked, state_files.Broken), state_files.exclusive(folder):
        current = lock.stored(folder)
        if current:
            lock.store(folder, lock.release(current, request).lock)


def note_history(folder: str, line: t.Mapping[str, t.Any]) -> None:
    """Add a line to the history of its service, once. Raises nothing: it is no part of the swap."""
    with suppress(OSError, Blocked, state_files.Broken), state_files.exclusive(folder):
        service = str(line["service"])
        last = history.recorded(folder, 1, time.time(), service).get(service, [])
        if not last or last[0]["run"] != line["run"]:
            history.append(folder, line)
