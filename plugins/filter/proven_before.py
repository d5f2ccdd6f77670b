# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/services/history.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: proven_before
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.3.0
short_description: Find what a service served before the present workload
description:
  - This filter is private to the collection and may change without notice.
options:
  _input:
    description: The history, from M(dgxspark.suite.service_history).
    type: dict
    required: true
  observed:
    description: For each node by name, what M(dgxspark.suite.workload_info) returned there.
    type: dict
    required: true
  service:
    description: The service.
    type: str
    required: true
  hosts:
    description: Nodes that a launch can use.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show what was served before
  ansible.builtin.debug:
    msg: "{{ past.history | dgxspark.suite.proven_before({'spark1': seen}, 'main', ['spark1']) }}"
"""

RETURN = r"""
_value:
  description: What can be served again.
  type: dict
  contains:
    problem:
      description: Why nothing can be served again; empty if something can.
      type: str
    recipe_path:
      description: The recipe on the controller.
      type: str
    overrides:
      description: The overrides of that launch.
      type: dict
    nodes:
      description: Its nodes, in the order of its ranks.
      type: list
      elements: str
    plan_hash:
      description: The hash of its plan.
      type: str
    what:
      description: All of it in words.
      type: str
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.history import (
    proven_before,
)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"proven_before": proven_before}
