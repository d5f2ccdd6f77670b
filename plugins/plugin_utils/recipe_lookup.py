# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lookups about recipes have in common: their options and where recipes are."""

from __future__ import annotations

import os
import typing as t

from ansible.plugins.lookup import LookupBase

# The real path: messages show it, and the collection may be installed as a link.
BUNDLED_RECIPES = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))), "recipes"
)


class RecipeLookup(LookupBase):
    """A lookup with the option `recipe_paths`."""

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

    def search_paths(self) -> list[str]:
        return [*map(str, self.get_option("recipe_paths")), BUNDLED_RECIPES]
