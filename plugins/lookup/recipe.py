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
        for by its file's stem below O(recipe_paths), then among the recipes of the collection, then
        in O(recipe_registries). C(@registry/name) looks in that registry only.
    type: list
    elements: str
    required: true
  overrides:
    description:
      - Values that win over the recipe's C(defaults), as a map, as a list of C(key=value), or as
        text of C(key=value) words.
    type: raw
    default: {}
  hf_home:
    description: A Hugging Face cache on the controller, searched for the model's files.
    type: str
    default: ""
    vars:
      - name: dgxspark_hf_home
  node_gib:
    description: Memory of a node, in GiB, that the recipe's need is held against.
    type: float
    default: 121
    vars:
      - name: dgxspark_node_gib
extends_documentation_fragment:
  - dgxspark.suite.recipes
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
    title:
      description: Its name for people.
      type: str
      sample: lab-tiny
    description:
      description: What it serves.
      type: str
      sample: Random weights, 2 layers
    maintainer:
      description: Contact.
      type: str
      sample: dgxspark.suite contributors
    registry:
      description: Name of the registry that it is from; empty for none.
      type: str
      sample: ""
    included:
      description: Files that it includes, directly and indirectly.
      type: list
      elements: path
      sample: []
    runtime:
      description: The runtime that it names or means.
      type: str
      sample: vllm
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
      description: The issues, each with code, severity, field, message, fix and line.
      type: list
      elements: dict
      sample: []
    errors:
      description: Number of issues that prevent a launch.
      type: int
      sample: 0
    resolved:
      description:
        - What it comes to on as many nodes as it needs - image, runtime, port, served name, models,
          mods, and the command of each rank. Null where it has errors.
      type: dict
      sample: {port: 8000, runtime: vllm-ray}
    memory:
      description:
        - What it needs on each node, in GiB, with the source and the confidence of each figure, and
          whether that fits. Null where it has errors.
      type: dict
      sample: {need_gib: 43.32, verdict: fits}
    lines:
      description: All of this as text.
      type: list
      elements: str
      sample: ["lab-tiny: Random weights, 2 layers"]
    memory_lines:
      description: RV(_raw[].memory) as text.
      type: list
      elements: str
      sample: ["memory per node:"]
"""

import typing as t

from ansible.errors import AnsibleError

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    parse_overrides,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.listing import (
    details,
    details_lines,
    memory_lines,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.lookup import RecipeLookup


class LookupModule(RecipeLookup):
    """The recipe engine's load, validate, resolve and estimate_memory."""

    def run(
        self, terms: list[str], variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[dict[str, t.Any]]:
        self.set_templated_options(variables, kwargs)
        context = self.context()
        try:
            overrides = parse_overrides(self.plain("overrides"))
            return [_described(term, context, overrides) for term in terms]
        except RecipeError as exc:
            # Imported late: most runs do without.
            from ansible_collections.dgxspark.suite.plugins.plugin_utils.next_step import of_recipe

            raise AnsibleError(of_recipe(exc, str((terms or ["all"])[0]), True)) from None


def _described(term: str, context: Context, overrides: dict[str, t.Any]) -> dict[str, t.Any]:
    shown = details(load(term, context.search_paths), context, overrides)
    return {
        **shown,
        "lines": details_lines(shown),
        "memory_lines": memory_lines(shown["memory"]),
    }
