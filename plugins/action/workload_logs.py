# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the logs of a node's ranks, and, followed, shows on the screen what comes."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

INTERVAL = 2  # seconds between two looks
# What may come between two looks, per container; more than that is cut at its beginning.
BURST = 2000

display = Display()


class ActionModule(ActionBase):
    """Every look is one run of the module of the same name on the node."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        node = str((task_vars or {}).get("inventory_hostname", ""))
        if not boolean(arguments.get("follow", False)):
            return self._look(arguments, task_vars)
        since: dict[str, str] = {}
        parent = os.getppid()
        while True:
            seen = self._look({**arguments, "since": since}, task_vars)
            for line in seen.get("lines", ()):
                display.display(f"[rank {line['rank']} {node}] {line['text']}")
                since[line["container"]] = line["at"]
            # Killed, ansible-playbook leaves its children behind, in sessions of their own.
            if seen.get("failed") or not seen["running"] or os.getppid() != parent:
                # They have been shown.
                return {**seen, "lines": []}
            arguments["lines"] = BURST
            time.sleep(INTERVAL)

    def _look(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        seen: dict[str, Any] = self._execute_module(
            module_name="dgxspark.suite.workload_logs",
            module_args=arguments,
            task_vars=task_vars,
        )
        return seen
