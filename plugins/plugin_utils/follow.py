# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions over work on a model that goes on beside the task; see module_utils/host/job.py."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.dgxspark.suite.plugins.plugin_utils.menu import size

FIRST = 0.3  # seconds to the first look; each wait is twice as long as the one before
INTERVAL = 1.5  # seconds between two looks at most
SILENCE = 5  # seconds between two lines
# Less than what it takes the node to believe that nobody wants to know any more, in seconds.
LOST = 50

display = Display()


class FollowAction(ActionBase):
    """Begins it, says on the screen how far it is, and returns how it ended.

    Every step is one run of the module of the same name: the first returns `id` and `bytes`, the
    others get `id` and return `phase` and `progress`.
    """

    module = ""
    # What goes on, in words.
    what = ""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        begun = self._step(dict(self._task.args), task_vars)
        if begun.get("failed") or not begun.get("id"):
            return begun
        ended = self._follow(begun, task_vars)
        ended.pop("phase", None)
        ended.pop("progress", None)
        if ended.get("failed"):
            begun.pop("manifest", None)
        return {**begun, **ended, "id": ""}

    def asking(self, begun: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a look."""
        return {"id": begun["id"]}

    def _follow(self, begun: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        arguments = self.asking(begun)
        node = str((task_vars or {}).get("inventory_hostname", ""))
        parent = os.getppid()
        told, pace, wait = 0.0, Pace(begun["bytes"]), FIRST
        phase, answered = "", time.monotonic()
        while True:
            time.sleep(wait)
            wait = min(2 * wait, INTERVAL)
            now = time.monotonic()
            if os.getppid() != parent:
                # Killed, it leaves its children behind; the node ends the work for itself.
                return {"failed": True, "msg": "ansible-playbook has ended"}
            try:
                seen = self._step(arguments, task_vars)
            except AnsibleConnectionFailure as error:
                seen = {"unreachable": True, "msg": str(error)}
            if seen.get("unreachable"):
                if now - answered > LOST:
                    return {
                        "failed": True,
                        "msg": f"{node} is not reached any more: {seen.get('msg', '')}. The"
                        f" {self.what} there ends by itself. Run again; what has arrived is kept",
                    }
                continue
            answered = now
            if seen.get("failed") or seen["phase"] == "done":
                return seen
            if wait == INTERVAL and (seen["phase"] != phase or now - told > SILENCE):
                display.display(f"    {node}: {pace.line(now, seen)}")
                told, phase = now, seen["phase"]

    def _step(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name=f"dgxspark.suite.{self.module}",
            module_args=arguments,
            task_vars=task_vars,
        )
        return result


class Pace:
    """How fast a phase goes, in the time since its first look."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._phase = ""
        self._since = 0.0
        self._from = 0

    def line(self, now: float, seen: dict[str, Any]) -> str:
        """fetching: 3.2 GiB of 28.7 GiB, 110.0 MiB/s, 4 min left."""
        there = int(seen["progress"])
        if seen["phase"] != self._phase:
            self._phase, self._since, self._from = seen["phase"], now, there
        parts = [f"{size(there)} of {size(self._total)}"]
        if now > self._since and there > self._from:
            rate = (there - self._from) / (now - self._since)
            parts += [f"{size(round(rate))}/s", f"{left((self._total - there) / rate)} left"]
        return f"{seen['phase']}: {', '.join(parts)}"


def left(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
