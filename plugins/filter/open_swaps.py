# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter over plugin_utils/services/swaps.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: open_swaps
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.3.0
short_description: The swaps that have not ended
description:
  - This filter is private to the collection and may change without notice.
options:
  _input:
    description: For each node by name, what M(dgxspark.suite.workload_info) returned there.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what the nodes are doing
  ansible.builtin.debug:
    msg: "{{ {'spark1': seen} | dgxspark.suite.open_swaps | map(attribute='what') }}"
"""

RETURN = r"""
_value:
  description: The swaps, each with C(service), C(recipe), C(owner), C(decider), C(state), C(step),
    C(attempt), C(since), C(missing), C(nodes) and, in words, C(what).
  type: list
  elements: dict
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.swaps import open_swaps


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"open_swaps": open_swaps}
