# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the logs of a node's ranks and, with `follow`, prints new lines as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.follow import Follower, State

# The most lines of one container between two looks; of more, the oldest are left out.
BURST = 2000
FIELDS = ("at", "container", "rank", "text")

display = Display()


class ActionModule(ActionBase):
    """Every look is one run of the module of the same name on the node."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)

        def look(more: dict[str, Any]) -> State:
            state: State = self._execute_module(
                module_name="dgxspark.suite.workload_logs",
                module_args={**arguments, **more},
                task_vars=task_vars,
            )
            return displayable(state)

        if not boolean(arguments.get("follow", False)):
            return look({})
        logs = Logs(look, str((task_vars or {}).get("inventory_hostname", "")))
        logs.follow()
        # Its lines have been printed.
        return {**logs.state, "lines": []}


def displayable(state: State) -> State:
    """The answer of a node, whose lines end up on a terminal. What is no line is left out."""
    given = state.get("lines")
    lines = [
        {field: foreign.line(line[field]) for field in FIELDS}
        for line in (given if isinstance(given, list) else ())
        if isinstance(line, dict) and all(isinstance(line.get(field), str) for field in FIELDS)
    ]
    return {**state, "lines": lines} if "lines" in state else state


class Logs(Follower):
    """Prints new lines until the containers have ended."""

    interval = 2.0

    def __init__(self, look: Callable[[dict[str, Any]], State], node: str) -> None:
        super().__init__()
        self._look, self._node = look, node
        # Container -> time stamp of its last line.
        self._since: dict[str, str] = {}

    def look(self) -> State:
        more: dict[str, Any] = {"lines": BURST} if self.state else {}
        state = self._look({**more, "since": dict(self._since)})
        for line in state.get("lines", ()):
            display.display(f"[rank {line['rank']} {self._node}] {line['text']}")
            self._since[line["container"]] = line["at"]
        return state

    def ended(self, state: State) -> bool:
        return not (self.answered(state) and state.get("running"))

    def line(self, state: State) -> str:
        return ""
