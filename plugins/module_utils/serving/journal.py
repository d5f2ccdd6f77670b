# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of a swap, phase by phase, as the head keeps it. Pure.

An entry is a map: `schema`, `id`, `recipe`, `plan_hash`, `nodes`, `owner`, `previous` (recipe and
plan_hash of what was served before, empty for nothing), `started`, `phase`, `phase_since` (seconds
since 1970), `phases` (maps of `phase` and `seconds`, those that are over), `result` (None while it
goes on) and `why`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# How a swap can end. What neither ended nor goes on any more was interrupted.
COMPLETE, FAILED, ROLLED_BACK, INTERRUPTED = "complete", "failed", "rolled_back", "interrupted"

Entry = Mapping[str, Any]


def begin(
    found: Entry, swap: str, told: Entry, phase: str, preflight: float, now: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A new entry in its first lasting phase, and the one that was interrupted, empty if none was.

    told: what is known of the swap. preflight: how long was looked before, in seconds.
    """
    entry = {
        "schema": 1,
        "id": swap,
        **told,
        "started": now - preflight,
        "phase": phase,
        "phase_since": now,
        "phases": [{"phase": "preflight", "seconds": round(preflight, 1)}],
        "result": None,
        "why": "",
    }
    cut = dict(found) if found and not found.get("result") and found["id"] != swap else {}
    return entry, {**cut, "result": INTERRUPTED} if cut else {}


def advance(entry: Entry, phase: str, details: Sequence[Entry], now: float) -> dict[str, Any]:
    """The entry in its next phase. details: what the phase that ends consisted of, if known."""
    over = [dict(detail) for detail in details] or [
        {"phase": entry["phase"], "seconds": round(now - entry["phase_since"], 1)}
    ]
    return {**entry, "phases": [*entry["phases"], *over], "phase": phase, "phase_since": now}


def finish(
    entry: Entry, result: str, why: str, details: Sequence[Entry], now: float
) -> dict[str, Any]:
    """The entry at its end."""
    return {**advance(entry, result, details, now), "result": result, "why": why}


def summary(entry: Entry) -> str:
    """The phases with their durations, in one line."""
    parts = ["%s %.1f s" % (done["phase"], done["seconds"]) for done in entry["phases"]]
    total = sum(done["seconds"] for done in entry["phases"])
    return "%s; together %.1f s" % (", ".join(parts), total)
