# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: nodes
version_added: 0.2.0
author:
  - dgxspark.suite contributors (@dgxspark)
short_description: List the nodes of the inventory, the head first
description:
  - Returns the hosts of the groups C(spark_heads), C(spark_workers) and C(spark_services) that a
    playbook needs, in this order. A group that does not exist is empty, without a warning.
  - With C(-e dgxspark_hosts=PATTERN) the hosts of that pattern take the place of C(spark_heads) and
    C(spark_workers); the first of them is the head. The value of an inventory has no effect, since
    Ansible chooses the hosts of a play before it reads the variables of hosts.
  - Without nodes the run fails, and the error names the groups. It also fails if C(--limit)
    excludes all nodes, or if the inventory has placeholders such as C(<spark-1-ip>).
  - This plugin is private to the collection.
options:
  _terms:
    description:
      - The nodes that serve models (V(serving), the default), those that only run companion
        services (V(services)), or V(all).
    type: list
    elements: str
    choices: [serving, services, all]
  required:
    description:
      - Which nodes there must be for the run not to fail; as a default those that are listed.
      - With V(none) the list may be empty, and nothing is verified.
    type: str
    choices: [serving, services, all, none]
seealso:
  - plugin: ansible.builtin.inventory_hostnames
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Compare the nodes
  hosts: "{{ query('dgxspark.suite.nodes', 'all') }}"
  gather_facts: false
  tasks:
    - name: Compare the nodes
      dgxspark.suite.parity:
"""

RETURN = r"""
_raw:
  description: Names of hosts.
  type: list
  elements: str
"""

import typing as t

from ansible import context
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars

from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import (
    HOSTS,
    ending,
    inventory_command,
    playbook_command,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.nodes import (
    Groups,
    nodes_of,
    placeholders,
    why_none,
)

# Options of ansible-playbook that list or verify a playbook; they need no nodes.
LISTING = ("syntax", "listhosts", "listtasks", "listtags")


class LookupModule(LookupBase):
    """The names of hosts for one word."""

    def run(
        self,
        terms: t.Sequence[str],
        variables: t.Mapping[str, t.Any] | None = None,
        **kwargs: t.Any,
    ) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        known = variables or {}
        groups: Groups = known.get("groups", {})
        what = str(terms[0]) if terms else "serving"
        pattern = self._pattern()
        own = self._matching(groups, pattern) if pattern else None
        required = self.get_option("required") or what
        if required != "none" and not any(map(context.CLIARGS.get, LISTING)):
            if problem := placeholders(known.get("ansible_inventory_sources", ())):
                raise AnsibleError(ending(problem, playbook_command("discover")))
            needed = nodes_of(required, groups, own)
            if not needed:
                command = inventory_command() if pattern else playbook_command("discover")
                raise AnsibleError(ending(why_none(required, groups, pattern), command))
            limit = known.get("ansible_limit")
            if limit and not set(needed) & set(self._matching(groups, "all", limit)):
                problem = f"--limit {limit} excludes all nodes: {', '.join(needed)}."
                raise AnsibleError(ending(problem, inventory_command()))
        return nodes_of(what, groups, own)

    def _pattern(self) -> str:
        """Of the command line alone, so that the plays and their roles agree."""
        given = load_extra_vars(self._loader).get(HOSTS) or ""
        pattern = self._templar.template(given)
        return ":".join(pattern) if isinstance(pattern, list) else str(pattern)

    def _matching(self, groups: Groups, pattern: str, limit: str | None = None) -> list[str]:
        inventory = InventoryManager(self._loader, parse=False)
        for group, hosts in groups.items():
            inventory.add_group(group)
            for host in hosts:
                inventory.add_host(host, group=group)
        inventory.subset(limit)
        return [host.name for host in inventory.get_hosts(pattern)]
