# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a starting model server until it serves, and says on the screen how far it is."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

INTERVAL = 2  # seconds between two looks
SILENCE = 15  # seconds after which even an unchanged state is told again

display = Display()


class ActionModule(ActionBase):
    """Every look is one run of the module of the same name on the node."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        limit = int(arguments.get("timeout", 1800))
        started = told = time.monotonic()
        phase = ""
        while True:
            # The first look at a healthy server comes back at once, to announce what follows.
            arguments["ask"] = phase in ("healthy", "refusing")
            seen = self._look(arguments, task_vars)
            now = time.monotonic()
            seen["elapsed"] = round(now - started)
            if seen.get("failed") or seen["phase"] == "serving":
                return seen
            if seen["phase"] == "rejected":
                seen["msg"] = f"The server is up and will not serve this: {seen['detail']}"
                return {**seen, "failed": True}
            if now - started > limit:
                seen["msg"] = (
                    f"No completion within {limit} s: {seen['detail']}. The server is "
                    f"{seen['phase']}; its log ends with: {seen['last_log']}. "
                    "Give it longer with -e dgxspark_ready_timeout=SECONDS."
                )
                return {**seen, "failed": True}
            if seen["phase"] != phase or now - told > SILENCE:
                display.display(f"    {seen['elapsed']:4d} s  {self._tell(seen)}")
                told = now
            if seen["phase"] != "healthy" or phase == "healthy":
                time.sleep(INTERVAL)
            phase = seen["phase"]

    def _look(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        try:
            seen: dict[str, Any] = self._execute_module(
                module_name="dgxspark.suite.wait_serving",
                module_args=arguments,
                task_vars=task_vars,
            )
        except AnsibleConnectionFailure as error:
            # A node that loads weights may be too busy for SSH; the time limit decides.
            return {"phase": "unknown", "detail": str(error), "last_log": "", "changed": False}
        return seen

    @staticmethod
    def _tell(seen: dict[str, Any]) -> str:
        if seen["phase"] == "healthy":
            return "healthy: /health answers, asking for a completion (the first one may compile)"
        if seen["phase"] == "refusing":
            return f"refusing: {seen['detail']}"
        return f"{seen['phase']}: {seen['last_log'][:100] or seen['detail']}"
