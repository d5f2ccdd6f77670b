# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.filter.model_refusals import FilterModule

FREE: dict[str, Any] = {"plan_id": "1", "refusals": []}
SERVED = [{"node": "spark1", "recipe": "tiny", "process": ""}]


@pytest.mark.parametrize(
    ("plans", "serving", "expected"),
    [
        ({"spark1": FREE, "spark2": FREE}, [], []),
        (
            {"spark1": FREE},
            [],
            ["spark2: it was not reached, and would keep the model; --limit excludes it"],
        ),
        (
            {"spark1": FREE, "spark2": {"failed": True, "msg": "x"}},
            [],
            ["spark2: it was not reached, and would keep the model; --limit excludes it"],
        ),
        (
            {"spark1": FREE, "spark2": {**FREE, "refusals": ["it is being downloaded"]}},
            SERVED,
            [
                "spark1: it is being served by recipe tiny",
                "spark2: it is being downloaded",
            ],
        ),
        (
            {"spark1": FREE, "spark2": {**FREE, "refusals": ["\x1b[2J"]}},
            [{"node": "spark1", "recipe": "", "process": "\x1b]0;x\x07"}],
            [
                "spark1: it is being served by \\x1b]0;x\\x07",
                "spark2: \\x1b[2J",
            ],
        ),
    ],
)
def test_refusals_of_all_nodes_are_joined(
    plans: dict[str, Any], serving: list[dict[str, str]], expected: list[str]
) -> None:
    filters: Any = FilterModule().filters()
    menu = {"models": [{"serving": serving}]}
    refusals = filters["model_refusals"](plans, menu, ["spark1", "spark2"])
    assert [refusal["why"] for refusal in refusals] == expected
    assert all(refusal["next"] for refusal in refusals)
