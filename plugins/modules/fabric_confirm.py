#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove the links between nodes, and let a change of them stay; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fabric_confirm
short_description: Test the links between nodes, and confirm or undo their change
version_added: 0.1.0
description:
  - Pings every peer on its link, with unfragmented packets of the full MTU, and distinguishes a
    peer that is down, a cable in the wrong port, an MTU that is too small on one side, and a
    duplicate address.
  - If M(dgxspark.suite.ensure_fabric) has changed the links, this module confirms the change. That
    it runs shows that the controller still reaches the node. The change is undone instead if a link
    does not have its address, or reached a peer before and reaches none now.
  - A peer that did not answer before the change is reported, but does not cause an undo.
  - This module is private to the collection and may change without notice.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
options:
  links:
    description: The links, as RV(dgxspark.suite.ensure_fabric#module:links).
    type: list
    elements: dict
    default: []
  mtu:
    description: The MTU that the links must pass.
    type: int
    default: 9000
"""

EXAMPLES = r"""
---
- name: Confirm the change if the peers answer
  dgxspark.suite.fabric_confirm:
    links: "{{ fabric.links }}"
  become: true
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports; that of M(dgxspark.suite.ensure_fabric).
  returned: always
  type: str
  sample: fabric
findings:
  description: The result of each check; see RV(dgxspark.suite.ensure_ptxas#module:findings).
  returned: always
  type: list
  elements: dict
  sample:
    - check: fabric_path_mtu
      status: blocked
      severity: critical
      expected: packets of 9000 bytes pass in one piece
      actual: they do not reach spark2 (198.51.100.12) on enp1s0f0np0, small ones do
      fix: ""
      hint: Set the MTU of the other side, and of a switch between, to the same.
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
  description: Always empty; M(dgxspark.suite.ensure_fabric) reports the change.
  returned: always
  type: dict
  sample:
    before: ""
    after: ""
    before_header: ""
    after_header: ""
reached:
  description: Interface and address of each peer that answers to packets of the full MTU.
  returned: always
  type: list
  elements: list
  sample: [[enp1s0f0np0, 198.51.100.12]]
undone:
  description: Why a change was undone; empty if none was.
  returned: always
  type: str
  sample: ""
"""

from functools import partial

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import fabric_peers
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import (
    ARGUMENTS,
    ensure,
    exemptions,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "links": {"type": "list", "elements": "dict", "default": []},
            "mtu": {"type": "int", "default": 9000},
            **ARGUMENTS,
        },
        supports_check_mode=True,
    )
    wanted = fabric_peers.Wanted(module.params["links"], module.params["mtu"])
    observed = fabric_peers.observe(wanted)
    if not module.check_mode:
        # Before everything else, as the timer runs; the loop has nothing left to do then.
        observed = fabric_peers.settle(observed, wanted)
    plan = partial(fabric_peers.plan, wanted=wanted)
    ensure(module, "fabric", lambda: observed, plan, exemptions(module))


if __name__ == "__main__":
    main()
