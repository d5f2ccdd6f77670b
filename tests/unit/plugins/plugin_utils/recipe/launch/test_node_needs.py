# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recipe asks of a node."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.node_needs import (
    unmet_needs,
)


@pytest.mark.parametrize(
    ("needs", "size", "refused"),
    [
        ({"page_size": [4096]}, 4096, False),
        ({"page_size": [4096]}, 65536, True),
        ({"page_size": [4096, 65536]}, 65536, False),
        ({}, 65536, False),
        # A node of another version of the collection does not report it.
        ({"page_size": [4096]}, None, False),
    ],
)
def test_pages_of_another_size_are_refused_with_the_way_out(
    needs: dict[str, Any], size: int | None, refused: bool
) -> None:
    plan = {"recipe": "qdrant", "nodes": ["spark2"], "needs": needs}
    found = list(unmet_needs(plan, {"spark1": {"page_size": 1}, "spark2": {"page_size": size}}))
    assert bool(found) is refused
    for text in (one["why"] for one in found):
        assert text.startswith("spark2: qdrant needs")
        assert "65536: getconf PAGESIZE" in text
        assert "-e nodes" in text
