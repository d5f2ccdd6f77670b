# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: recipes
author:
  - dgxspark.suite contributors (@dgxspark)
short_description: List all recipes, or say what is wrong with them
description:
  - Every recipe that a name can mean, or the issues of some or all of them.
  - Runs on the controller; no node is touched.
  - A file that cannot be read is listed too, with its error.
options:
  _terms:
    description:
      - With O(what=validate), names or paths of recipes; without any, all recipes.
    type: list
    elements: str
  what:
    description: V(list) gives a row for each recipe, V(validate) its issues.
    type: str
    choices: [list, validate]
    default: list
  lines:
    description: Text for people, line by line, instead of maps.
    type: bool
    default: false
  hf_home:
    description: A Hugging Face cache on the controller, looked at for models.
    type: str
    default: ""
    vars:
      - name: dgxspark_hf_home
  services:
    description:
      - The services of the inventory, each a map with C(name), C(recipe) or C(port), C(overrides)
        and C(nodes), the first of which has the port. Two on one port of one node are an error.
      - Looked at with O(what=validate) for all recipes.
    type: list
    elements: dict
    default: []
    vars:
      - name: dgxspark_services
  node_gib:
    description: Memory of a node, in GiB, that the need of recipes is held against.
    type: float
    default: 121
    vars:
      - name: dgxspark_node_gib
extends_documentation_fragment:
  - dgxspark.suite.recipes
requirements:
  - PyYAML on the controller
seealso:
  - plugin: dgxspark.suite.recipe
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Show every recipe
  ansible.builtin.debug:
    msg: "{{ query('dgxspark.suite.recipes', lines=true) }}"

- name: Names of the recipes that fit on their nodes
  ansible.builtin.debug:
    msg: "{{ query('dgxspark.suite.recipes') | selectattr('fits', 'defined')
      | selectattr('fits', 'equalto', 'fits') | map(attribute='name') }}"
"""

RETURN = r"""
_raw:
  description:
    - One map per recipe, or lines with O(lines=true).
    - For V(list) C(name), C(path), C(model), C(runtime), C(mode), C(nodes), C(memory) (GiB per
      node), C(fits) (V(fits), V(tight), V(exceeds), V(unknown)), C(confidence), C(on_disk),
      C(errors) and, where there is one, C(error).
    - For V(validate) C(name), C(path), the numbers of C(errors) and C(warnings), and C(issues),
      each with code, severity, field, message, fix and line.
  type: list
  elements: raw
"""

import typing as t

from ansible.errors import AnsibleError

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.listing import (
    rows,
    table,
    validated,
    validated_lines,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.lookup import RecipeLookup


class LookupModule(RecipeLookup):
    """The recipe engine's listing."""

    def run(
        self, terms: list[str], variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[t.Any]:
        self.set_templated_options(variables, kwargs)
        context, lines = self.context(), self.get_option("lines")
        try:
            if self.get_option("what") == "validate":
                results = validated([str(term) for term in terms] or ["all"], context)
                return validated_lines(results) if lines else results
            found = rows(context)
        except RecipeError as exc:
            raise AnsibleError(str(exc)) from exc
        return table(found) if lines else found
