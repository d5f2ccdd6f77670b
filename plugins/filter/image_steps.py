# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/recipe/launch/image_copies.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: image_steps
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: Compute how all nodes of a plan get its image
description:
  - This filter is private to the collection and may change without notice.
  - Compares what M(dgxspark.suite.workload_info) reported about the image on the nodes of a plan.
  - The first node of the plan that has the image is the source; the others take it from there. An
    image that is named by its digest is pulled by each node instead, since a copy would not be
    known by that name.
options:
  _input:
    description: The plan, from P(dgxspark.suite.launch_plan#lookup).
    type: dict
    required: true
  observed:
    description: For each node by name, what M(dgxspark.suite.workload_info) returned there.
    type: dict
    required: true
  ask:
    description:
      - Whether the facts of the image matter. Those about its Ray always do where that is to ask
        for a token.
    type: bool
    default: true
  renew:
    description: Whether the source pulls the image again if it has it. Not for a digest.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show which nodes lack the image
  ansible.builtin.debug:
    msg: "{{ (launch_plan | dgxspark.suite.image_steps({'spark1': seen})).receive }}"
"""

RETURN = r"""
_value:
  description: The steps.
  type: dict
  contains:
    pull:
      description: Nodes that pull it from its registry.
      type: list
      elements: str
    source:
      description: The node that the others copy it from, empty if none does.
      type: str
    receive:
      description: Nodes that copy it from there.
      type: list
      elements: str
    ask:
      description: Nodes on which M(dgxspark.suite.image_preflight) has to run.
      type: list
      elements: str
    ready:
      description: Whether there is nothing to do.
      type: bool
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.image_copies import (
    image_steps,
)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"image_steps": image_steps}
