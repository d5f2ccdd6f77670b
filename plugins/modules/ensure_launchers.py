#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the scripts and units that start Ray and vLLM on a node; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_launchers
short_description: Have the scripts and units that start Ray and vLLM on a node
version_added: 0.1.0
description:
  - Writes scripts that start vLLM, Ray's head and a worker of it from the virtual environment, and
    the systemd units for them. Each script takes every binary from O(paths_file), by absolute path,
    checks it, and ends with what brings it where it is not there. No E(PATH) is searched.
  - A unit that fails is started again a few times only, since a crash loop leaks unified memory
    until the node has to be reset.
  - One command, C(dgxspark), serves, stops, restarts, shows and follows them.
  - Nothing is started, stopped or restarted. Files of others in the same places are left alone.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
options:
  folder:
    description: Where the scripts are.
    type: path
    default: /opt/dgxspark/bin
  unit_folder:
    description: Where the units are.
    type: path
    default: /etc/systemd/system
  workloads:
    description:
      - Where C(NAME.env) configures the model server C(NAME), by lines C(MODEL=), C(HOST=),
        C(PORT=), and C(ARG=) for each further word of C(vllm serve). Other lines are the server's
        environment.
      - These files are people's. They are never written.
    type: path
    default: /etc/dgxspark/workloads
  ray_file:
    description: Where Ray's addresses on this node are. It is ours.
    type: path
    default: /etc/dgxspark/ray.env
  paths_file:
    description: The file in which the scripts find their binaries. It is only read.
    type: path
    default: /etc/dgxspark/paths.env
  user:
    description: The user as whom the servers run.
    type: str
    default: root
  starts:
    description: How often a unit is started within O(interval), the first time included.
    type: int
    default: 3
  interval:
    description: Within how many seconds O(starts) are counted.
    type: int
    default: 3600
  ray_head_address:
    description: The IP address at which Ray's head is reached. Empty where Ray is not used.
    type: str
    default: ""
  ray_node_address:
    description: The IP address at which the other nodes reach this one.
    type: str
    default: ""
  ray_port:
    description: The port of Ray's head.
    type: int
    default: 6379
  ray_object_store_bytes:
    description: How large Ray's object store is, in bytes; V(0) leaves it to Ray.
    type: int
    default: 0
  limits:
    description:
      - The limits of the servers, as systemd calls them. RDMA needs memory that stays in place, and
        vLLM opens many files.
    type: dict
    default: {MEMLOCK: infinity, NOFILE: 1048576}
  enabled:
    description:
      - The units that start with the node, as V(dgxspark-ray-head), V(dgxspark-ray-worker) and
        C(dgxspark-vllm@NAME). Others are left as they are.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
---
- name: Have scripts and units
  dgxspark.suite.ensure_launchers:
  become: true

- name: Have Ray's head start with the node
  dgxspark.suite.ensure_launchers:
    ray_head_address: 192.0.2.11
    ray_node_address: 192.0.2.11
    enabled: [dgxspark-ray-head]
  become: true
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: always
  type: str
  sample: launchers
findings:
  description: What each check saw; see RV(dgxspark.suite.ensure_ptxas#module:findings).
  returned: always
  type: list
  elements: dict
  sample:
    - check: launcher_dgxspark_vllm
      status: drift
      severity: warning
      expected: /opt/dgxspark/bin/dgxspark-vllm as this version has it
      actual: /opt/dgxspark/bin/dgxspark-vllm has different contents
      fix: write /opt/dgxspark/bin/dgxspark-vllm
      hint: ""
paths:
  description: Always empty, this module only reads O(paths_file).
  returned: always
  type: dict
  sample: {}
parity:
  description: What should be the same on every node, by name.
  returned: always
  type: dict
  sample: {}
seconds:
  description: What a costly check took, in seconds, by check id; none is.
  returned: always
  type: dict
  sample: {}
diff:
  description: The files that are changed, before and after.
  returned: always
  type: dict
  sample:
    before: ""
    after: |
      reads its units again
    before_header: systemd
    after_header: systemd
folder:
  description: Where the scripts are.
  returned: always
  type: str
  sample: /opt/dgxspark/bin
workloads:
  description: Where model servers are configured.
  returned: always
  type: str
  sample: /etc/dgxspark/workloads
"""

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import run
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.launchers import SPEC


def main() -> None:
    run(SPEC)


if __name__ == "__main__":
    main()
