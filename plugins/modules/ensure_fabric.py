#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the links between nodes; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_fabric
short_description: Have the links between nodes, each twin in a subnet of its own
version_added: 0.1.0
description:
  - Finds the ConnectX-7 ports of a node, tells cages and twins, what has a cable, RoCE devices and
    GIDs. Without O(links) that is all, and nothing is changed.
  - With O(links) it writes one netplan file and applies it to those links alone. Other people's
    netplan files are never written; where netplan makes anything else than what is wanted of theirs
    and ours together, the file is named and nothing is done.
  - It refuses to touch an interface that carries the SSH session or the default route.
  - A change undoes itself by a timer of systemd on the node, unless
    M(dgxspark.suite.fabric_confirm) confirms it in time. Call that next. In check mode there is
    nothing to confirm, and what that would ask the peers is asked here.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
options:
  topology:
    description:
      - What O(links) are, for those who launch. In a V(ring) no address of a node is on a subnet of
        all others, so that launches use the management addresses to meet.
    type: str
    choices: ["", pair, ring, switch]
    default: ""
  links:
    description:
      - The links of this node, from P(dgxspark.suite.fabric_plan#filter). Each needs a subnet of
        its own.
    type: list
    elements: dict
    default: []
    suboptions:
      cage:
        description: Number of the cage. By default O(cage), else the one that has a cable.
        type: int
      twin:
        description: Which of the cage's two interfaces, V(0) or V(1).
        type: int
        required: true
      address:
        description: IPv4 address of this node on the link.
        type: str
        required: true
      prefix:
        description: Length of its prefix.
        type: int
        default: 24
      peers:
        description: Whom the link reaches, each a C(name) and an C(address).
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the node.
            type: str
            required: true
          address:
            description: Its address on the link.
            type: str
            required: true
  cages:
    description:
      - Interfaces of each cage, twins in order, where they are not to be found by vendor and sysfs.
      - One that is not there counts as a port without a cable.
    type: list
    elements: list
    default: []
  cage:
    description: The cage of links that name none, where both have a cable or neither is seen to.
    type: int
  mtu:
    description: The MTU of all links.
    type: int
    default: 9000
  renderer:
    description: Who carries out what netplan says. Empty for whom the node's other files name.
    type: str
    choices: ["", networkd, NetworkManager]
    default: ""
  netplan_file:
    description: The file that is written, mode 0600.
    type: path
    default: /etc/netplan/60-dgxspark-fabric.yaml
  facts_file:
    description: Where launches learn of the links, as local facts of Ansible.
    type: path
    default: /etc/ansible/facts.d/dgxspark_fabric.fact
  confirm_seconds:
    description: After how long a change that nobody has confirmed is undone.
    type: int
    default: 120
"""

EXAMPLES = r"""
---
- name: Only look
  dgxspark.suite.ensure_fabric:

- name: Two twins to another Spark
  dgxspark.suite.ensure_fabric:
    topology: pair
    links:
      - twin: 0
        address: 198.51.100.11
        prefix: 25
        peers: [{name: spark2, address: 198.51.100.12}]
      - twin: 1
        address: 198.51.100.139
        prefix: 25
        peers: [{name: spark2, address: 198.51.100.140}]
  become: true
  register: fabric

- name: Let it stay
  dgxspark.suite.fabric_confirm:
    links: "{{ fabric.links }}"
  become: true
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: always
  type: str
  sample: fabric
findings:
  description: What each check saw; see RV(dgxspark.suite.ensure_ptxas#module:findings).
  returned: always
  type: list
  elements: dict
  sample:
    - check: fabric_mtu
      status: drift
      severity: critical
      expected: enp1s0f0np0 has 9000
      actual: enp1s0f0np0 has 1500
      fix: apply /etc/netplan/60-dgxspark-fabric.yaml to its links
      hint: ""
paths:
  description: Always empty, this module names no binaries.
  returned: always
  type: dict
  sample: {}
parity:
  description: What should be the same on every node, by name; nothing is.
  returned: always
  type: dict
  sample: {}
seconds:
  description: What a costly check took, in seconds, by check id; none is.
  returned: always
  type: dict
  sample: {}
diff:
  description: What is changed, before and after.
  returned: always
  type: dict
  sample:
    before: ""
    after: ""
    before_header: ""
    after_header: ""
links:
  description:
    - The wanted links on their interfaces, for M(dgxspark.suite.fabric_confirm). Empty where they
      could not be told.
  returned: always
  type: list
  elements: dict
  sample:
    - interface: enp1s0f0np0
      cage: 0
      twin: 0
      address: 198.51.100.11
      prefix: 25
      mtu: 9000
      hca: rocep1s0f0
      gid: 0000:0000:0000:0000:0000:ffff:c633:640b
      gid_index: 3
      peers: [{name: spark2, address: 198.51.100.12}]
      others: [enp1s0f1np1, enP2p1s0f1np1]
ports:
  description: The ConnectX-7 ports. Their C(carrier) is V(null) where the interface is down.
  returned: always
  type: list
  elements: dict
  sample:
    - interface: enp1s0f0np0
      pci: "0000:01:00.0"
      cage: 0
      carrier: true
      hca: rocep1s0f0
management_interface:
  description: The interface of the default route.
  returned: always
  type: str
  sample: enP7s7
address:
  description: The address by which all other nodes reach this one; empty where there is none.
  returned: always
  type: str
  sample: 198.51.100.11
"""

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import run
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.fabric import SPEC


def main() -> None:
    run(SPEC)


if __name__ == "__main__":
    main()
