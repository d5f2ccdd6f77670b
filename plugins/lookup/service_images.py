# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: service_images
version_added: 0.2.0
author:
  - dgxspark.suite contributors (@dgxspark)
short_description: The images of the recipes that are declared for a node
description:
  - Returns the container images from which the services of the inventory are served on a node, as
    further targets of M(dgxspark.suite.ensure_ptxas) and M(dgxspark.suite.ensure_vllm_runtime).
  - A recipe that cannot be read is left out; the playbook C(dgxspark.suite.services) reports it.
  - This plugin is private to the collection.
options:
  _terms:
    description: The node, as the inventory names it.
    type: list
    elements: str
    required: true
  services:
    description: The services, as of P(dgxspark.suite.recipes#lookup).
    type: raw
    default: []
    vars:
      - name: dgxspark_services
  serve_from:
    description: From what models are served. With V(venv) there are no images.
    type: str
    choices: [containers, venv, both]
    default: containers
    vars:
      - name: dgxspark_serve_from
extends_documentation_fragment:
  - dgxspark.suite.recipes
requirements:
  - PyYAML on the controller
"""

EXAMPLES = r"""
- name: Show which images this node serves from
  ansible.builtin.debug:
    msg: "{{ query('dgxspark.suite.service_images', inventory_hostname) }}"
"""

RETURN = r"""
_raw:
  description: One map for each image, in the order of the services.
  type: list
  elements: dict
  sample: [{image: vllm/vllm-openai:v0.20.0, optional: true}]
"""

import typing as t

from ansible.errors import AnsibleError

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import check
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    parse_overrides,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.lookup import RecipeLookup


class LookupModule(RecipeLookup):
    """The images of the recipes in dgxspark_services."""

    def run(
        self, terms: list[str], variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[dict[str, t.Any]]:
        if not (variables or {}).get("dgxspark_services"):
            return []
        self.set_templated_options(variables, kwargs)
        services = self.plain("services")
        if self.get_option("serve_from") == "venv" or not isinstance(services, list):
            return []
        images: dict[str, None] = {}
        for service in services:
            for term in terms if isinstance(service, dict) else ():
                if _is_on(service, str(term)):
                    images.update(dict.fromkeys(self._image(service)))
        return [{"image": image, "optional": True} for image in images]

    def _image(self, service: dict[str, t.Any]) -> list[str]:
        """The image of a service's recipe; none where it cannot be read or names none."""
        try:
            recipe = load(str(service["recipe"]), self.search_paths())
            overrides = parse_overrides(service.get("overrides"))
            image = check(recipe, overrides, {}, (), None).given.image(recipe)
        except (RecipeError, AnsibleError):
            return []
        return [image] if image else []


def _is_on(service: dict[str, t.Any], node: str) -> bool:
    """Whether a service has a recipe and may have a rank on the node."""
    nodes = service.get("nodes") or [node]
    named = nodes.split(",") if isinstance(nodes, str) else nodes
    return bool(service.get("recipe")) and node in map(str, named)
