# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which checks say something worse than they did before."""

from __future__ import annotations

DOCUMENTATION = r"""
name: worse_findings
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: Tell which checks say something worse than before
description:
  - A check that drifts or is blocked now, and did not and was not before, in words. What was as bad
    before is nobody's fault.
options:
  _input:
    description: The findings of now.
    type: list
    elements: dict
    required: true
  before:
    description: The findings of before.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Compare
  ansible.builtin.assert:
    that: after.findings | dgxspark.suite.worse_findings(before.findings) == []
"""

RETURN = r"""
_value:
  description: A sentence for each of them.
  type: list
  elements: str
"""

from collections.abc import Mapping, Sequence
from typing import Any

BAD = ("blocked", "drift")


def worse_findings(
    now: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The sentences; see DOCUMENTATION."""
    bad_before = {one["check"] for one in before if one["status"] in BAD}
    return [
        f"{one['check']}: expected {one['expected']}, found {one['actual']}. {one['hint']}".rstrip()
        for one in now
        if one["status"] in BAD and one["check"] not in bad_before
    ]


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"worse_findings": worse_findings}
