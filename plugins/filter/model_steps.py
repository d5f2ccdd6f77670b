# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/recipe/launch/model_copies.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: model_steps
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: Determine how all nodes of a plan get its models
description:
  - Compares what M(dgxspark.suite.workload_info) found of the models of a launch plan on the nodes.
  - The source of a model is the first node of the plan with a complete copy, or else any other node
    that was asked. The nodes of the plan that lack it copy it from there.
  - Where nodes of the plan have different complete copies, nothing is copied; the refusal names the
    command with which the user chooses one.
  - This filter is private to the collection and may change without notice.
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
- name: Show which nodes lack a model
  ansible.builtin.debug:
    msg: "{{ (launch_plan | dgxspark.suite.model_steps({'spark1': seen})).copies }}"
"""

RETURN = r"""
_value:
  description: The steps.
  type: dict
  contains:
    copies:
      description:
        - Each with C(name), C(quant), C(revision), C(source), the node that has it, and C(receive),
          the nodes that copy it from there. Empty where there are refusals.
      type: list
      elements: dict
    refusals:
      description:
        - Why a model cannot be copied to all nodes, each with C(why) and C(next), the name of the
          playbook that leads on and its arguments.
      type: list
      elements: dict
    ready:
      description: Whether there is nothing to do.
      type: bool
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.model_copies import (
    model_steps,
)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"model_steps": model_steps}
