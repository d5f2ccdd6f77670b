# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/recipe/launch/nodes.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: control_nodes
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.3.0
short_description: Where control finds the SSH servers of nodes
description:
  - This filter is private to the collection and may change without notice.
options:
  _input:
    description: The names of the nodes.
    type: list
    elements: str
    required: true
  variables:
    description: The variables of all hosts, C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show where the nodes are
  ansible.builtin.debug:
    msg: "{{ query('dgxspark.suite.nodes', 'all') | dgxspark.suite.control_nodes(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The setting C(nodes) of control. An C(address) that is not known is empty.
  type: list
  elements: dict
  sample: [{name: spark1, address: 192.0.2.11, port: 22, user: alice}]
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch import nodes


def control_nodes(
    names: Iterable[str], variables: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """See DOCUMENTATION."""
    return [
        {
            "name": name,
            "address": _address(name, variables),
            "port": int(variables[name].get("ansible_port") or 22),
            "user": str(variables[name].get("ansible_user") or ""),
        }
        for name in names
    ]


def _address(name: str, variables: Mapping[str, Mapping[str, Any]]) -> str:
    try:
        return nodes.node(name, variables).address
    except RecipeError:
        return ""


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"control_nodes": control_nodes}
