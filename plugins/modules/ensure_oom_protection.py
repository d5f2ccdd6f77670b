#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a node that runs out of memory lose its workload and not its sshd; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_oom_protection
short_description: Have a node that runs out of memory lose its workload, not its sshd
version_added: 0.1.0
description:
  - On a GB10 the GPU takes its memory from the system's, and no cgroup limit bounds what it takes.
    Without protection the node is out of reach before the kernel kills anything.
  - A watcher (earlyoom, or systemd-oomd) is installed, set and kept running. It ends the workload
    while there is still memory to do it with.
  - sshd and the container engine are promised memory and are made the last that the kernel would
    take. The effective values are read from C(/proc) and the cgroups, not from files of settings.
  - A unit releases the page cache before a model is loaded.
  - Swap is the business of M(dgxspark.suite.ensure_kernel).
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
options:
  daemon:
    description:
      - Who watches. V(earlyoom) looks at the memory that is available, ten times a second where it
        gets short, and needs nothing of the kernel.
      - V(systemd-oomd) looks at how long programs wait for memory, and needs cgroup v2 and pressure
        information. It sees little of what a GPU driver takes.
      - V(none) leaves that to the kernel; a watcher that runs is not stopped.
    type: str
    choices: [earlyoom, systemd-oomd, none]
    default: earlyoom
  term_mib:
    description:
      - With less than this available, in MiB, earlyoom asks the workload to end (SIGTERM).
      - 4 GiB is what the driver, the engine and a login have been seen to need together.
    type: int
    default: 4096
  kill_mib:
    description: With less than this available, in MiB, earlyoom kills it (SIGKILL).
    type: int
    default: 2048
  prefer:
    description: Names of processes, a regular expression, that earlyoom ends first. Empty for none.
    type: str
    default: ^(VLLM::.*|ray::.*|raylet|vllm|sglang.*|llama-server|python[0-9.]*)$
  avoid:
    description: Names of processes, a regular expression, that earlyoom spares. Empty for none.
    type: str
    default: ^(systemd.*|sshd|dockerd|containerd.*|dbus-daemon|NetworkManager)$
  pressure_percent:
    description: Part of the time, in percent, that tasks wait for memory before systemd-oomd acts.
    type: int
    default: 60
  pressure_seconds:
    description: How long they have to, in seconds.
    type: int
    default: 20
  protected:
    description:
      - Units to keep. A unit that is not on the node is V(skipped).
      - C(system.slice) is promised the sum of RV(ignore:memory_mib), without which the promises to
        its units would not count.
    type: list
    elements: dict
    default:
      - unit: ssh.service
        score: -900
        memory_mib: 512
      - unit: docker.service
        score: -500
        memory_mib: 512
      - unit: containerd.service
        score: -999
        memory_mib: 256
    suboptions:
      unit:
        description: Name of a service unit.
        type: str
        required: true
      score:
        description:
          - The highest C(oom_score_adj) that its main process may have.
          - It is written into the unit's drop-in, save for sshd, which lowers its own to -1000 and
            starts sessions with the one that it was given. A unit that lowers it would protect
            every program that anybody starts from a login.
        type: int
      memory_mib:
        description: Memory, in MiB, that is not taken from the unit (C(MemoryMin)).
        type: int
  release_page_cache:
    description:
      - Whether C(dgxspark-release-page-cache.service) is there, which writes dirty pages back and
        drops the page cache, and is started before each C(dgxspark-vllm@) unit. The GPU's driver
        does not get at memory that holds cached files.
    type: bool
    default: true
"""

EXAMPLES = r"""
---
- name: Keep sshd alive when memory runs out
  dgxspark.suite.ensure_oom_protection:
  become: true

- name: Act early, and spare the monitoring
  dgxspark.suite.ensure_oom_protection:
    term_mib: 8192
    kill_mib: 4096
    avoid: ^(systemd.*|sshd|dockerd|containerd.*|node_exporter)$
  become: true
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: always
  type: str
  sample: oom_protection
findings:
  description: What each check saw; see RV(dgxspark.suite.ensure_ptxas#module:findings).
  returned: always
  type: list
  elements: dict
  sample:
    - check: oom_daemon
      status: drift
      severity: critical
      expected: earlyoom.service runs as configured
      actual: "it runs as: /usr/bin/earlyoom -r 3600"
      fix: enable earlyoom.service and start it anew
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
daemon:
  description: Who watches.
  returned: always
  type: str
  sample: earlyoom
available_kib:
  description: C(MemAvailable), in KiB.
  returned: always
  type: int
  sample: 120334280
scores:
  description: The effective C(oom_score_adj) of the units that run, by name.
  returned: always
  type: dict
  sample: {ssh.service: -1000, docker.service: -500}
"""

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import run
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.oom_protection import SPEC


def main() -> None:
    run(SPEC)


if __name__ == "__main__":
    main()
