# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a node for all checks of a role in one task; see the module of the same name."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.loader import filter_loader

from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.answers import complete
from ansible_collections.dgxspark.suite.plugins.plugin_utils.role_checks import RoleChecks

# Ansible imports this file before it forks a process for each node. The collection's filters, which
# are loaded with this one, need not be loaded in each of them.
filter_loader.get("dgxspark.suite.fabric_plan")


class ActionModule(ActionBase):
    """Reads the role's tasks on the controller, and sends what they check in one go."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        skipped: list[str] = []
        if arguments.get("role"):
            node = str(variables["inventory_hostname"])
            specs, skipped = self._specs(str(arguments["role"]), node)
            arguments["specs"] = [*arguments.get("specs", []), *specs]
        result: dict[str, Any] = self._execute_module(
            module_name="dgxspark.suite.audit", module_args=arguments, task_vars=variables
        )
        # It repeats all options of all specs, which nobody reads and every fork hands on.
        result.pop("invocation", None)
        # Whether it is skipped is decided here, not on the node.
        result.pop("skipped", None)
        result["skipped_specs"] = skipped
        if not result.get("failed") and not result.get("unreachable"):
            asked = [entry["spec"] for entry in arguments.get("specs", [])]
            result["results"] = complete(asked, result.get("results"))
        return result

    def _specs(self, role: str, node: str) -> tuple[list[dict[str, Any]], list[str]]:
        """What the role's tasks check on a node, and the specs of those that are skipped."""
        return RoleChecks(role, node, self._task, self._loader).specs()
