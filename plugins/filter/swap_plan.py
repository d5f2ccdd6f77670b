# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter swap_plan."""

from __future__ import annotations

DOCUMENTATION = r"""
name: swap_plan
author: dgxspark.suite contributors (@dgxspark)
version_added: 0.3.0
short_description: Compute the swap that a launch hands to the nodes
description:
  - This filter is private to the collection and may change without notice.
  - Takes the plan of a launch and its steps, and returns what M(dgxspark.suite.swap) needs on each
    node.
options:
  _input:
    description: The plan, from P(dgxspark.suite.launch_plan#lookup) with its C(addresses).
    type: dict
    required: true
  steps:
    description: From P(dgxspark.suite.launch_steps#filter).
    type: dict
    required: true
  observed:
    description: For each node by name, what M(dgxspark.suite.workload_info) returned there.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Plan the swap
  ansible.builtin.set_fact:
    launch_swap: "{{ launch_plan | dgxspark.suite.swap_plan(launch_steps, {'spark1': seen}) }}"
"""

RETURN = r"""
_value:
  description: The swap.
  type: dict
  contains:
    order:
      description: The nodes that take part, the decider last.
      type: list
      elements: str
    decider:
      description: The node of rank 0 of the plan.
      type: str
    shared:
      description: What all nodes know of the swap.
      type: dict
    remove:
      description: For each node, names of containers and units that serve nothing.
      type: dict
    unit:
      description: For each node, what the unit of its new rank needs, empty for none.
      type: dict
    probe:
      description: What proves the new plan.
      type: dict
    old_unit:
      description: For each node, the same of its old rank, where the units are missing.
      type: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.swap_plan import (
    swap_plan,
)


def planned(*arguments: Any) -> dict[str, Any]:
    """The swap; a node without an address is an error of the filter."""
    try:
        return swap_plan(*arguments)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"swap_plan": planned}
