# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recipe asks of a node, besides memory, ports and files. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.refusals import (
    Refusal,
    refusal,
)


def unmet_needs(
    plan: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any]]
) -> Iterator[Refusal]:
    """Why a node of the plan is not one for it.

    observed: node name -> what the module workload_info returned there.
    """
    wanted = plan.get("needs", {}).get("page_size", [])
    for node in plan["nodes"]:
        size = observed[node].get("page_size")
        if wanted and size not in (None, *wanted):
            yield refusal(
                f"{node}: {plan['recipe']} needs a kernel with pages of "
                f"{' or '.join(map(str, wanted))} bytes (needs: page_size), and those of the node "
                f"have {size}: getconf PAGESIZE. Choose another node with -e nodes, another image, "
                "or boot a kernel with such pages",
                "recipes",
            )
