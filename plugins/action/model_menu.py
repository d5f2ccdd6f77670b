# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins what the nodes have with the recipes; see the module of the same name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.dgxspark.suite.plugins.plugin_utils.menu import (
    Menu,
    Node,
    all_recipes,
    to_text,
    write,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import BUNDLED

# What the role models registers.
DISKS = "models_disks"
WORKLOADS = "models_workloads"


class ActionModule(ActionBase):
    """Works on what the nodes have said already; no node is asked."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _checked, options = self.validate_argument_spec(
            argument_spec={
                "recipe_paths": {"type": "list", "elements": "path", "default": []},
                "report_dir": {"type": "path", "default": ""},
                "show": {"type": "bool", "default": True},
                "tables": {"type": "dict", "default": {}},
            }
        )
        hosts = variables.get("ansible_play_hosts_all", [])
        told = {node: variables["hostvars"].get(node, {}) for node in hosts}
        nodes = {node: one for node in hosts if (one := node_of(told[node])) is not None}
        recipes, unusable = all_recipes([*options["recipe_paths"], BUNDLED])
        menu = Menu(
            nodes,
            recipes,
            {node: _why(told[node].get(DISKS)) for node in hosts if node not in nodes},
            datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
            options["tables"],
        )
        written: list[str] = []
        if options["report_dir"]:
            folder = os.path.abspath(options["report_dir"])
            try:
                written = write(menu, folder)
            except OSError as error:
                reason = f"no report in {folder}: {error.strerror or error}"
                return {**result, "failed": True, "msg": reason}
        if options["show"]:
            self._display.display("\n" + to_text(menu))
            for path in written:
                self._display.display(f"Written: {path}")
        return {
            **result,
            "changed": False,
            "models": menu.rows(),
            "unknown": dict(menu.unknown),
            "inferred": [
                {"path": one.path, "model": one.inferred} for one in recipes if one.inferred
            ],
            "warnings": [f"recipe passed over: {one}" for one in unusable],
        }


def node_of(variables: Mapping[str, Any]) -> Node | None:
    """What one node has said; None if it has not."""
    disks = variables.get(DISKS)
    if not isinstance(disks, Mapping) or "models" not in disks:
        return None
    workloads = variables.get(WORKLOADS)
    containers = workloads.get("containers") if isinstance(workloads, Mapping) else None
    return Node(disks["models"], containers, disks["ignored"], int(disks.get("memory", 0)))


def _why(disks: Any) -> str:
    return str(disks["msg"]) if isinstance(disks, Mapping) and disks.get("msg") else "not reached"
