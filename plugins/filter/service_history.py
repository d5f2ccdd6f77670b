# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/services/history.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: service_history
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.3.0
short_description: Merge the history of services that nodes have returned
description:
  - This filter is private to the collection and may change without notice.
options:
  _input:
    description: For each node by name, what M(dgxspark.suite.workload_info) returned there.
    type: dict
    required: true
  most:
    description: How many lines of each service are returned.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Show the last change of main
  ansible.builtin.debug:
    msg: "{{ ({'spark1': seen} | dgxspark.suite.service_history(1)).main }}"
"""

RETURN = r"""
_value:
  description: For each service its last lines, the newest first.
  type: dict
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.history import merged


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"service_history": merged}
