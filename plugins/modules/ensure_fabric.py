#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the links between nodes; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_fabric
short_description: Configure the links between nodes, each interface in its own subnet
version_added: 0.1.0
description:
  - Finds the ConnectX-7 ports of a node and reports cages, interfaces, cables, RoCE devices and
    GIDs. Without O(links) nothing is changed.
  - With O(links) it writes a netplan file and applies it to these links only. Other netplan files
    are never written; if they conflict with the plan, the file is named and nothing is done.
  - It refuses to change an interface that carries the SSH session or the default route.
  - A systemd timer on the node undoes a change unless M(dgxspark.suite.fabric_confirm) confirms it
    in time. Call that module next. In check mode there is nothing to confirm, and this module asks
    the peers itself.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
options:
  topology:
    description:
      - The topology of O(links), for launches. In a V(ring) no address of a node is in the subnet
        of all other nodes, so that launches use the management addresses for coordination.
    type: str
    choices: ["", pair, ring, switch]
    default: ""
  links:
    description:
      - The links of this node, from P(dgxspark.suite.fabric_plan#filter). Each needs its own
        subnet.
    type: list
    elements: dict
    default: []
    suboptions:
      cage:
        description: Number of the cage. By default O(cage), else the one with a cable.
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
        description: The nodes that the link reaches, each with C(name) and C(address).
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
      - Interfaces of each cage, in order, if they cannot be found by vendor and sysfs.
      - A missing interface counts as a port without a cable.
    type: list
    elements: list
    default: []
  cage:
    description:
      - The cage of links without one, needed if both have a cable or none has a visible one.
    type: int
  mtu:
    description: The MTU of all links.
    type: int
    default: 9000
  renderer:
    description: The renderer of netplan. Empty for that of the node's other files.
    type: str
    choices: ["", networkd, NetworkManager]
    default: ""
  netplan_file:
    description: The netplan file, mode 0600.
    type: path
    default: /etc/netplan/60-dgxspark-fabric.yaml
  facts_file:
    description: The local facts of Ansible with the links, for launches.
    type: path
    default: /etc/ansible/facts.d/dgxspark_fabric.fact
  confirm_seconds:
    description: After how many seconds an unconfirmed change is undone.
    type: int
    default: 120
"""

EXAMPLES = r"""
---
- name: Report the ports, change nothing
  dgxspark.suite.ensure_fabric:

- name: Configure both interfaces of a cable to another Spark
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

- name: Confirm the change
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
  description: The result of each check; see RV(dgxspark.suite.ensure_ptxas#module:findings).
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
  description: Always empty, since this module writes no paths.
  returned: always
  type: dict
  sample: {}
parity:
  description: What must be the same on all nodes, by name; always empty.
  returned: always
  type: dict
  sample: {}
seconds:
  description: Duration of costly checks in seconds, by check id; always empty.
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
      are not known.
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
  description: The ConnectX-7 ports. Their C(carrier) is V(null) if the interface is down.
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
  description: The address of this node for all other nodes; empty if there is none.
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
