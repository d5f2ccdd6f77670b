# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry of a swap in words."""

from __future__ import annotations

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.journal import summary


def test_the_phases_of_a_swap_are_one_line() -> None:
    phases = [
        {"phase": "preflight", "seconds": 1.5},
        {"phase": "stop old", "seconds": 2.0},
        {"phase": "model loaded", "seconds": 30.0},
    ]

    assert summary({"phases": phases}) == (
        "preflight 1.5 s, stop old 2.0 s, model loaded 30.0 s; together 33.5 s"
    )
