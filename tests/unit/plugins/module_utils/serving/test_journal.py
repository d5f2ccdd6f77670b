# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of a swap, and the entry of an interrupted one."""

from __future__ import annotations

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.journal import (
    advance,
    begin,
    finish,
    summary,
)


def test_a_swap_from_its_first_phase_to_its_end() -> None:
    entry, interrupted = begin({}, "1", {"recipe": "a"}, "stop", 1.5, 100.0)
    assert interrupted == {}
    assert (entry["phase"], entry["started"], entry["result"]) == ("stop", 98.5, None)
    entry = advance(entry, "start", [{"phase": "stop old", "seconds": 2.0}], 103.0)
    entry = advance(entry, "wait", [], 104.25)
    entry = finish(entry, "complete", "", [{"phase": "model loaded", "seconds": 30.0}], 140.0)
    assert entry["phases"] == [
        {"phase": "preflight", "seconds": 1.5},
        {"phase": "stop old", "seconds": 2.0},
        {"phase": "start", "seconds": 1.2},
        {"phase": "model loaded", "seconds": 30.0},
    ]
    assert (entry["phase"], entry["result"]) == ("complete", "complete")
    assert summary(entry) == (
        "preflight 1.5 s, stop old 2.0 s, start 1.2 s, model loaded 30.0 s; together 34.7 s"
    )


def test_the_next_swap_reports_an_interrupted_one() -> None:
    first, _none = begin({}, "1", {"recipe": "a"}, "stop", 0.0, 100.0)
    _second, interrupted = begin(first, "2", {"recipe": "b"}, "stop", 0.0, 200.0)
    assert (interrupted["recipe"], interrupted["phase"], interrupted["result"]) == (
        "a",
        "stop",
        "interrupted",
    )


def test_a_swap_that_ended_was_not_interrupted() -> None:
    first, _none = begin({}, "1", {"recipe": "a"}, "stop", 0.0, 100.0)
    ended = finish(first, "failed", "no memory", [], 110.0)
    assert ended["why"] == "no memory"
    assert begin(ended, "2", {}, "stop", 0.0, 200.0)[1] == {}
