# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's settings for recipes, in a file of its own so that a plan imports little."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import (
    SearchPaths,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Recipe,
    RecipeError,
)

# MemTotal of a DGX Spark is about 121 GiB of its 128 GB.
NODE_GIB = 121.0


class Context(t.NamedTuple):
    """The inventory's settings for recipes.

    search_paths, mod_paths: folders. inventory: recipe's name, or `*`, -> values that win over its
    defaults. hf_home: Hugging Face cache on the controller, searched for models; "" for none.
    node_gib: memory of a node. services: the inventory's, as `services_of` takes them.
    """

    search_paths: SearchPaths = ()
    mod_paths: t.Sequence[str] = ()
    inventory: t.Mapping[str, t.Any] = {}
    hf_home: str = ""
    node_gib: float = NODE_GIB
    services: t.Any = ()

    def values_for(self, recipe: Recipe) -> dict[str, t.Any]:
        """The inventory's values for one recipe; those under its name win over those for all."""
        named, everyone = self.inventory.get(recipe.name), self.inventory.get("*")
        for where, values in (("*", everyone), (recipe.name, named)):
            if values is not None and not isinstance(values, t.Mapping):
                raise RecipeError(
                    f"dgxspark_recipe_values.{where} is {values!r:.60}, expected a map"
                )
        return {**(everyone or {}), **(named or {})}
