#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what would be done to a disk, or why it is not touched; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_plan
short_description: Say what it takes to make a ZFS pool of an empty disk, or why it is refused
version_added: 0.1.0
description:
  - Looks at one disk, named as in C(/dev/disk/by-id), and fails with every reason not to touch it.
    It is mounted, in a pool, divided, holds any signature or what is left of an earlier partition,
    is the one the node boots from, is read only or too small; the name is no disk's, or is not
    repeated; ZFS would not make such a pool.
  - Changes nothing. C(dgxspark.suite.provision_disk) does what the plan says.
  - This module is private to the collection and may change without notice.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
options:
  disk:
    description: Name of the disk, not of a partition, in C(/dev/disk/by-id).
    type: str
    required: true
  confirm:
    description: The same name again.
    type: str
    default: ""
  pool:
    description:
      - Name of the pool to create. ZFS reserves V(log), and names that begin with V(mirror),
        V(raidz), V(draid) or V(spare).
    type: str
    default: ai
  ashift:
    description: Size of the disk's sectors, as a power of two, from 9 to 16.
    type: int
    default: 12
  minimum_gib:
    description: A smaller disk is refused, in GiB.
    type: float
    default: 100
"""

EXAMPLES = r"""
---
- name: Show what would be done to a disk
  dgxspark.suite.disk_plan:
    disk: nvme-Example_SSD_4TB_S000000
    confirm: nvme-Example_SSD_4TB_S000000
  become: true
"""

RETURN = r"""
device:
  description: The disk's path in C(/dev/disk/by-id).
  returned: always
  type: str
  sample: /dev/disk/by-id/nvme-Example_SSD_4TB_S000000
pool_is_there:
  description: Whether the pool is on that disk already, so that there is nothing to do.
  returned: success
  type: bool
  sample: false
steps:
  description: The steps, as texts; empty if the pool exists.
  returned: success
  type: list
  elements: str
  sample: [write a GPT with one partition to /dev/disk/by-id/nvme-Example_SSD_4TB_S000000]
refused:
  description: Every reason not to use the disk.
  returned: failure
  type: list
  elements: str
  sample: ["/dev/nvme1n1 has a partition table (gpt)"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.disk import Inspection, look
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.disks import (
    name_refused,
    pool_refused,
    steps,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "disk": {"type": "str", "required": True},
            "confirm": {"type": "str", "default": ""},
            "pool": {"type": "str", "default": "ai"},
            "ashift": {"type": "int", "default": 12},
            "minimum_gib": {"type": "float", "default": 100},
        },
        supports_check_mode=True,
    )
    given = module.params
    device = "/dev/disk/by-id/%s" % given["disk"]
    refused = name_refused(given["disk"], given["confirm"])
    refused += pool_refused(given["pool"], given["ashift"])
    inspection = Inspection()
    if not refused:
        tools = {name: find_tool(name) for name in ("lsblk", "blkid", "zpool")}
        inspection = look(device, given["pool"], int(given["minimum_gib"] * (1 << 30)), tools)
        refused = list(inspection.refused)
    if refused:
        message = "%s is not used:\n%s" % (device, "\n".join("- " + reason for reason in refused))
        module.fail_json(msg=message, refused=refused, device=device)
    todo = [] if inspection.pool_is_there else steps(device, given["pool"], given["ashift"])
    module.exit_json(
        changed=False, device=device, pool_is_there=inspection.pool_is_there, steps=todo
    )


if __name__ == "__main__":
    main()
