# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a node that are not in order."""

from __future__ import annotations

DOCUMENTATION = r"""
name: wrong_checks
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: List the checks of a node that are not in order
description:
  - The checks with a status other than V(ok), V(fixed), V(accepted) and V(skipped). A finding that
    is malformed counts as well, and so does a spec that has answered no findings and was not
    skipped, as C(SPEC_answer).
options:
  _input:
    description: The registered results of ensure modules, by spec.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Fail on drift
  ansible.builtin.assert:
    that: "{'kernel': dgxspark_result_kernel} | dgxspark.suite.wrong_checks == []"
"""

RETURN = r"""
_value:
  description: The ids of these checks.
  type: list
  elements: str
"""

from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.answers import wrong_checks


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"wrong_checks": wrong_checks}
