# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables with our prefix that nothing reads, most often because of a typing error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from ansible.utils.vars import load_extra_vars
from ansible.vars.plugins import get_vars_from_inventory_sources

from ansible_collections.dgxspark.suite.plugins.plugin_utils.known_variables import KNOWN

PREFIX = "dgxspark_"
# Roles register results under such names.
RESULT = "dgxspark_result_"
# Compared without what all have in common.
SHORT = [name.removeprefix(PREFIX) for name in sorted(KNOWN)]


def given(play: Any) -> set[str]:
    """All names of inventory, group_vars, host_vars and -e. No value is templated."""
    loader = play.get_loader()
    inventory = play.get_variable_manager()._inventory
    entities = [*inventory.groups.values(), *inventory.hosts.values()]
    names = {name for entity in entities for name in entity.vars}
    names.update(get_vars_from_inventory_sources(loader, inventory._sources, entities, "task"))
    return names | set(load_extra_vars(loader))


def warnings(names: Iterable[str]) -> Iterator[str]:
    """One sentence for each name that begins with dgxspark_ and is unknown."""
    for name in sorted(names):
        if name.startswith(PREFIX) and not name.startswith(RESULT) and name not in KNOWN:
            near = difflib.get_close_matches(name.removeprefix(PREFIX), SHORT, n=1)
            advice = (
                f"did you mean {PREFIX}{near[0]}?" if near else "docs/variables.md has them all."
            )
            yield f"Unknown variable {name}: {advice}"
