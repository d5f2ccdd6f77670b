# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the nodes; see the module of the same name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.exemptions import (
    Exemptions,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import ARGUMENTS
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Plan
from ansible_collections.dgxspark.suite.plugins.plugin_utils.parity import compare, told_by


class ActionModule(ActionBase):
    """Works on what the nodes have said already; no node is asked."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        specification = {name: ARGUMENTS[name] for name in ("skip", "accepted")}
        _checked, options = self.validate_argument_spec(argument_spec=specification)
        try:
            exempt = Exemptions.given(options["skip"], options["accepted"])
        except ValueError as error:
            return {**result, "failed": True, "msg": str(error)}
        hosts = variables["hostvars"]
        # As they are: results hold no templates, and to look for some in all results of all nodes,
        # on behalf of each node, is what would take longest in a run with many.
        nodes = {
            node: told_by(hosts.raw_get(node))
            for node in variables["ansible_play_hosts_all"]
            if node in hosts
        }
        found = compare(nodes, variables["inventory_hostname"])
        judged = exempt.applied(Plan(tuple(found)))
        findings = [asdict(finding) for finding in judged.findings]
        return {**result, "changed": False, "spec": "parity", "findings": findings}
