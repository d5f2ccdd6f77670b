#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: parity
short_description: Report nodes that deviate from the others
version_added: 0.1.0
description:
  - Compares values that must be the same on all nodes of a play, such as the driver, the CUDA
    version or the fingerprint of a virtual environment, as the ensure modules returned them.
  - It reads the variables C(dgxspark_result_*) that the roles of this collection register. No node
    is contacted.
  - The value of most nodes is expected; of equally frequent values, that of the first node. Nodes
    that deviate get a finding. Of two nodes that differ, the second is reported.
  - It never fails because of a finding.
  - It gives the drift report as statistics of the run, C(dgxspark_report), as
    M(ansible.builtin.set_stats) does; in AWX these are artifacts of the job.
  - This module is private to the collection and may change without notice.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure.exemptions
"""

EXAMPLES = r"""
---
- name: Compare the nodes
  dgxspark.suite.parity:

- name: Compare the nodes, except for their kernels
  dgxspark.suite.parity:
    skip:
      same_kernel: spark2 tests the next kernel
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: always
  type: str
  sample: parity
findings:
  description: One finding for each compared value; V(blocked) if this node deviates.
  returned: always
  type: list
  elements: dict
  sample:
    - check: same_kernel
      status: blocked
      severity: warning
      expected: kernel 6.17.0-1032-nvidia, as on spark1
      actual: 6.17.0-1014-nvidia
      fix: ""
      hint: Bring the nodes to one state; see the finding of the spec that reports this value.
"""
