# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: recipe
author:
  - dgxspark.suite contributors (@dgxspark)
short_description: Read a recipe and say what is wrong with it
description:
  - Finds a recipe file, reads it, and returns its fields together with the issues found in it.
  - Runs on the controller; no node is touched.
  - A recipe with errors is returned too, with its issues. Only a file that cannot be found or is
    not a YAML map makes the lookup fail.
options:
  _terms:
    description:
      - Names or paths of recipes.
      - An existing path that ends in C(.yaml) or C(.yml) is taken as it is. Anything else is looked
        for by its file's stem below O(recipe_paths), then among the recipes of the collection.
    type: list
    elements: str
    required: true
  recipe_paths:
    description: Folders with recipes, searched in this order and before the collection's own.
    type: list
    elements: path
    default: []
    vars:
      - name: dgxspark_recipe_paths
  overrides:
    description:
      - Values that win over the recipe's C(defaults), as a map, as a list of C(key=value), or as
        text of C(key=value) words.
    type: raw
    default: {}
requirements:
  - PyYAML on the controller
seealso:
  - plugin: dgxspark.suite.launch_plan
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Stop early on a recipe that cannot be launched
  ansible.builtin.assert:
    that: found.errors == 0
    fail_msg: "{{ found.issues | map(attribute='message') | join('; ') }}"
  vars:
    found: "{{ lookup('dgxspark.suite.recipe', 'lab-tiny') }}"
"""

RETURN = r"""
_raw:
  description: One map per recipe.
  type: list
  elements: dict
  contains:
    name:
      description: The file's stem.
      type: str
      sample: lab-tiny
    path:
      description: The file.
      type: path
      sample: recipes/lab-tiny.yaml
    data:
      description: All fields as they stand in the file.
      type: dict
      sample: {model: dgxspark/tiny-qwen3, runtime: vllm}
    mode:
      description: V(solo), V(cluster) or V(auto), as the fields together mean it.
      type: str
      sample: cluster
    min_nodes:
      description: Fewest nodes.
      type: int
      sample: 2
    max_nodes:
      description: Most nodes; null for no limit.
      type: int
      sample: 2
    issues:
      description: What is wrong, each with code, severity, field, message, fix and line.
      type: list
      elements: dict
      sample: []
    errors:
      description: Number of issues that prevent a launch.
      type: int
      sample: 0
"""

import typing as t

from ansible.errors import AnsibleError

from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.load import load
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.model import RecipeError
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.topology import topology
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.validate import (
    errors,
    validate,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.values import parse_overrides
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe_lookup import RecipeLookup


class LookupModule(RecipeLookup):
    """The recipe engine's load and validate."""

    def run(
        self, terms: list[str], variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[dict[str, t.Any]]:
        self.set_templated_options(variables, kwargs)
        paths = self.search_paths()
        try:
            overrides = parse_overrides(self.get_option("overrides"))
            return [self._describe(term, paths, overrides) for term in terms]
        except RecipeError as exc:
            raise AnsibleError(str(exc)) from exc

    def _describe(
        self, term: str, paths: list[str], overrides: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        recipe = load(term, paths)
        issues = validate(recipe, overrides)
        shape = topology(recipe)
        return {
            "name": recipe.name,
            "path": recipe.path,
            "data": recipe.data,
            "mode": shape.mode,
            "min_nodes": shape.min_nodes,
            "max_nodes": shape.max_nodes,
            "issues": [issue.to_dict() for issue in issues],
            "errors": len(errors(issues)),
        }
