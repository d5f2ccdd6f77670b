#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: services
short_description: Compare the services that are declared with those that run
version_added: 0.2.0
description:
  - Plans each service that the inventory declares, and compares its plan with what
    M(dgxspark.suite.workload_info) returned about the nodes. No node is contacted.
  - It never fails because of a finding. A declaration that cannot be understood is an error.
  - This module is private to the collection and may change without notice.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure.exemptions
options:
  services:
    description:
      - The services that should run, each with C(name) and one of C(recipe), with C(overrides) and
        C(nodes), C(url) of a server that is only watched, or C(port) of one of somebody else.
    type: raw
    default: []
  observed:
    description: For each node by name, what M(dgxspark.suite.workload_info) returned there.
    type: dict
    required: true
  overlays:
    description: For each node by name, what M(dgxspark.suite.overlay_info) returned there.
    type: dict
    default: {}
    version_added: 0.3.0
  launched:
    description: Services that were launched since, with the error of the launch, empty for none.
    type: dict
    default: {}
  again:
    description:
      - Return in RV(pending) what is launched again, in place of what has to be launched.
      - V(restart) and V(update) are the plan that runs; they fail if the recipe gives another plan
        now. V(reapply) is what is declared, or else what runs, by its recipe as it is now.
    type: str
    choices: ["", restart, update, reapply]
    default: ""
  only:
    description: The service that O(again) is for. Empty for the only one.
    type: str
    default: ""
  confirm:
    description: Where there are several services and O(only) is empty, V(all) for all of them.
    type: str
    default: ""
  plan_only:
    description: Return RV(pending) and RV(undeclared) alone.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Compare what runs with what is declared
  dgxspark.suite.services:
    services:
      - {name: chat, recipe: qwen3-14b-fp8, nodes: [spark1]}
      - {name: embeddings, recipe: qwen3-embedding-8b, nodes: [spark2], overrides: {port: 8001}}
    observed: "{{ {'spark1': seen, 'spark2': other} }}"
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: unless O(plan_only=true)
  type: str
  sample: services
findings:
  description: One finding for each service whose first node this is, and two more for each of them
    that runs with an overlay or whose recipe forbids distributions.
  returned: unless O(plan_only=true)
  type: list
  elements: dict
  sample:
    - check: service_embeddings
      status: drift
      severity: critical
      expected: qwen3-embedding-8b answers as service embeddings
      actual: nothing
      fix: launch qwen3-embedding-8b as service embeddings
      hint: ""
pending:
  description: What has to be launched, the largest claim of memory first.
  returned: always
  type: list
  elements: dict
  sample: [{name: embeddings, recipe: qwen3-embedding-8b, overrides: {port: 8001}, nodes: [spark2]}]
undeclared:
  description: The services that run and are not declared, with their nodes.
  returned: always
  type: dict
  sample: {main: [spark1]}
"""
