# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/recipe/launch/slots.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: service_slot
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.2.0
short_description: The number that chooses the ports of a service
description:
  - This filter is private to the collection and may change without notice.
  - Returns the slot of a service, from the containers that M(dgxspark.suite.workload_info) reported
    or, for a new service, the smallest that is free on all these nodes.
options:
  _input:
    description: For each node by name, what M(dgxspark.suite.workload_info) returned there.
    type: dict
    required: true
  service:
    description: The name of the service.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the slot
  ansible.builtin.debug:
    msg: "{{ {'spark1': seen} | dgxspark.suite.service_slot('embeddings') }}"
"""

RETURN = r"""
_value:
  description: The slot, V(0) for the service V(main).
  type: int
  sample: 1
"""

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.slots import slot_for


def service_slot(observed: dict[str, Any], service: str) -> int:
    """The slot of a service; what is wrong with its name is an error of the filter."""
    try:
        return slot_for(observed, service)
    except RecipeError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"service_slot": service_slot}
