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
short_description: Compute the steps from what runs on the nodes to a launch plan
description:
  - This filter is private to the collection and may change without notice.
  - Compares a launch plan with what M(dgxspark.suite.workload_info) reported about the nodes, and
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
  recreate:
    description: Start the plan anew where it runs.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Compute the steps
  ansible.builtin.set_fact:
    launch_steps: "{{ launch_plan | dgxspark.suite.launch_steps({'spark1': seen}) }}"
"""

RETURN = r"""
_value:
  description: The steps.
  type: dict
  contains:
    refusals:
      description: Why nothing may be done. Empty if the launch may start.
      type: list
      elements: str
    notes:
      description: Links of the nodes that are mounted by their targets, in words.
      type: list
      elements: str
    running:
      description: Whether every rank runs as planned.
      type: bool
    serves:
      description:
        - Whether it runs as planned and has answered the request of its kind, and no step is left.
          V(false) if M(dgxspark.suite.workload_info) did not ask.
      type: bool
    previous:
      description:
        - The workload that a rollback restores, empty for none. Its RV(_value.previous.url) and
          RV(_value.previous.served_model_name) are empty without labels.
      type: dict
      contains:
        recipe:
          description: The recipe that it was launched from.
          type: str
        plan_hash:
          description: The hash of its plan.
          type: str
        served_model_name:
          description: The model name that clients use.
          type: str
        url:
          description: Its URL.
          type: str
        endpoint:
          description: What clients are configured with.
          type: str
        kind:
          description: What it serves, as its recipe says; empty where the server is asked.
          type: list
          elements: str
        probe:
          description: What its recipe says of its probes, for M(dgxspark.suite.wait_serving).
          type: dict
        head:
          description: The node of its first rank.
          type: str
        containers:
          description: Its containers, each with C(node), C(name) and C(id).
          type: list
          elements: dict
    remove:
      description: For each node, names of other containers of the service, to be removed.
      type: dict
    drop:
      description: For each node, names of retained containers to remove, where the plan runs.
      type: dict
    supervise:
      description: For each node, the containers that need a unit, with what the unit needs.
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
