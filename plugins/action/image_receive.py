# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for an image that comes to a node, and says on the screen how far it is."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

INTERVAL = 1.0  # seconds between two looks
PATIENCE = 2.0  # seconds for which nothing needs to be said
SILENCE = 5.0  # seconds between two lines

display = Display()


class ActionModule(ActionBase):
    """Every look is one run of the module of the same name on the node."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        node = str((task_vars or {}).get("inventory_hostname", ""))
        arguments = dict(self._task.args)
        total = int(arguments.get("bytes") or 0)
        started = time.monotonic()
        told = started + PATIENCE - SILENCE
        parent = os.getppid()
        flow = Flow()
        seen = self._look(arguments, task_vars)
        while not seen.get("failed") and not seen.get("done"):
            if os.getppid() != parent:
                # Killed, it leaves its children behind; the transfer itself goes on.
                return {**seen, "failed": True, "msg": "ansible-playbook has ended"}
            now = time.monotonic()
            if now - told > SILENCE:
                text = progress(seen.get("status") or {}, total, flow.rate(seen, now))
                display.display(f"    {node} {now - started:4.0f} s  {text}")
                told = now
            time.sleep(INTERVAL)
            try:
                seen = self._look({**arguments, "waiting": True}, task_vars)
            except AnsibleConnectionFailure as error:
                # A node that unpacks may be too busy for SSH for a moment; the transfer decides.
                if now - started > int(arguments.get("seconds") or 14400):
                    return {"failed": True, "msg": str(error)}
        return seen

    def _look(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        seen: dict[str, Any] = self._execute_module(
            module_name="dgxspark.suite.image_receive",
            module_args=arguments,
            task_vars=task_vars,
        )
        return seen


class Flow:
    """How fast bytes come, from when the first ones were seen."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def rate(self, seen: dict[str, Any], now: float) -> float:
        """Bytes per second; 0 where there is nothing to compare with yet."""
        count = int((seen.get("status") or {}).get("bytes") or 0)
        if not count:
            return 0
        if self._first is None:
            self._first = now, count
        moment, before = self._first
        return (count - before) / (now - moment) if now > moment else 0


def progress(status: dict[str, Any], total: int, rate: float) -> str:
    """How far a transfer is, in words. total: bytes; rate: bytes per second; 0 where not known."""
    count = int(status.get("bytes") or 0)
    if status.get("arrived"):
        return f"{size(count)} have come, Docker unpacks them"
    if count:
        share = f" of about {size(total)}" if total else ""
        return f"{size(count)}{share}" + (f", {size(rate)}/s" if rate else "")
    if status.get("layers"):
        return f"{status['layers_done']} of {status['layers']} layers"
    return "waiting for the first bytes"


def size(count: float) -> str:
    """1.2 GB for 1200000000."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
