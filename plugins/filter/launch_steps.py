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
short_description: Tell the steps from what runs on the nodes to what a plan wants
description:
  - Compares a launch plan with what M(dgxspark.suite.workload_info) saw on the nodes, and returns
    what has to be removed and started, or why nothing may be done.
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
      description: Why nothing may be done. Empty when all is well.
      type: list
      elements: str
    running:
      description: Whether everything runs as planned already.
      type: bool
    serves:
      description:
        - Whether it runs as planned and has answered a completion, and nothing is left to be done.
          V(false) where M(dgxspark.suite.workload_info) was not told to ask.
      type: bool
    previous:
      description:
        - The workload that a failure brings back, empty for none. Its RV(_value.previous.url) and
          RV(_value.previous.served_model_name) are empty where its containers do not tell.
      type: dict
      contains:
        recipe:
          description: What it was launched from.
          type: str
        plan_hash:
          description: The hash of its plan.
          type: str
        served_model_name:
          description: What clients ask it for.
          type: str
        url:
          description: Where it answers.
          type: str
        head:
          description: The node of its first rank.
          type: str
        containers:
          description: Its containers, each with C(node), C(name) and C(id).
          type: list
          elements: dict
    retain:
      description: For each node, the names of its containers that are to be set aside.
      type: dict
    remove:
      description: For each node, the names of our other containers, which have to go.
      type: dict
    drop:
      description: For each node, the names of the containers that go once the model has answered.
      type: dict
    supervise:
      description: For each node, its containers that lack their unit, with what that has to be.
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
