# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/services/history.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: history_table
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.3.0
short_description: Show the history of services as text
description:
  - This filter is private to the collection and may change without notice.
options:
  _input:
    description: The history, from P(dgxspark.suite.service_history#filter).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the history
  ansible.builtin.debug:
    msg: "{{ history | dgxspark.suite.history_table }}"
  vars:
    history: "{{ {'spark1': seen} | dgxspark.suite.service_history(20) }}"
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.history import table


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"history_table": table}
