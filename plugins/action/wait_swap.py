# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows a swap that the nodes do, and prints how far it is. It changes nothing."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.journal import COMPLETE
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.swap_files import (
    OPEN,
    PROVES,
    UNKNOWN,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.follow import (
    KILLED,
    LOST,
    ORPHANED,
    TIMEOUT,
    Follower,
    State,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.load_progress import ServerWords

# Seconds for which the node repeats its look before it reports an unchanged step.
PATIENCE = 4


class ActionModule(ActionBase):
    """Every look is one run of the module of the same name at the decider."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)

        def look(more: dict[str, Any]) -> State:
            return dict(
                self._execute_module(
                    module_name="dgxspark.suite.wait_swap",
                    module_args={**arguments, **more},
                    task_vars=task_vars,
                )
            )

        follower = SwapFollower(look)
        follower.timeout = int(arguments.get("timeout", 7200))
        return follower.result(follower.follow())


class SwapFollower(Follower):
    """Looks at the decider until the swap has ended."""

    interval = 1.0
    silence = 15.0
    eager = True
    # Of a decider that is reached and knows nothing of the swap: its guard cannot run.
    lost = 120.0

    def __init__(self, look: Any) -> None:
        super().__init__()
        self._look = look
        self._words = ServerWords()

    def look(self) -> State:
        try:
            state = self._look({"known": self.state.get("step", ""), "patience": PATIENCE})
        except AnsibleConnectionFailure as error:
            # The node may be too busy with loading for SSH, or may be booting: the swap goes on.
            state = {"phase": UNKNOWN, "step": "", "unreachable": True, "msg": str(error)}
        return {**state, "result": state.get("phase", UNKNOWN), "phase": _news(state)}

    def ended(self, state: State) -> bool:
        return bool(state.get("failed")) or state["result"] not in (OPEN, UNKNOWN)

    def answered(self, state: State) -> bool:
        return bool(state.get("unreachable")) or state["result"] != UNKNOWN

    def line(self, state: State) -> str:
        return f"{self.elapsed:4.0f} s  {self._describe(state)}"

    def _describe(self, state: State) -> str:
        if state["result"] == UNKNOWN:
            return "the decider does not answer; the nodes go on"
        missing = ", ".join(state.get("missing", ()))
        if missing:
            return f"{state['step']}; no answer from {missing}"
        if state["step"] != PROVES:
            return str(state["step"])
        return self._words(state["server"], "", state["last_log"])

    def result(self, why: str) -> State:
        """The last state as the result of the task, with a message if the swap has failed."""
        state = {**self.state, "phase": self.state["result"], "elapsed": round(self.elapsed)}
        if state["phase"] == COMPLETE and not state.get("failed"):
            return state
        return {**state, "failed": True, "msg": self._failure(why, state)}

    def _failure(self, why: str, state: State) -> str:
        if state.get("failed"):
            return str(state.get("msg"))
        if why == LOST:
            return "The decider does not do the swap: see journalctl --unit 'dgxspark-swap@*' there"
        if why == ORPHANED:
            return KILLED
        if why == TIMEOUT:
            return f"The swap has not ended within {self.timeout:.0f} s; the nodes go on"
        return str(state["why"]) or f"The swap ended: {state['phase']}"


def _news(state: State) -> str:
    """What a line is printed for when it changes."""
    return "|".join(str(state.get(key, "")) for key in ("phase", "step", "missing", "server"))
