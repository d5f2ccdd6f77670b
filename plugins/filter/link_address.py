# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The address of a node for the other nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: link_address
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: Get the address of a node for the other nodes
description:
  - C(dgxspark_fabric_address), else C(dgxspark_address), else C(ansible_host) if that is an IP
    address. Fails if there is none.
options:
  _input:
    description: The variables of a node.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the address
  ansible.builtin.debug:
    msg: "{{ hostvars['spark1'] | dgxspark.suite.link_address }}"
"""

RETURN = r"""
_value:
  description: An IP address.
  type: str
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

VARIABLES = ("dgxspark_fabric_address", "dgxspark_address", "ansible_host")


def link_address(variables: Mapping[str, Any]) -> str:
    """The address; see DOCUMENTATION."""
    for name in VARIABLES:
        value = variables.get(name)
        if value:
            try:
                return str(ipaddress.ip_address(str(value)))
            except ValueError as error:
                raise AnsibleFilterError(
                    f"{variables.get('inventory_hostname')}: {name} is not an IP address: {value}. "
                    "Set dgxspark_fabric_address"
                ) from error
    raise AnsibleFilterError(
        f"{variables.get('inventory_hostname')}: no address found; set dgxspark_fabric_address"
    )


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"link_address": link_address}
