# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that have become worse."""

from __future__ import annotations

DOCUMENTATION = r"""
name: worse_findings
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: List the checks that have become worse
description:
  - The checks that drift, are blocked or malformed now and were not before, as texts. Checks that
    failed before as well are left out.
options:
  _input:
    description: The present findings.
    type: list
    elements: dict
    required: true
  before:
    description: The earlier findings.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Fail if a check has become worse
  ansible.builtin.assert:
    that: after.findings | dgxspark.suite.worse_findings(before.findings) == []
"""

RETURN = r"""
_value:
  description: A text for each of these checks.
  type: list
  elements: str
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Finding
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.answers import (
    IN_ORDER,
    findings_of,
)


def worse_findings(
    now: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The texts; see DOCUMENTATION."""
    wrong_before = {finding.check for finding in _wrong(before)}
    return [
        f"{finding.check}: expected {finding.expected}, found {finding.actual}. "
        f"{finding.hint}".rstrip()
        for finding in _wrong(now)
        if finding.check not in wrong_before
    ]


def _wrong(findings: Sequence[Mapping[str, Any]]) -> list[Finding]:
    checked = findings_of({"findings": findings}, "health")
    return [finding for finding in checked if finding.status not in IN_ORDER]


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"worse_findings": worse_findings}
