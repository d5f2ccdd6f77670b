# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a starting model server until it serves, and says on the screen how far it is.

On the nodes that hold its other ranks the same task looks at those. What one of them finds out ends
the wait of all: they tell each other by files in the folder that this ansible-playbook has for
itself.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

INTERVAL = 2  # seconds, at least, between two looks that see the same
# Seconds for which a node looks by itself before it says that nothing has changed. The end of
# another rank is noticed no sooner.
PATIENCE = 4
SILENCE = 15  # seconds after which even an unchanged state is told again
# Of a look at a rank without a server, in seconds: it costs as much as one at the head.
WATCH_INTERVAL = 4
# A node that is not reached for so long is lost, and no longer busy with loading, in seconds.
LOST = 300

display = Display()


class ActionModule(ActionBase):
    """Every look is one run of the module of the same name on the node."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._marks = Marks(Path(C.DEFAULT_LOCAL_TMP), str(getattr(self._task, "_uuid", "")))
        node = str((task_vars or {}).get("inventory_hostname", ""))
        seen = self._wait(task_vars)
        if seen.get("failed"):
            self._marks.set("failed", f"{node}: {seen['msg']}")
        elif seen["phase"] == "serving":
            self._marks.set("served", node)
        return seen

    def _wait(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        arguments = dict(self._task.args)
        limit = int(arguments.get("timeout", 1800))
        watching = not arguments.get("url")
        started = told = time.monotonic()
        parent = os.getppid()
        times: dict[str, float] = {}
        phase = ""
        answered = started
        # What runs already is asked at once.
        eager = boolean(arguments.get("ask", False))
        while True:
            # The first look at a healthy server comes back at once, to announce what follows.
            arguments["ask"] = eager or phase in ("healthy", "refusing")
            asked = time.monotonic()
            seen = self._look({**arguments, "known": phase, "patience": PATIENCE}, task_vars)
            now = time.monotonic()
            seen["elapsed"] = round(now - started)
            for reached in _reached(seen):
                times.setdefault(reached, now - started)
            seen["phases"] = durations(times)
            if seen.get("failed") or seen["phase"] == "serving":
                return seen
            if seen["phase"] == "rejected":
                seen["msg"] = f"The server is up and will not serve this: {seen['detail']}"
                return {**seen, "failed": True}
            elsewhere = self._marks.get("failed")
            if elsewhere:
                seen["msg"] = f"Another rank has failed. {elsewhere}"
                return {**seen, "failed": True}
            if watching and self._marks.get("served"):
                return seen
            if seen["phase"] != "unknown":
                answered = now
            elif watching and now - answered > LOST:
                seen["msg"] = (
                    f"It has not been reached for {now - answered:.0f} s: {seen['detail']}. "
                    "When it is back, launch again: what is there is taken up"
                )
                return {**seen, "failed": True}
            if os.getppid() != parent:
                # Killed, it leaves its children behind, in sessions of their own.
                return {**seen, "failed": True, "msg": "ansible-playbook has ended"}
            if now - started > limit:
                seen["msg"] = (
                    f"No completion within {limit} s: {seen['detail']}. The server is "
                    f"{seen['phase']}; its log ends with: {seen['last_log']}. "
                    "Give it longer with -e dgxspark_ready_timeout=SECONDS."
                )
                return {**seen, "failed": True}
            if not watching and (seen["phase"] != phase or now - told > SILENCE):
                display.display(f"    {seen['elapsed']:4d} s  {self._tell(seen)}")
                told = now
            if watching:
                self._doze()
            elif seen["phase"] == phase and now - asked < INTERVAL:
                time.sleep(INTERVAL - (now - asked))
            phase = seen["phase"]

    def _doze(self) -> None:
        """Sleep until the next look at a watched rank, or until another node knows the end."""
        for _second in range(WATCH_INTERVAL):
            time.sleep(1)
            if self._marks.get("failed") or self._marks.get("served"):
                return

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


class Marks:
    """What the nodes of one task tell each other, as files that vanish with ansible-playbook."""

    def __init__(self, folder: Path, task: str) -> None:
        self._folder, self._task = folder, task

    def set(self, what: str, text: str) -> None:
        self._path(what).write_text(text or what, encoding="utf-8")

    def get(self, what: str) -> str:
        """What was told; empty where nothing was."""
        try:
            return self._path(what).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _path(self, what: str) -> Path:
        return self._folder / f"wait-{self._task}-{what}"


def _reached(seen: dict[str, Any]) -> list[str]:
    """Which milestones a look has seen behind it."""
    reached = ["Ray formed"] if seen.get("joined") else []
    if seen.get("phase") in ("healthy", "refusing", "serving"):
        reached.append("model loaded")
    if seen.get("phase") == "serving":
        reached.append("completion answered")
    return reached


def durations(times: dict[str, float]) -> list[dict[str, Any]]:
    """From when milestones were reached to how long each took after the one before."""
    out, last = [], 0.0
    for phase, moment in sorted(times.items(), key=lambda item: item[1]):
        out.append({"phase": phase, "seconds": round(moment - last, 1)})
        last = moment
    return out
