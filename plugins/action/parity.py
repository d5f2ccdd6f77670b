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
from ansible_collections.dgxspark.suite.plugins.plugin_utils.parity import (
    compare,
    results_of,
    values_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.run_stats import drift


class ActionModule(ActionBase):
    """Reads the results that roles have registered; no node is contacted."""

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
        # Raw, since results hold no templates: searching all results of all nodes for templates, on
        # behalf of each node, would take longest in a run with many nodes.
        nodes = {
            node: values_of(hosts.raw_get(node))
            for node in variables["ansible_play_hosts_all"]
            if node in hosts
        }
        node = variables["inventory_hostname"]
        plan = Plan(tuple(compare(nodes, node)))
        findings = [asdict(finding) for finding in exempt.applied(plan).findings]
        answer = {"changed": False, "spec": "parity", "findings": findings}
        reported = {node: {**results_of(hosts.raw_get(node)), "parity": answer}}
        present = variables["ansible_play_hosts"]
        if node == present[0]:  # it also reports the nodes that were lost before
            lost = [other for other in nodes if other not in present]
            reported.update((other, results_of(hosts.raw_get(other))) for other in lost)
        return {**result, **answer, "ansible_stats": drift(reported, len(nodes))}
