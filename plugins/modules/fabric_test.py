#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the links between nodes; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fabric_test
short_description: Measure the links between nodes
version_added: 0.1.0
description:
  - Measures bandwidth and latency of each link with C(iperf3) and C(ping), and with C(ib_write_bw)
    and the NCCL tests if there are RoCE devices, and compares them with minimum values.
  - Each link is measured once, from the first of its nodes in O(members). The other nodes run
    servers, with O(state=serving), as transient systemd units that end after ten minutes.
  - This module is private to the collection and may change without notice.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
options:
  state:
    description:
      - V(serving) starts the servers of this node, V(stopped) stops them, V(measured) measures.
    type: str
    choices: [serving, measured, stopped]
    default: measured
  node:
    description: Name of this node.
    type: str
    required: true
  members:
    description: The names of all nodes, in order.
    type: list
    elements: str
    required: true
  links:
    description: The links of this node, as RV(dgxspark.suite.ensure_fabric#module:links).
    type: list
    elements: dict
    required: true
  seconds:
    description: How long each bandwidth is measured.
    type: int
    default: 3
  streams:
    description: How many TCP streams C(iperf3) uses at once.
    type: int
    default: 4
  port:
    description: TCP port of C(iperf3).
    type: int
    default: 5301
  rdma_port:
    description: First of the TCP ports of C(ib_write_bw), one for each link.
    type: int
    default: 12000
  min_gbits:
    description:
      - Required TCP bandwidth, in Gbit/s.
      - The default is that of the management port of a Spark. Of an interface with a RoCE device, 8
        to 25 Gbit/s are never enough.
    type: float
    default: 10
  max_ms:
    description: Highest allowed mean round trip time, in milliseconds.
    type: float
    default: 1
  min_rdma_gbits:
    description:
      - Required bandwidth of an interface by C(ib_write_bw), in Gbit/s; half of it where the slot
        has only two PCIe lanes.
    type: float
    default: 80
  nccl_command:
    description:
      - A command, as a list of words, that runs C(all_gather_perf) of the NCCL tests over all
        nodes; the first word is an absolute path. It has the requirements of MPI, such as SSH
        between nodes.
    type: list
    elements: str
    default: []
  min_nccl_gbytes:
    description:
      - Required average bus bandwidth of O(nccl_command), in GB/s. The default is NVIDIA's
        threshold for two Sparks; use 10 for a ring.
    type: float
    default: 21.875
"""

EXAMPLES = r"""
---
- name: Start the servers
  dgxspark.suite.fabric_test:
    state: serving
    node: "{{ inventory_hostname }}"
    members: "{{ ansible_play_hosts }}"
    links: "{{ fabric.links }}"
  become: true

- name: Measure one node after another
  dgxspark.suite.fabric_test:
    node: "{{ inventory_hostname }}"
    members: "{{ ansible_play_hosts }}"
    links: "{{ fabric.links }}"
  become: true
  throttle: 1
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: when O(state=measured)
  type: str
  sample: fabric_test
findings:
  description: The measured values; see RV(dgxspark.suite.ensure_ptxas#module:findings).
  returned: when O(state=measured)
  type: list
  elements: dict
  sample:
    - check: fabric_test_bandwidth
      status: ok
      severity: info
      expected: at least 10 Gbit/s by TCP with 4 streams
      actual: "enp1s0f0np0 to spark2: 24.8 Gbit/s"
      fix: ""
      hint: ""
paths:
  description: Always empty, since this module writes no paths.
  returned: when O(state=measured)
  type: dict
  sample: {}
parity:
  description: What must be the same on all nodes, by name; always empty.
  returned: when O(state=measured)
  type: dict
  sample: {}
seconds:
  description: Duration of costly checks in seconds, by check id; always empty.
  returned: when O(state=measured)
  type: dict
  sample: {}
diff:
  description: Always empty; nothing is changed.
  returned: when O(state=measured)
  type: dict
  sample:
    before: ""
    after: ""
    before_header: ""
    after_header: ""
figures:
  description: The measured values.
  returned: when O(state=measured)
  type: list
  elements: dict
  sample:
    - {check: bandwidth, way: enp1s0f0np0 to spark2, value: 24.8, unit: Gbit/s}
"""

from functools import partial

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import fabric_test
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import (
    ARGUMENTS,
    ensure,
    exemptions,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked, explained


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "default": "measured",
                "choices": ["serving", "measured", "stopped"],
            },
            "node": {"type": "str", "required": True},
            "members": {"type": "list", "elements": "str", "required": True},
            "links": {"type": "list", "elements": "dict", "required": True},
            "seconds": {"type": "int", "default": 3},
            "streams": {"type": "int", "default": 4},
            "port": {"type": "int", "default": 5301},
            "rdma_port": {"type": "int", "default": 12000},
            "min_gbits": {"type": "float", "default": 10},
            "max_ms": {"type": "float", "default": 1},
            "min_rdma_gbits": {"type": "float", "default": 80},
            "nccl_command": {"type": "list", "elements": "str", "default": []},
            "min_nccl_gbytes": {"type": "float", "default": 21.875},
            **ARGUMENTS,
        },
        supports_check_mode=True,
    )
    parameters = {name: value for name, value in module.params.items() if name not in ARGUMENTS}
    state = parameters.pop("state")
    wanted = fabric_test.Wanted(**parameters)
    act = not module.check_mode
    if state == "measured":
        exempt = exemptions(module)
        observed = fabric_test.observe(wanted, act)
        plan = partial(fabric_test.plan, wanted=wanted)
        ensure(module, "fabric_test", lambda: observed, plan, exempt)
    if act:
        try:
            (fabric_test.serve if state == "serving" else fabric_test.stop)(wanted)
        except Blocked as blocked:
            module.fail_json(msg=explained(blocked))
    # The servers of a test are not a lasting change.
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
