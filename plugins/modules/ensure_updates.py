#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a node's packages up to date by the official path."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ensure_updates
short_description: Update the packages of a node by the official procedure
version_added: 0.1.0
description:
  - Reports what C(apt-get dist-upgrade) would do, and runs it as a systemd unit, so that a lost
    connection does not interrupt an update. C(apt-get upgrade), which updates only a part of
    packages that belong together, is never used.
  - It is refused while another update is running or incomplete, if it would remove packages without
    O(allow_removals), install unsupported packages, or boot a kernel with a known problem.
  - Check mode uses the present package lists, and reports their age; a run updates them first.
  - It never reboots, and reports whether a reboot is needed. Pending firmware updates are reported,
    not applied.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.actiongroup_dgxspark
  - dgxspark.suite.ensure
  - dgxspark.suite.ensure.exemptions
attributes:
  check_mode:
    support: full
    details: Uses the present package lists; a run may get newer ones.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  allow_removals:
    description: Allow the upgrade to remove packages. RV(changes) lists them before.
    type: bool
    default: false
  refresh:
    description: Update the package lists first, outside of check mode.
    type: bool
    default: true
  apply:
    description: Run the upgrade. With V(false) a run only updates the package lists and reports.
    type: bool
    default: true
  seconds:
    description: How long to wait for the upgrade; after that it continues in the background.
    type: int
    default: 7200
  driver:
    description:
      - The driver versions that a Spark may have, such as V(>=580,<590). An upgrade that
        would install packages of another series is refused. Empty for any.
    type: str
    default: ">=580,<590"
    version_added: 0.3.0
"""

EXAMPLES = r"""
- name: Show the pending updates
  dgxspark.suite.ensure_updates:
  check_mode: true

- name: Update
  dgxspark.suite.ensure_updates:
  register: updated
"""

RETURN = r"""
spec:
  description: What was ensured, for the drift report.
  returned: always
  type: str
  sample: updates
findings:
  description: The result of each check; see docs/contracts/ensure.md.
  returned: always
  type: list
  elements: dict
  sample:
    - check: packages_current
      status: drift
      severity: warning
      expected: all packages as new as their sources have them, by lists 0.2 days old
      actual: "1 packages: docker-ce 29.1.3 -> 29.2.1"
      fix: apt-get dist-upgrade, as a unit of systemd
      hint: ""
paths:
  description: Always empty.
  returned: always
  type: dict
  sample: {}
parity:
  description: What must be the same on all nodes, by name.
  returned: always
  type: dict
  sample: {kernel_to_boot: 6.17.0-1032-nvidia}
seconds:
  description: Always empty.
  returned: always
  type: dict
  sample: {}
diff:
  description: The versions of the packages, before and after.
  returned: always
  type: dict
changes:
  description: The packages to update, install or remove; after a run those that are left.
  returned: always
  type: list
  elements: dict
  sample:
    - {name: docker-ce, old: 29.1.3, new: 29.2.1}
kept_back:
  description: Packages that are held back.
  returned: always
  type: list
  elements: str
  sample: []
lists_days:
  description: Age of the package lists in days; null if unknown.
  returned: always
  type: float
  sample: 0.2
kernel:
  description: Release of the running kernel.
  returned: always
  type: str
  sample: 6.17.0-1014-nvidia
next_kernel:
  description: Release of the kernel that boots next, once the changes are made.
  returned: always
  type: str
  sample: 6.17.0-1032-nvidia
firmware:
  description: Pending firmware updates.
  returned: always
  type: list
  elements: dict
  sample: []
reboot_needed:
  description: Whether the node has to be rebooted, now or once the changes are made.
  returned: always
  type: bool
  sample: true
reboot_reasons:
  description: The reasons for a reboot.
  returned: always
  type: list
  elements: str
  sample: [kernel 6.17.0-1014-nvidia runs, 6.17.0-1032-nvidia is newer]
"""

from functools import partial

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure import updates
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import (
    ARGUMENTS,
    ensure,
    exemptions,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.driver_packages import (
    SUPPORTED,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "allow_removals": {"type": "bool", "default": False},
            "refresh": {"type": "bool", "default": True},
            "apply": {"type": "bool", "default": True},
            "seconds": {"type": "int", "default": 7200},
            "driver": {"type": "str", "default": SUPPORTED},
            **ARGUMENTS,
        },
        supports_check_mode=True,
    )
    given = module.params
    exempt = exemptions(module)
    try:
        wanted = updates.Wanted(
            given["allow_removals"], given["seconds"], given["driver"], exempt.checks
        )
    except ValueError as error:
        module.fail_json(msg=str(error))
    if given["refresh"] and not module.check_mode:
        problem = updates.refresh()
        if problem:
            module.fail_json(
                msg="apt's lists cannot be fetched: %s. See that its sources can be reached"
                " (`apt-get update`); refresh=false updates by the lists that are there" % problem
            )
    module.check_mode = module.check_mode or not given["apply"]
    ensure(module, "updates", updates.observe, partial(updates.plan, wanted=wanted), exempt)


if __name__ == "__main__":
    main()
