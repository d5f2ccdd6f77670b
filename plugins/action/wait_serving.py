# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until a server answers the request of its kind, and prints its phase meanwhile.

On the nodes of the other ranks the same task watches their containers. The end of the wait on one
node ends it on all: they signal each other by files in the temporary folder of this
ansible-playbook.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import answered
from ansible_collections.dgxspark.suite.plugins.plugin_utils.follow import (
    KILLED,
    LOST,
    ORPHANED,
    TIMEOUT,
    Follower,
    State,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.load_progress import ServerWords

# Seconds for which a node repeats its look before it reports an unchanged phase. The end of another
# rank is noticed no sooner.
PATIENCE = 4

# The state of a node that does not answer.
UNKNOWN: State = {"phase": "unknown", "detail": "", "last_log": "", "changed": False}

Look = Callable[[dict[str, Any]], State]


class ActionModule(ActionBase):
    """Every look is one run of the module of the same name on the node."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)

        def look(more: dict[str, Any]) -> State:
            state: State = self._execute_module(
                module_name="dgxspark.suite.wait_serving",
                module_args={**arguments, **more},
                task_vars=task_vars,
            )
            return state

        signals = Signals(Path(C.DEFAULT_LOCAL_TMP), str(getattr(self._task, "_uuid", "")))
        wait = (ServerFollower if arguments.get("url") else RankFollower)(look, signals)
        wait.timeout = int(arguments.get("timeout", 1800))
        # A server that is known to run is sent its request at once.
        wait.ask = boolean(arguments.get("ask", False))
        node = str((task_vars or {}).get("inventory_hostname", ""))
        return _signalled(wait.result(wait.follow()), signals, node)


def _signalled(result: State, signals: Signals, node: str) -> State:
    if result.get("failed"):
        signals.set("failed", f"{node}: {result['msg']}")
    elif result["phase"] == "serving":
        signals.set("served", node)
    return result


class Wait(Follower):
    """What the waits for a server and for another rank have in common."""

    ask = False

    def __init__(self, look: Look, signals: Signals) -> None:
        super().__init__()
        self._look, self._signals = look, signals
        self._times: dict[str, float] = {}
        self._started = time.monotonic()

    def look(self) -> State:
        try:
            state = self._look(self.question())
        except AnsibleConnectionFailure as error:
            # A node that loads weights may be too busy for SSH; the time limit decides.
            state = {**UNKNOWN, "detail": str(error)}
        now = time.monotonic() - self._started
        for milestone in _milestones(state):
            self._times.setdefault(milestone, now)
        return state

    def question(self) -> dict[str, Any]:
        """The arguments of the next look that depend on the last one."""
        phase = self.state.get("phase", "")
        # The first look at a healthy server comes back at once, to announce what follows.
        asks = self.ask or phase in ("healthy", "refusing")
        left = self.timeout - (time.monotonic() - self._started)
        return {"ask": asks, "known": phase, "patience": PATIENCE, "remaining": max(left, 1.0)}

    def ended(self, state: State) -> bool:
        final = state.get("phase") in ("serving", "rejected")
        return bool(state.get("failed") or final or self._signals.get("failed"))

    def answered(self, state: State) -> bool:
        return bool(state["phase"] != UNKNOWN["phase"])

    def result(self, why: str) -> State:
        """The last state as the result of the task, with a message if the wait has failed."""
        milestones = durations(self._times)
        state = {**self.state, "elapsed": round(self.elapsed), "phases": milestones}
        failure = self.failure(why, state)
        return {**state, "failed": True, "msg": failure} if failure else state

    def failure(self, why: str, state: State) -> str:
        """Why the wait has failed; empty if it has not."""
        if state.get("failed"):
            return str(state["msg"])
        if state["phase"] == "serving":
            return ""
        if state["phase"] == "rejected":
            return f"The server is up and will not serve this: {state['detail']}"
        if self._signals.get("failed"):
            return f"Another rank has failed. {self._signals.get('failed')}"
        if why == ORPHANED:
            return KILLED
        if why == TIMEOUT:
            return (
                f"No answer within {self.timeout:.0f} s: {state['detail']}. The server is "
                f"{state['phase']}; its log ends with: {state['last_log']}. "
                "Give it longer with -e dgxspark_ready_timeout=SECONDS."
            )
        return ""


class ServerFollower(Wait):
    """Waits for the server of rank 0."""

    interval = 2.0
    silence = 15.0
    eager = True

    def __init__(self, look: Look, signals: Signals) -> None:
        super().__init__(look, signals)
        self._words = ServerWords()

    def line(self, state: State) -> str:
        words = self._words(state["phase"], state["detail"], state["last_log"])
        return f"{self.elapsed:4.0f} s  {words}"


class RankFollower(Wait):
    """Watches a rank that has no server, until it ends or the head has ended the wait."""

    # A look costs as much as one at the head.
    interval = 4.0
    # After so many seconds without an answer a node is lost, and not just busy with loading.
    lost = 300.0

    def ended(self, state: State) -> bool:
        return super().ended(state) or bool(self._signals.get("served"))

    def line(self, state: State) -> str:
        return ""

    def pause(self, seconds: float) -> None:
        """Sleep until the next look, or until another node has ended the wait."""
        while seconds > 0:
            time.sleep(min(1, seconds))
            seconds -= 1
            if self._signals.get("failed") or self._signals.get("served"):
                return

    def failure(self, why: str, state: State) -> str:
        if why == LOST:
            return (
                f"It has not been reachable for more than {self.lost:.0f} s: {state['detail']}. "
                "Launch again when it is back; running containers are kept"
            )
        return super().failure(why, state)


class Signals:
    """What the nodes of one task signal each other, as files that vanish with ansible-playbook."""

    def __init__(self, folder: Path, task: str) -> None:
        self._folder, self._task = folder, task

    def set(self, name: str, text: str) -> None:
        self._path(name).write_text(text or name, encoding="utf-8")

    def get(self, name: str) -> str:
        """The text of a signal; empty if it is not set."""
        try:
            return self._path(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _path(self, name: str) -> Path:
        return self._folder / f"wait-{self._task}-{name}"


def _milestones(state: State) -> list[str]:
    """The milestones that a state shows to be reached."""
    reached = ["Ray formed"] if state.get("joined") else []
    if state.get("phase") in ("healthy", "refusing", "serving"):
        reached.append("model loaded")
    if state.get("phase") == "serving":
        reached.append(f"{answered(state.get('kind', ''))} answered")
    return reached


def durations(times: dict[str, float]) -> list[dict[str, Any]]:
    """The times of milestones as durations since the milestone before, in seconds."""
    out, last = [], 0.0
    for phase, moment in sorted(times.items(), key=lambda item: item[1]):
        out.append({"phase": phase, "seconds": round(moment - last, 1)})
        last = moment
    return out
