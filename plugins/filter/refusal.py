# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/next_step.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: refusal
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.3.0
short_description: Why something is refused, and the command to type next
description:
  - This filter is private to the collection and may change without notice.
  - Joins reasons to one message, whose last line is C(next) with a colon and a command line.
positional: playbook
options:
  _input:
    description:
      - The reasons. Each is a text, or a map of C(why) and C(next), the name of a playbook and its
        arguments. The first of these maps says what to type next.
    type: list
    elements: raw
    required: true
  playbook:
    description: What to type next otherwise, the name of a playbook and its arguments.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Fail if the launch would disturb others
  ansible.builtin.assert:
    that: launch_steps.refusals == []
    fail_msg: "{{ launch_steps.refusals | dgxspark.suite.refusal('status') }}"
"""

RETURN = r"""
_value:
  description: The message.
  type: str
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.next_step import refusal


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"refusal": refusal}
