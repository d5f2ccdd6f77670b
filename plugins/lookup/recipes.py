# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: recipes
author:
  - dgxspark.suite contributors (@dgxspark)
short_description: List all recipes, or report what is wrong with them
description:
  - Every recipe of the search paths, or the issues of some or all of them.
  - Runs on the controller; no node is touched.
  - A file that cannot be read is listed too, with its error.
options:
  _terms:
    description:
      - With O(what=validate) and O(what=failures), names or paths of recipes, or lists of them;
        without any, or with V(all), all recipes.
    type: list
    elements: str
  what:
    description:
      - V(list) gives a row for each recipe, V(validate) its issues, V(failures) the paths of those
        with errors.
    type: str
    choices: [list, validate, failures]
    default: list
  strict:
    description: With O(what=failures), recipes with warnings too.
    type: bool
    default: false
  lines:
    description: Text for people, line by line, instead of maps.
    type: bool
    default: false
  hf_home:
    description: A Hugging Face cache on the controller, in which models are looked for.
    type: str
    default: ""
    vars:
      - name: dgxspark_hf_home
  services:
    description:
      - The services of the inventory, each a map with C(name), C(recipe) or C(port), C(overrides)
        and C(nodes), the first of which has the port. Two on one port of one node are an error.
      - Checked with O(what=validate) and O(what=failures) for all recipes.
    type: list
    elements: dict
    default: []
    vars:
      - name: dgxspark_services
  node_gib:
    description: Memory of a node, in GiB, with which the need of recipes is compared.
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
    - For V(failures) paths.
  type: list
  elements: raw
"""

import typing as t

from ansible.errors import AnsibleError

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.lookup import RecipeLookup
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.validation import (
    fails,
    validated,
    validated_lines,
)


class LookupModule(RecipeLookup):
    """The recipe engine's listing."""

    def run(
        self, terms: list[str], variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[t.Any]:
        self.set_templated_options(variables, kwargs)
        context = self.context()
        try:
            if self.get_option("what") != "list":
                return self._validated(terms, context)
            # Imported late: the estimates of memory that a row has take as long as all else.
            from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.listing import (
                rows,
                table,
            )

            listed = rows(context)
        except RecipeError as exc:
            # Imported late: most runs do without.
            from ansible_collections.dgxspark.suite.plugins.plugin_utils.next_step import of_recipe

            raise AnsibleError(of_recipe(exc, str(terms[0]) if terms else "all")) from None
        return table(listed) if self.get_option("lines") else listed

    def _validated(self, terms: t.Sequence[t.Any], context: Context) -> list[t.Any]:
        nested = [term if isinstance(term, list) else [term] for term in terms]
        results = validated([str(name) for names in nested for name in names] or ["all"], context)
        if self.get_option("what") == "failures":
            strict = bool(self.get_option("strict"))
            return [result["path"] for result in results if fails(result, strict)]
        return validated_lines(results) if self.get_option("lines") else results
