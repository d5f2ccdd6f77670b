# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the screen says of an image that is on its way."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.action.image_receive import Flow, progress

Result = dict[str, t.Any]


@pytest.mark.parametrize(
    ("status", "total", "rate", "text"),
    [
        ({}, 9, 0, "waiting for the first bytes"),
        ({"bytes": 1_500_000_000}, 4_290_000_000, 2e8, "1.5 GB of about 4.3 GB, 200 MB/s"),
        ({"bytes": 5_000}, 0, 0, "5 kB"),
        ({"bytes": 5_000, "arrived": True}, 0, 0, "5 kB have come, Docker unpacks them"),
        ({"layers": 3, "layers_done": 1}, 0, 0, "1 of 3 layers"),
    ],
)
def test_progress_in_words(status: Result, total: int, rate: float, text: str) -> None:
    assert progress(status, total, rate) == text


def test_the_rate_counts_from_the_first_bytes() -> None:
    flow = Flow()
    assert flow.rate({}, 0) == 0
    assert flow.rate({"status": {"bytes": 100}}, 60) == 0
    assert flow.rate({"status": {"bytes": 300}}, 62) == 100
