# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/recipe/launch/workloads.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: workloads
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: List the workloads on the nodes
description:
  - Groups the containers that M(dgxspark.suite.workload_info) reported for several nodes by
    workload.
options:
  _input:
    description: For each node by name, what M(dgxspark.suite.workload_info) returned there.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what runs
  ansible.builtin.debug:
    msg: "{{ {'spark1': seen} | dgxspark.suite.workloads }}"
"""

RETURN = r"""
_value:
  description: The workloads; those that are retained for a rollback come last.
  type: list
  elements: dict
  sample:
    - service: main
      slot: 0
      recipe: lab-tiny-solo
      recipe_path: /etc/recipes/lab-tiny-solo.yaml
      overrides: {}
      plan_hash: 7d3d
      served_model_name: lab-tiny-solo
      url: http://192.0.2.11:8000
      head: spark1
      container: dgxspark-main-0
      kind: []
      probe: {}
      endpoint: http://192.0.2.1:8000/v1
      nodes: [spark1]
      image_facts: {spark1: {}}
      source: containers
      state: running
      ranks:
        - rank: 0
          node: spark1
          container: dgxspark-main-0
          status: running
          started: '2026-11-22T03:18:32.7Z'
          unit: {state: active, enabled: true, restarts: 0,
            status_text: 'runs, with 1 ranks in all', down: null}
      ray: []
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.workloads import (
    workloads,
)


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"workloads": workloads}
