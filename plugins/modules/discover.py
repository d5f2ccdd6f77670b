#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: discover
short_description: Find Sparks and propose an inventory
version_added: 0.2.0
description:
  - With O(state=found) returns the nodes to inspect, those of O(nodes), of the inventory, or those
    that announce SSH by mDNS under the name of a new Spark.
  - With O(state=proposed) shows an inventory with a fabric for them, and writes it to O(write).
    It reads the variable C(discover_info), the registered result of M(dgxspark.suite.spark_info)
    on every node.
  - An existing file is never overwritten. If it has another text, the task shows the difference
    and fails.
  - Runs on the controller. mDNS needs C(avahi-browse) there.
  - This module is private to the collection and may change without notice.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  state:
    description: What to do.
    type: str
    choices: [found, proposed]
    required: true
  nodes:
    description: Names or addresses of nodes. With O(state=proposed) their names in Ansible.
    type: list
    elements: str
    default: []
  members:
    description: The nodes of the inventory. They are used without O(nodes), and keep their names.
    type: list
    elements: str
    default: []
  write:
    description: The directory for the inventory; without it the proposal is only shown.
    type: path
    default: ""
  any_machine:
    description: Whether a machine that is no DGX Spark is taken as well.
    type: bool
    default: false
  cages:
    description: The value of C(dgxspark_fabric_links); it becomes part of the inventory.
    type: list
    elements: list
    default: []
"""

EXAMPLES = r"""
- name: Propose an inventory
  dgxspark.suite.discover:
    state: proposed
    nodes: [192.0.2.11, 192.0.2.12]
    write: inventories/mine
  run_once: true
"""

RETURN = r"""
nodes:
  description: Names or addresses of the nodes to inspect.
  returned: with O(state=found)
  type: list
  elements: str
  sample: [192.0.2.11]
path:
  description: The file; empty without O(write).
  returned: success, with O(state=proposed)
  type: str
  sample: /home/alice/inventories/mine/hosts.yml
text:
  description: The proposed inventory.
  returned: success, with O(state=proposed)
  type: str
  sample: "all: …"
left_out:
  description: The nodes that are not part of it, each with the reason.
  returned: success, with O(state=proposed)
  type: dict
  sample: {}
"""
