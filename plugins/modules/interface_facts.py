#!/usr/bin/python
# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interfaces of a node, as a launch plan wants to know them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: interface_facts
short_description: Gather which interface carries which address
version_added: 0.1.0
description:
  - Gathers as facts, in the shape of M(ansible.builtin.setup), what
    P(dgxspark.suite.launch_plan#lookup) reads of them, in a fraction of its time.
author:
  - dgxspark.suite contributors (@dgxspark)
extends_documentation_fragment:
  - dgxspark.suite.attributes
  - dgxspark.suite.attributes.info_module
  - dgxspark.suite.attributes.actiongroup_dgxspark
options: {}
"""

EXAMPLES = r"""
- name: Learn the nodes' interfaces
  dgxspark.suite.interface_facts:
"""

RETURN = r"""
ansible_facts:
  description: Each interface by its name, the address of the default route, and what
    M(dgxspark.suite.ensure_fabric) has noted, as C(ansible_local).
  returned: success
  type: dict
  sample: {eth1: {device: eth1, ipv4: [{address: 198.51.100.1}], ipv6: []},
    default_ipv4: {address: 192.0.2.1}}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.dgxspark.suite.plugins.module_utils.probes import addresses


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    ip = module.get_bin_path("ip", opt_dirs=["/usr/sbin", "/sbin"]) or ""
    module.exit_json(changed=False, ansible_facts=addresses.ask_facts(ip, 10))


if __name__ == "__main__":
    main()
