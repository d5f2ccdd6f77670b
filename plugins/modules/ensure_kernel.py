#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a node out of the known traps of kernel, swap and settings; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_kernel
short_description: Check and configure kernel, swap and sysctl settings
version_added: 0.1.0
description:
  - Checks the running kernel, its boot command line, memory, swap and settings, all of it in
    C(/proc) and readable without root.
  - Kernels with Kexec Handover on by default (7.0.0) reserve about 9.5 GiB that cannot be pinned,
    so that NCCL between nodes fails. C(kho=off) is added to the configuration of the boot loader,
    and the report says that a reboot is needed.
  - The node is never rebooted.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
options:
  kernel:
    description:
      - The required kernel, such as V(6.17.0-1032), V(>=6.17) or V(>=6.17,<7). Empty for any.
      - Kernels that are known to fail on a GB10 are reported in any case.
    type: str
    default: ""
  swap:
    description:
      - V(off) turns swap off, now and in C(/etc/fstab), which keeps a node that runs out of memory
        from becoming unreachable for minutes. V(present) requires swap, which large compilations
        need. V(any) does not check it.
    type: str
    choices: [any, "off", present]
    default: any
  sysctls:
    description: Kernel settings, name to value. They are set now, and in a file for the next boot.
    type: dict
    default: {}
"""

EXAMPLES = r"""
---
- name: Check and configure the kernel
  dgxspark.suite.ensure_kernel:
  become: true

- name: Require a kernel of the 6.17 series, no swap, and larger socket buffers
  dgxspark.suite.ensure_kernel:
    kernel: ">=6.17,<7"
    swap: "off"
    sysctls:
      net.core.rmem_max: 67108864
  become: true
"""

RETURN = r"""
spec:
  description: Name of the spec, for reports.
  returned: always
  type: str
  sample: kernel
findings:
  description: The result of each check; see RV(dgxspark.suite.ensure_ptxas#module:findings).
  returned: always
  type: list
  elements: dict
  sample:
    - check: kho_now
      status: blocked
      severity: critical
      expected: no memory kept for Kexec Handover, so that it can be pinned for RDMA
      actual: "9.5 GiB are kept: NCCL fails over two nodes, Cannot allocate memory"
      fix: ""
      hint: Reboot with kho=off, see kho_at_boot; or boot the 6.17 kernel that is still there.
paths:
  description: Always empty, since this module writes no paths.
  returned: always
  type: dict
  sample: {}
parity:
  description: What must be the same on all nodes, by name.
  returned: always
  type: dict
  sample: {kernel: 6.17.0-1032-nvidia}
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
kernel:
  description: Release of the running kernel.
  returned: always
  type: str
  sample: 6.17.0-1032-nvidia
command_line:
  description: The command line of the kernel.
  returned: always
  type: str
  sample: BOOT_IMAGE=/vmlinuz-6.17.0-1032-nvidia root=/dev/nvme0n1p2 ro quiet
memory_kib:
  description: C(/proc/meminfo), in KiB.
  returned: always
  type: dict
  sample: {MemTotal: 127535104, MemAvailable: 120334280}
swaps:
  description: The swap areas in use, with their size in KiB.
  returned: always
  type: list
  elements: dict
  sample:
    - path: /swap.img
      kind: file
      kib: 16777212
reboot_packages:
  description: Packages whose update requires a reboot.
  returned: always
  type: list
  elements: str
  sample: [linux-image-6.17.0-1032-nvidia]
"""

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import run
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.kernel import SPEC


def main() -> None:
    run(SPEC)


if __name__ == "__main__":
    main()
