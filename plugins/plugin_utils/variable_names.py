# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables with our prefix, and words of -e, that nothing reads: most often a typing error."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ansible.utils.vars import load_extra_vars
from ansible.vars.plugins import get_vars_from_inventory_sources

from ansible_collections.dgxspark.suite.plugins.plugin_utils.known_variables import KNOWN
from ansible_collections.dgxspark.suite.plugins.plugin_utils.run_stats import ARTIFACTS

PREFIX = "dgxspark_"
# Roles register results under such names.
RESULT = "dgxspark_result_"
# Compared without what all have in common.
SHORT = [name.removeprefix(PREFIX) for name in sorted(KNOWN)]


# How a playbook reads a word of the command line; see the lookup extra_var.
WORD = re.compile(r"dgxspark\.suite\.extra_var', *'(\w+)'")
# A user's own variable may be similar to a word: 0.8 is one wrong letter of five.
SIMILAR = 0.8


def in_inventory(play: Any) -> set[str]:
    """All names of inventory, group_vars and host_vars. No value is templated."""
    loader = play.get_loader()
    inventory = play.get_variable_manager()._inventory
    entities = [*inventory.groups.values(), *inventory.hosts.values()]
    names = {name for entity in entities for name in entity.vars}
    names.update(get_vars_from_inventory_sources(loader, inventory._sources, entities, "task"))
    return names


def words(plays: Iterable[Any]) -> set[str]:
    """The words of -e that these plays read, imported ones included."""
    return {word for play in plays for word in WORD.findall(json.dumps(play.get_ds(), default=str))}


def warnings(play: Any, read: Iterable[str]) -> Iterator[str]:
    """One sentence for each variable of ours that is unknown, and for each word of -e that is
    almost one of those that the playbook reads.
    """
    inventory, typed = in_inventory(play), set(load_extra_vars(play.get_loader()))
    yield from unknown(inventory | typed)
    yield from misspelt(typed - inventory, read)


def misspelt(typed: Iterable[str], read: Iterable[str]) -> Iterator[str]:
    """One sentence for each word that differs by little from one that is read.

    typed: the words of -e that are no variable of the inventory. Others are a user's own.
    """
    read = set(read)
    for name in sorted(set(typed) - read):
        near = difflib.get_close_matches(name, sorted(read), n=1, cutoff=SIMILAR)
        if near and not name.startswith(PREFIX):
            yield f"Unknown word -e {name}: did you mean {near[0]}?"


def unknown(names: Iterable[str]) -> Iterator[str]:
    """One sentence for each name that begins with dgxspark_ and is unknown."""
    for name in sorted(names):
        if (
            name.startswith(PREFIX)
            and not name.startswith(RESULT)
            and name not in KNOWN | ARTIFACTS
        ):
            near = difflib.get_close_matches(name.removeprefix(PREFIX), SHORT, n=1)
            advice = (
                f"did you mean {PREFIX}{near[0]}?" if near else "docs/variables.md has them all."
            )
            yield f"Unknown variable {name}: {advice}"
