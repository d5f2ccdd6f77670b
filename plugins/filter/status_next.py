# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/next_step.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: status_next
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.2.0
short_description: The command line that leads on from what is served
description:
  - This filter is private to the collection and may change without notice.
options:
  _input:
    description: The report of the role C(status).
    type: dict
    required: true
  lost:
    description: Nodes that could not be reached.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show what to type next
  ansible.builtin.debug:
    msg: "next: {{ status_report | dgxspark.suite.status_next([]) }}"
"""

RETURN = r"""
_value:
  description: One command line.
  type: str
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.next_step import status_command


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"status_next": status_command}
