# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes lack the image of a plan, which one has it, and which have to ask it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def image_steps(
    plan: Mapping[str, Any],
    observed: Mapping[str, Mapping[str, Any]],
    ask: bool = True,
    renew: bool = False,
) -> dict[str, Any]:
    """The steps until all nodes of the plan have the same image and know its facts.

    observed: node name -> what the module workload_info returned there. ask: whether the facts of
    the image matter; those about its Ray always do where that is to ask for a token. renew: whether
    the image is pulled again where it is, and the other nodes take what has come; a digest names
    one image for ever.

    An image that an overlay makes of another one is built by one node, the first that has the base,
    or else the first of the plan, which pulls the base.

    Returns a dict: `pull` (nodes that pull the image, or the base), `build` (the node that builds
    the image), `source` (the node that has it, pulls it or builds it for the others; empty if
    nothing is copied), `receive` (nodes that copy it from there), `ask`
    (nodes that do not know its facts), `ready` (whether there is nothing to do).
    """
    ids = {node: observed[node]["image_id"] for node in plan["nodes"]}
    lacking = [node for node in plan["nodes"] if not ids[node]]
    steps: dict[str, Any] = {"pull": [], "build": [], "source": "", "receive": []}
    if "@" in plan["image"]:
        # A copy has no digest, and pulling by digest gives the same image everywhere.
        steps["pull"] = lacking
    else:
        # Where images differ, the first node of the plan decides.
        bases = {node: observed[node].get("base_id") for node in plan["nodes"]}
        source = next(
            (node for have in (ids, bases) for node in plan["nodes"] if have[node]),
            plan["nodes"][0],
        )
        missing = [] if ids[source] and not renew else [source]
        if plan.get("overlay"):
            steps["build"] = missing
            steps["pull"] = [node for node in missing if renew or not bases[node]]
        else:
            steps["pull"] = missing
        steps["receive"] = [
            node
            for node in plan["nodes"]
            if node != source and (renew or ids[node] != (ids[source] or ""))
        ]
        steps["source"] = source if steps["receive"] else ""
    new = [*steps["pull"], *steps["build"], *steps["receive"]]
    steps["ask"] = (
        [node for node in plan["nodes"] if node in new or not observed[node]["image_facts"]]
        if ask or plan["ray_auth"] not in ("", "off")
        else []
    )
    steps["ready"] = not new and not steps["ask"]
    return steps
