# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/services/endpoints.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gateway_addresses
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.3.0
short_description: The addresses to which the gateway may connect
description:
  - This filter is private to the collection and may change without notice.
options:
  _input:
    description: The variables of the hosts of an inventory.
    type: list
    elements: dict
    required: true
  services:
    description: The services of the inventory, C(dgxspark_services).
    type: raw
    required: true
  hosts:
    description: The hosts that a service may name.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show the addresses of the inventory
  ansible.builtin.debug:
    msg: >-
      {{ hostvars.values() | dgxspark.suite.gateway_addresses(dgxspark_services, groups['all']) }}
"""

RETURN = r"""
_value:
  description: IP addresses.
  type: list
  elements: str
  sample: [192.0.2.11, 192.0.2.20]
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services import endpoints
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import declared


def gateway_addresses(
    variables: Iterable[Mapping[str, Any]], services: Any, hosts: Sequence[str]
) -> list[str]:
    """See DOCUMENTATION."""
    try:
        return endpoints.addresses(variables, declared(services, hosts))
    except (RecipeError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"gateway_addresses": gateway_addresses}
