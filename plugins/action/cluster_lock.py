# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds to a request for the cluster lock who asks.

The lock of a launch names the ansible-playbook that took it. If that was a process of this
controller and it has ended, by a kill or by Ctrl-C, the next run takes the lock over without
waiting for the expiry. A reservation outlives its ansible-playbook.
"""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()


class ActionModule(ActionBase):
    """One run of the module, and a second one if the first was refused for an ended holder."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        given = dict(self._task.args)
        if given.get("state", "held") == "held":
            # A launch within a reservation passes its token, and gets an id of its own.
            if given.pop("run", ""):
                given["run"] = secrets.token_hex(8)
            given["token"] = given.get("token") or secrets.token_hex(16)
            given["owner"] = given.get("owner") or _user()
            if boolean(given.pop("bound", False)):
                # Tasks run in children of ansible-playbook.
                given["holder"] = process(os.getppid())
        answer = self._ask(given, task_vars)
        blocker = answer.get("blocker")
        if blocker and has_ended(blocker.get("holder") or {}):
            return self._ask({**given, "gone": blocker["token"]}, task_vars)
        return answer

    def _ask(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="dgxspark.suite.cluster_lock",
            module_args=arguments,
            task_vars=task_vars,
        )
        if answer.get("taken_from"):
            display.warning(f"Took over the cluster lock from {answer['taken_from']}")
        for other in answer.get("announced", ()):
            display.warning(f"The cluster is announced for {other}")
        return answer


def process(pid: int, proc: Path = Path("/proc")) -> dict[str, Any]:
    """What identifies a process of this machine or container; empty if that is unknown.

    A process id is reused; together with the start time of its process it is unique.
    """
    try:
        return {
            "machine": _machine(proc),
            "pid": pid,
            "start": _start(proc, pid),
        }
    except (OSError, IndexError):
        return {}


def has_ended(holder: Mapping[str, Any], proc: Path = Path("/proc")) -> bool:
    """Whether a holder was a process of this machine and has ended; False if that is unknown."""
    try:
        if not holder or holder["machine"] != _machine(proc):
            return False
        return bool(_start(proc, int(holder["pid"])) != holder["start"])
    except FileNotFoundError:
        return True
    except (OSError, LookupError, ValueError):
        return False


def _machine(proc: Path) -> str:
    """This boot of this machine, and its namespace of process ids."""
    boot = (proc / "sys/kernel/random/boot_id").read_text("ascii").strip()
    return f"{boot} {os.readlink(proc / 'self/ns/pid')}"


def _start(proc: Path, pid: int) -> str:
    """When a process started, in clock ticks since the boot. Raises OSError, IndexError."""
    # Its name, in parentheses, may have blanks and parentheses.
    return (proc / str(pid) / "stat").read_text("utf-8").rpartition(")")[2].split()[19]


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in containers
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
