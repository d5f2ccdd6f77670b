# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes lack the image of a plan, who has it, and who has to ask it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def image_steps(
    plan: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any]], ask: bool = True
) -> dict[str, Any]:
    """What has to be done so that all nodes of the plan have one image and know what is in it.

    observed: node name -> what the module workload_info returned there. ask: whether it matters
    what is in it.

    Returns a dict: `pull` (nodes that pull it), `source` (the node that has it, or will have pulled
    it, for the others; empty where nothing is copied), `receive` (nodes that take it from there),
    `ask` (nodes that do not know yet what is in it), `ready` (whether there is nothing to do).
    """
    ids = {node: observed[node]["image_id"] for node in plan["nodes"]}
    lacking = [node for node in plan["nodes"] if not ids[node]]
    steps: dict[str, Any] = {"pull": [], "source": "", "receive": []}
    if "@" in plan["image"]:
        # A copy would not be known by its digest, and what is pulled by it is the same everywhere.
        steps["pull"] = lacking
    else:
        # The head's is right where they differ; it was the first to be asked for a completion.
        source = next((node for node in plan["nodes"] if ids[node]), plan["nodes"][0])
        steps["pull"] = [] if ids[source] else [source]
        steps["receive"] = [
            node for node in plan["nodes"] if node != source and ids[node] != (ids[source] or "")
        ]
        steps["source"] = source if steps["receive"] else ""
    new = [*steps["pull"], *steps["receive"]]
    steps["ask"] = (
        [node for node in plan["nodes"] if node in new or not observed[node]["image_facts"]]
        if ask
        else []
    )
    steps["ready"] = not new and not steps["ask"]
    return steps
