# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open swaps as status.yml shows them."""

from __future__ import annotations

from typing import Any

from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.swaps import open_swaps

SWAP: dict[str, Any] = {
    "id": "5f0c",
    "owner": "alice",
    "recipe": "lab-tiny",
    "decider": "spark1",
    "state": "joined",
    "step": "waits for what spark1 says",
    "attempt": "0",
    "since": "1795000000.0",
    "missing": [],
}


def test_the_decider_knows_best() -> None:
    decider = {
        **SWAP,
        "state": "go",
        "step": "stops the old plan",
        "attempt": "2",
        "missing": ["spark2"],
    }

    (swap,) = open_swaps(
        {"spark2": {"swaps": {"main": SWAP}}, "spark1": {"swaps": {"main": decider}}, "spark3": {}}
    )

    assert (swap["state"], swap["nodes"], swap["missing"]) == (
        "go",
        ["spark2", "spark1"],
        ["spark2"],
    )
    assert swap["what"] == (
        "Swap of service main to lab-tiny by alice: stops the old plan since 2026-11-18T11:06:40Z, "
        "attempt 2; no answer from spark2"
    )


def test_a_participant_is_shown_where_the_decider_is_away() -> None:
    (swap,) = open_swaps({"spark2": {"swaps": {"main": SWAP}}})

    assert swap["what"].endswith(": waits for what spark1 says since 2026-11-18T11:06:40Z")


def test_what_nodes_report_is_foreign() -> None:
    strange = {"owner": "a\x1b[2J", "since": "never", "attempt": "many", "missing": None}

    (swap,) = open_swaps({"spark1": {"swaps": {"main": strange}}})

    assert (swap["owner"], swap["since"], swap["attempt"]) == ("a\\x1b[2J", "", 0)
    assert open_swaps({"spark1": {"swaps": []}}) == []
