# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/recipe/launch/swap_steps.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: launch_undo
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: Compute the rollback of a failed launch
description:
  - This filter is private to the collection and may change without notice.
  - Compares what was served before with what M(dgxspark.suite.workload_info) reports now, and
    returns what M(dgxspark.suite.workload) has to do.
options:
  _input:
    description: What P(dgxspark.suite.launch_steps#filter) returned as C(previous).
    type: dict
    required: true
  observed:
    description: For each node by name, what M(dgxspark.suite.workload_info) returned there.
    type: dict
    required: true
  service:
    description: The service of the launch. Containers of others are left as they are.
    type: str
    default: main
    version_added: 0.2.0
"""

EXAMPLES = r"""
- name: Plan the rollback
  ansible.builtin.set_fact:
    undo: "{{ launch_steps.previous | dgxspark.suite.launch_undo({'spark1': seen}) }}"
"""

RETURN = r"""
_value:
  description: The steps.
  type: dict
  contains:
    remove:
      description: For each node, the names of all other containers of the service.
      type: dict
    restore:
      description: For each node, names of the containers to restart. None if all of them still
        run.
      type: dict
    supervise:
      description: For each node, the containers that get a unit once they answer. None if all
        have theirs.
      type: dict
    lost:
      description: What cannot be restored, and why.
      type: list
      elements: str
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.swap_steps import (
    undo_steps,
)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"launch_undo": undo_steps}
