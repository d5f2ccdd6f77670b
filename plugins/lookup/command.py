# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: command
version_added: 0.2.0
author:
  - dgxspark.suite contributors (@dgxspark)
short_description: The command line that runs a playbook of this collection
description:
  - Returns a line that can be typed as it is. It names the playbook in full, and repeats the
    inventories, the user and C(-K) of the current run.
  - This plugin is private to the collection.
options:
  _terms:
    description: The name of a playbook without folder and suffix, then further arguments.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Say what to type next
  ansible.builtin.debug:
    msg: "next: {{ lookup('dgxspark.suite.command', 'launch', '-e', 'recipe=qwen3-1.7b') }}"
"""

RETURN = r"""
_raw:
  description: One command line.
  type: list
  elements: str
"""

import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import playbook_command


class LookupModule(LookupBase):
    """A playbook and its arguments to one line for a shell."""

    def run(
        self,
        terms: t.Sequence[str],
        variables: t.Mapping[str, t.Any] | None = None,
        **kwargs: t.Any,
    ) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        if not terms:
            raise AnsibleError("the name of a playbook is missing")
        name, *words = (str(term) for term in terms)
        return [playbook_command(name, words)]
