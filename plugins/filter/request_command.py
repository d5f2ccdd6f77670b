# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/commands.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: request_command
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.2.0
short_description: The command line that asks a server
description:
  - This filter is private to the collection and may change without notice.
  - Returns a line for a shell that sends a server the request that a launch has proven.
options:
  _input:
    description: The URL of the server, without a path.
    type: str
    required: true
  model:
    description: The name under which the model is served.
    type: str
    required: true
  kind:
    description: What the server is, as C(docs/contracts/kinds.md) has it. Empty for a completion.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show how to ask
  ansible.builtin.debug:
    msg: "next: {{ 'http://192.0.2.1:8000' | dgxspark.suite.request_command('qwen3-1.7b') }}"
"""

RETURN = r"""
_value:
  description: One command line.
  type: str
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import request_command


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"request_command": request_command}
