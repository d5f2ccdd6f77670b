# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The number of a service that chooses the ports at which its ranks meet. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import (
    MAIN,
    is_service,
    service_of,
    slot_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import SLOTS


def slot_for(observed: Mapping[str, Mapping[str, Any]], service: str) -> int:
    """The slot of a service: that of its containers, else the smallest that no service has.

    observed: node name -> what the module workload_info returned there. Raises RecipeError for a
    name that no service may have, and where all slots are taken.
    """
    if not is_service(service):
        raise RecipeError(
            f"{service!r:.60} cannot be the name of a service: lower-case letters, digits and "
            "dashes, at most 31, and no dash at the beginning"
        )
    if service == MAIN:
        return 0
    taken = {
        service_of(container["labels"]): slot_of(container["labels"])
        for facts in observed.values()
        for container in facts["containers"]
        if container["ours"]
    }
    if taken.get(service):
        return taken[service]
    free = sorted(set(range(1, SLOTS + 1)) - set(taken.values()))
    if not free:
        raise RecipeError(
            f"there are {SLOTS} services beside main already; stop one of them: "
            f"{', '.join(sorted(taken))}"
        )
    return free[0]
