# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of the lookups for recipes: their options and search paths."""

from __future__ import annotations

import json
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import (
    BUNDLED,
    Place,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.registries import (
    place_of,
    registries_of,
)


class RecipeLookup(LookupBase):
    """A lookup with the options of the documentation fragment `recipes`."""

    def set_templated_options(
        self, variables: t.Mapping[str, t.Any] | None, direct: t.Mapping[str, t.Any]
    ) -> None:
        """Set the options; variables arrive as written in the inventory, templates unresolved.

        Only those that options name are resolved: others may need what is not there yet.
        """
        declared = {
            variable["name"]
            for option in self.option_definitions.values()
            for variable in option.get("vars", ())
        }
        given = {
            name: self._templar.template(value)
            for name, value in (variables or {}).items()
            if name in declared
        }
        self.set_options(var_options=given, direct=direct)

    def search_paths(self) -> list[str | Place]:
        """Local directories, the collection's recipes, then the registries. Raises AnsibleError."""
        cache = str(self.get_option("recipe_cache"))
        try:
            registries = registries_of(self.plain("recipe_registries"))
        except RecipeError as exc:
            raise AnsibleError(str(exc)) from exc
        places = [place_of(registry, cache) for registry in registries]
        return [*map(str, self.get_option("recipe_paths")), BUNDLED, *places]

    def context(self) -> Context:
        """The inventory's settings for recipes."""
        return Context(
            search_paths=self.search_paths(),
            mod_paths=[str(path) for path in self.get_option("mod_paths")],
            inventory=self.plain("recipe_values"),
            hf_home=str(self.get_option("hf_home") or ""),
            node_gib=float(self.get_option("node_gib")),
            services=self.plain("services") if self.has_option("services") else (),
        )

    def plain(self, name: str) -> t.Any:
        """An option without Ansible's own subclasses of str, dict and list."""
        try:
            return json.loads(json.dumps(self.get_option(name)))
        except (TypeError, ValueError) as exc:
            raise AnsibleError(f"option {name} is not plain data: {exc}") from exc
