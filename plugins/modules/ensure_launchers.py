#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the scripts and units that start Ray and vLLM on a node; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_launchers
short_description: Install the scripts and units that start Ray and vLLM on a node
version_added: 0.1.0
description:
  - Writes scripts that start vLLM, the head and the workers of Ray from the virtual environment,
    and systemd units for them. Each script reads the absolute path of every binary from
    O(paths_file), checks it, and fails with a hint if it is missing. E(PATH) is not searched.
  - A unit that fails is restarted a few times only, since a crash loop leaks unified memory until
    the node has to be reset.
  - The command C(dgxspark) serves, stops, restarts and shows them, and follows their logs.
  - The servers run as a system user without a login, in a sandbox. If Ray is used, it requires a
    token, which is in a file that only this user can read. The head creates it; the role
    P(dgxspark.suite.launchers#role) copies it to the workers.
  - Nothing is started, stopped or restarted. Other files at the same paths are not changed.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
  - dgxspark.suite.ensure.serve_from
options:
  folder:
    description: Folder of the scripts.
    type: path
    default: /opt/dgxspark/bin
  unit_folder:
    description: Folder of the units.
    type: path
    default: /etc/systemd/system
  workloads:
    description:
      - Folder of C(NAME.env), the configuration of the model server C(NAME), with lines C(MODEL=),
        C(HOST=), C(PORT=), and C(ARG=) for each further argument of C(vllm serve). Other lines are
        the environment of the server.
      - These files belong to the users. They are never written.
    type: path
    default: /etc/dgxspark/workloads
  ray_file:
    description: The file with Ray's addresses on this node, written by this module.
    type: path
    default: /etc/dgxspark/ray.env
  paths_file:
    description: The file with the paths of the binaries. It is only read.
    type: path
    default: /etc/dgxspark/paths.env
  ray_auth:
    description:
      - Whether Ray requires a token of its nodes and of its clients, for which it has to be 2.52 or
        later. Without it, whoever reaches a port of Ray controls the node.
    type: bool
    default: true
  ray_token_file:
    description: The file with Ray's token.
    type: path
    default: /etc/dgxspark/ray-token
  user:
    description: The user that runs the servers. V(dgxspark) is created, any other has to exist.
    type: str
    default: dgxspark
  starts:
    description: How often a unit is started within O(interval), including the first time.
    type: int
    default: 3
  interval:
    description: The interval of O(starts), in seconds.
    type: int
    default: 3600
  ray_head_address:
    description: The IP address of Ray's head. Empty if Ray is not used.
    type: str
    default: ""
  ray_node_address:
    description: The IP address of this node for the other nodes.
    type: str
    default: ""
  ray_port:
    description: The port of Ray's head.
    type: int
    default: 6379
  ray_object_store_bytes:
    description: Size of Ray's object store in bytes; V(0) for Ray's default.
    type: int
    default: 0
  limits:
    description:
      - The limits of the servers, by their systemd names. RDMA needs locked memory, and vLLM opens
        many files.
    type: dict
    default: {MEMLOCK: infinity, NOFILE: 1048576}
  writable:
    description:
      - Directories in which the servers may write, if O(user) may. All others are read-only for
        them, except their home C(/var/lib/dgxspark-launchers) and a C(/tmp) of their own.
    type: list
    elements: path
    default: [/ai/cache]
  enabled:
    description:
      - The units to enable at boot, such as V(dgxspark-ray-head), V(dgxspark-ray-worker) and
        C(dgxspark-vllm@NAME). Others are not changed.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
---
- name: Install scripts and units
  dgxspark.suite.ensure_launchers:
  become: true

- name: Enable Ray's head at boot
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
  description: The result of each check; see RV(dgxspark.suite.ensure_ptxas#module:findings).
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
  description: What must be the same on all nodes, by name.
  returned: always
  type: dict
  sample: {}
seconds:
  description: Duration of costly checks in seconds, by check id; always empty.
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
