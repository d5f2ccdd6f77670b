# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: extra_var
author:
  - dgxspark.suite contributors (@dgxspark)
short_description: Read a variable that was given with -e, and from nowhere else
description:
  - Returns the value of a variable that was passed to C(ansible-playbook) with C(-e) or
    C(--extra-vars), in a file with C(-e @FILE) as well.
  - A variable of the same name in the inventory, a play or a role has no effect. The playbooks of
    this collection read short words such as C(recipe), C(force) and C(image) this way, so that an
    inventory may use these names for its own purposes.
  - This plugin is private to the collection.
options:
  _terms:
    description: Names of the variables.
    type: list
    elements: str
    required: true
  default:
    description:
      - The value of a variable that was not given.
      - Without it, a variable that was not given is an error.
    type: raw
seealso:
  - plugin: ansible.builtin.vars
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Launch the recipe of -e recipe=NAME; take over the lock only for -e force=true
  hosts: spark_heads:spark_workers
  become: true
  gather_facts: false
  vars:
    dgxspark_recipe: "{{ lookup('dgxspark.suite.extra_var', 'recipe') }}"
    dgxspark_force: "{{ lookup('dgxspark.suite.extra_var', 'force', default=false) }}"
  roles:
    - role: dgxspark.suite.launch
"""

RETURN = r"""
_raw:
  description: The values, in the order of the names.
  type: list
  elements: raw
"""

import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars


class LookupModule(LookupBase):
    """One value for each name, from the command line alone."""

    def run(
        self,
        terms: t.Sequence[str],
        variables: t.Mapping[str, t.Any] | None = None,
        **kwargs: t.Any,
    ) -> list[t.Any]:
        self.set_options(var_options=variables, direct=kwargs)
        return [self._value(str(name), "default" in kwargs) for name in terms]

    def _value(self, name: str, optional: bool) -> t.Any:
        given = load_extra_vars(self._loader)
        if name in given:
            return self._templar.template(given[name])
        if optional:
            return self.get_option("default")
        raise AnsibleError(f"-e {name}=VALUE is missing")
