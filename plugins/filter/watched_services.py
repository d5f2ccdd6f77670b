# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/services."""

from __future__ import annotations

DOCUMENTATION = r"""
name: watched_services
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.3.0
short_description: The declared services that are only watched
description:
  - This filter is private to the collection and may change without notice.
options:
  _input:
    description: The services of an inventory, C(dgxspark_services).
    type: raw
    required: true
  hosts:
    description: The hosts that a service may name.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Ask what is only watched
  dgxspark.suite.health:
    watch: "{{ dgxspark_services | dgxspark.suite.watched_services(groups['all']) }}"
"""

RETURN = r"""
_value:
  description: The option O(dgxspark.suite.health#module:watch).
  type: list
  elements: dict
  sample: [{name: search, url: "http://192.0.2.20:8080", kind: []}]
"""

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import declared
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.health import watched


def watched_services(services: Any, hosts: list[str]) -> list[dict[str, Any]]:
    """What to watch; a declaration that cannot be understood is an error of the filter."""
    try:
        return watched(declared(services, hosts))
    except (RecipeError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"watched_services": watched_services}
