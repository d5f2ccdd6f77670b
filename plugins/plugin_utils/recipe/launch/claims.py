# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory that a service claims on each of its nodes, and whether a node has it. Pure.

A claim is text, since containers carry it as a label: `share:0.3` of the node's memory, for engines
that take a share at their start, or `gib:12.5`; empty where nothing is known of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import (
    LABEL,
    gib_of,
    service_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.estimate import (
    estimate_memory,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.fit import (
    HOST_RESERVE_GIB,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.launch_settings import (
    GIB,
)

Facts = Mapping[str, Any]


def claim_of(resolved: ResolvedRecipe, gpus: bool) -> str:
    """The claim of each rank. gpus: whether containers get one; without, no share is taken."""
    estimate = estimate_memory(resolved)
    if estimate.utilisation_gib is not None:
        return f"gib:{estimate.utilisation_gib:.2f}"
    if gpus and estimate.utilisation is not None and not estimate.fixed_pool:
        return f"share:{estimate.utilisation:g}"
    need = estimate.total_gib
    return "" if need is None or estimate.confidence == "low" else f"gib:{need:.2f}"


def too_little(service: str, node: str, claim: str, facts: Facts) -> Iterator[str]:
    """Why a node has too little memory for a service beside its neighbours, with the figures.

    What is declared counts, since all services come back after a boot, and what is free now: with
    what the service's own containers give back, and less what other processes have. Without
    neighbours there is no refusal: the engine itself says what it lacks.
    """
    total = facts.get("memory_total_bytes", 0)
    asked = gib_of(claim, total)
    others = neighbours(service, facts)
    if not others or asked is None or not total:
        return
    held = ", ".join(
        f"{name} {'an unknown part' if gib is None else f'{gib:.1f} GiB'}"
        for name, gib in others.items()
    )
    room = total / GIB - HOST_RESERVE_GIB - sum(gib or 0.0 for gib in others.values())
    own = sum(gib or 0.0 for gib in _claims(facts, lambda name: name == service).values())
    free = facts.get("memory_available_bytes", total) / GIB + own
    if asked > room:
        left = (
            f"{max(room, 0.0):.1f} of {total / GIB:.1f} GiB are left ({held}; "
            f"{HOST_RESERVE_GIB:g} GiB for the system)"
        )
    elif asked > free:
        left = f"{free:.1f} GiB are free now, what it gives back included ({held})"
    else:
        return
    yield (
        f"{node}: service {service} asks for {asked:.1f} GiB, and {left}. Lower its share or "
        "context with -e overrides, choose another node with -e nodes, or stop one of them"
    )


def neighbours(service: str, facts: Facts) -> dict[str, float | None]:
    """The other services of a node that run, and what each claims there in GiB."""
    return _claims(facts, lambda name: name != service)


def _claims(facts: Facts, chosen: Callable[[str], bool]) -> dict[str, float | None]:
    out: dict[str, float | None] = {}
    for container in facts["containers"]:
        labels = container["labels"]
        name = service_of(labels)
        if container["ours"] and chosen(name) and container["status"] == "running":
            claim = str(labels.get(LABEL + "claim", ""))
            out[name] = gib_of(claim, facts.get("memory_total_bytes", 0))
    return out
