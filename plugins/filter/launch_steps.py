# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters over plugin_utils/recipe/launch/swap_steps.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: launch_steps
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: Steps from the running containers to a plan
description:
  - Compares a launch plan with the result of M(dgxspark.suite.workload_info) on the nodes, and
    returns what has to be removed and started, or why nothing may be done.
options:
  _input:
    description: The plan, from P(dgxspark.suite.launch_plan#lookup).
    type: dict
    required: true
  observed:
    description: For each node by name, what M(dgxspark.suite.workload_info) returned there.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Decide what has to be done
  ansible.builtin.set_fact:
    launch_steps: "{{ launch_plan | dgxspark.suite.launch_steps({'spark1': seen}) }}"
"""

RETURN = r"""
_value:
  description: The steps.
  type: dict
  contains:
    refusals:
      description: Why nothing may be done. Empty if the launch may go on.
      type: list
      elements: str
    running:
      description: Whether everything runs as planned already.
      type: bool
    serves:
      description:
        - Whether it runs as planned and has answered a completion, and nothing is left to be done.
          V(false) if M(dgxspark.suite.workload_info) was called without asking for it.
      type: bool
    previous:
      description:
        - The workload that a failure brings back, empty for none. Its RV(_value.previous.url) and
          RV(_value.previous.served_model_name) are empty if its containers do not have them.
      type: dict
      contains:
        recipe:
          description: Its recipe.
          type: str
        plan_hash:
          description: The hash of its plan.
          type: str
        served_model_name:
          description: The served model name.
          type: str
        url:
          description: Its URL.
          type: str
        head:
          description: The node of its first rank.
          type: str
        containers:
          description: Its containers, each with C(node), C(name) and C(id).
          type: list
          elements: dict
    park:
      description: For each node, the names of its containers to stop and retain for rollback.
      type: dict
    remove:
      description: For each node, the names of this collection's other containers, to remove.
      type: dict
    drop:
      description: For each node, the names of containers to remove after the model answers.
      type: dict
    keep:
      description: For each node, its containers without a unit, with the unit that they need.
      type: dict
    start:
      description: For each node that has to start one, its rank of the plan.
      type: dict
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.swap_steps import (
    launch_steps,
)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"launch_steps": launch_steps}
