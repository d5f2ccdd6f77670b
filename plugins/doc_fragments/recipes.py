# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """Options of the lookups for recipes."""

    DOCUMENTATION = r"""
options:
  recipe_paths:
    description: Directories with recipes, searched in this order and before the collection's own.
    type: list
    elements: path
    default: []
    vars:
      - name: dgxspark_recipe_paths
  recipe_registries:
    description:
      - Git repositories with recipes, each a map with C(name), C(url), and where needed C(ref),
        C(commit), C(folder) and C(trusted), as for M(dgxspark.suite.recipe_registry).
      - They are searched after all directories. C(@name/recipe) looks in that one only.
      - Nothing is fetched by a lookup; M(dgxspark.suite.recipe_registry) does that.
    type: list
    elements: dict
    default: []
    vars:
      - name: dgxspark_recipe_registries
  recipe_cache:
    description: Directory of fetched registries on the controller.
    type: path
    default: ~/.cache/dgxspark/recipes
    vars:
      - name: dgxspark_recipe_cache
  mod_paths:
    description: Directories with mods, in addition to those next to a recipe.
    type: list
    elements: path
    default: []
    vars:
      - name: dgxspark_mod_paths
  recipe_values:
    description:
      - Values that win over the C(defaults) of recipes, by the recipe's name; those of V(*) are for
        every recipe.
    type: dict
    default: {}
    vars:
      - name: dgxspark_recipe_values
"""
