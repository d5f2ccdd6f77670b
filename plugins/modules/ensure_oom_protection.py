#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a node that runs out of memory lose its workload and not its sshd; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_oom_protection
short_description: Configure the protection of a node against running out of memory
version_added: 0.1.0
description:
  - On a GB10 the GPU uses system memory, and no cgroup limit applies to it. Without protection the
    node is unreachable before the kernel's OOM killer acts.
  - A daemon (earlyoom, or systemd-oomd) is installed, configured and running. It ends the workload
    before memory runs out.
  - sshd and the container engine get reserved memory and low OOM scores. The effective values are
    read from C(/proc) and the cgroups, not from configuration files.
  - A unit releases the page cache before a model is loaded.
  - For swap see M(dgxspark.suite.ensure_kernel).
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
options:
  daemon:
    description:
      - The daemon. V(earlyoom) checks the available memory, up to ten times a second, and needs no
        kernel features.
      - V(systemd-oomd) checks how long programs wait for memory, and needs cgroup v2 and pressure
        information. It hardly notices memory of the GPU driver.
      - V(none) leaves it to the kernel; a running daemon is not stopped.
    type: str
    choices: [earlyoom, systemd-oomd, none]
    default: earlyoom
  term_mib:
    description:
      - With less than this available, in MiB, earlyoom terminates the workload (SIGTERM).
      - 4 GiB is the observed need of driver, container engine and a login together.
    type: int
    default: 4096
  kill_mib:
    description: With less than this available, in MiB, earlyoom kills it (SIGKILL).
    type: int
    default: 2048
  prefer:
    description:
      - A regular expression for the names of processes that earlyoom ends first. Empty for none.
    type: str
    default: ^(VLLM::.*|ray::.*|raylet|vllm|sglang.*|llama-server|python[0-9.]*)$
  avoid:
    description:
      - A regular expression for the names of processes that earlyoom spares. Empty for none.
    type: str
    default: ^(systemd.*|sshd|dockerd|containerd.*|dbus-daemon|NetworkManager)$
  pressure_percent:
    description: The share of time that tasks wait for memory before systemd-oomd acts, in percent.
    type: int
    default: 60
  pressure_seconds:
    description: How long O(pressure_percent) has to last, in seconds.
    type: int
    default: 20
  protected:
    description:
      - Units to protect. A unit that does not exist on the node is V(skipped).
      - C(system.slice) gets the sum of RV(ignore:memory_mib), without which the values of its units
        have no effect.
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
          - The highest allowed C(oom_score_adj) of its main process.
          - It is written to the unit's drop-in, except for sshd, which lowers its own score to
            -1000 and starts sessions with the original one. A lower score in its unit would protect
            every program started from a login.
        type: int
      memory_mib:
        description: Reserved memory of the unit, in MiB (C(MemoryMin)).
        type: int
  release_page_cache:
    description:
      - Whether to install C(dgxspark-release-page-cache.service), which writes dirty pages back and
        drops the page cache, and is started before each C(dgxspark-vllm@) unit. The GPU driver
        cannot use memory that holds cached files.
    type: bool
    default: true
"""

EXAMPLES = r"""
---
- name: Protect sshd when memory runs out
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
  description: The result of each check; see RV(dgxspark.suite.ensure_ptxas#module:findings).
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
daemon:
  description: The daemon.
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
