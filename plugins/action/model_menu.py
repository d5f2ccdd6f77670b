# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins the models of the nodes with the recipes; see the module of the same name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.dgxspark.suite.plugins.plugin_utils.menu import (
    Menu,
    NodeModels,
    all_recipes,
    to_text,
    write,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import BUNDLED

# What the role models registers.
DISKS = "models_disks"
WORKLOADS = "models_workloads"


class ActionModule(ActionBase):
    """Works on registered results; no node is contacted."""

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
        results = {node: variables["hostvars"].get(node, {}) for node in hosts}
        known = {node: models_of(results[node]) for node in hosts}
        nodes = {node: models for node, models in known.items() if models is not None}
        recipes, unusable = all_recipes([*options["recipe_paths"], BUNDLED])
        menu = Menu(
            nodes,
            recipes,
            {node: _why(results[node].get(DISKS)) for node in hosts if node not in nodes},
            datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
            options["tables"],
        )
        written: list[str] = []
        if options["report_dir"]:
            folder = os.path.abspath(options["report_dir"])
            try:
                written = write(menu, folder)
            except OSError as error:
                reason = f"cannot write the report to {folder}: {error.strerror or error}"
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
                {"path": recipe.path, "model": recipe.inferred}
                for recipe in recipes
                if recipe.inferred
            ],
            "warnings": [f"recipe ignored: {reason}" for reason in unusable],
        }


def models_of(variables: Mapping[str, Any]) -> NodeModels | None:
    """The registered models of a node; None where it has not answered."""
    disks = variables.get(DISKS)
    if not isinstance(disks, Mapping) or "models" not in disks:
        return None
    workloads = variables.get(WORKLOADS)
    containers = workloads.get("containers") if isinstance(workloads, Mapping) else None
    return NodeModels(disks["models"], containers, disks["ignored"], int(disks.get("memory", 0)))


def _why(disks: Any) -> str:
    return str(disks["msg"]) if isinstance(disks, Mapping) and disks.get("msg") else "unreachable"
