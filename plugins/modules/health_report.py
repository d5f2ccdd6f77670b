#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: health_report
short_description: Report what answers on all nodes, and record outages
version_added: 0.3.0
description:
  - Puts together what M(dgxspark.suite.health) returned on the nodes of the play, and adds the
    services that the inventory declares and no node has. No node is contacted.
  - It never fails because something is down.
  - This module is private to the collection and may change without notice.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
attributes:
  check_mode:
    support: full
    details: The log of outages is read, and not written.
  diff_mode:
    support: N/A
    details: The log of outages is not a configuration.
  idempotent:
    support: N/A
    details: Each run adds what has changed to the log of outages.
options:
  services:
    description: The services that should run, as in C(dgxspark_services).
    type: raw
    default: []
  observed:
    description: For each node by name, what M(dgxspark.suite.health) returned there, or the result
      of a node that could not be reached.
    type: dict
    required: true
  deep:
    description: Whether the servers were sent the request of their kind.
    type: bool
    default: false
  outages:
    description: The file on the controller with the log of outages. Empty for none.
    type: path
    default: ""
"""

EXAMPLES = r"""
- name: Put together what answers
  dgxspark.suite.health_report:
    observed: "{{ {'spark1': seen, 'spark2': other} }}"
    outages: outages.jsonl
"""

RETURN = r"""
report:
  description: The nodes and services, the containers by node, and the outages by subject.
  returned: success
  type: dict
  sample:
    at: 1800000000
    deep: false
    subjects:
      - subject: node/spark1
        what: node
        name: spark1
        state: up
        detail: ""
        node: spark1
        url: ""
        model: ""
        kind: []
        phase: ""
        seconds:
        deep: false
        watched: false
    containers:
      spark1:
        - {name: dgxspark-main-0, service: main, rank: "0", status: running, health: ""}
    outages: {node/spark1: {count: 1, seconds: 120, state: up}}
table:
  description: The same in lines.
  returned: success
  type: list
  elements: str
  sample: [node  spark1  up]
failing:
  description: What is down, and the nodes that could not be inspected.
  returned: success
  type: list
  elements: str
  sample: [service/main]
next:
  description: The command to type next.
  returned: success
  type: str
  sample: ansible-playbook dgxspark.suite.status
"""
