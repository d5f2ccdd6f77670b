# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds to a request for the cluster lock who asks, and waits while another run holds it.

The lock of a launch names the ansible-playbook that took it. If that was a process of this
controller and it has certainly ended, by a kill or by Ctrl-C, the next run takes the lock over
without waiting for the expiry. A reservation outlives its ansible-playbook.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.dgxspark.suite.plugins.module_utils.host.foreign import (
    Foreign,
    shown,
    whole,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import (
    again,
    ending,
    playbook_command,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.follow import (
    KILLED,
    ORPHANED,
    Follower,
    State,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.quantities import duration

display = Display()

# Seconds to wait for a run that holds the lock: most launches end earlier.
WAIT = 1800


class ActionModule(ActionBase):
    """One run of the module, a second one if the first was refused for an ended holder, and more
    while another run holds the lock and there is time to wait.
    """

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        given = dict(self._task.args)
        try:
            wait = whole(str(given.pop("wait", 0)))
        except Foreign as problem:
            reason = f"The time to wait for the lock, in seconds: {problem}"
            return led_on({"failed": True, "msg": reason}, False)
        if given.get("state", "held") == "held":
            # A launch within a reservation passes its token, and gets an id of its own.
            if given.pop("run", ""):
                given["run"] = secrets.token_hex(8)
            given["token"] = given.get("token") or secrets.token_hex(16)
            given["owner"] = given.get("owner") or _user(task_vars or {})
            if boolean(given.pop("bound", False)):
                # Tasks run in children of ansible-playbook.
                given["holder"] = process(os.getppid())
                given["bound"] = True
        if wait and not self._task.check_mode:
            return led_on(Waiting(lambda: self._request(given, task_vars), wait).result(), False)
        return led_on(self._request(given, task_vars), True)

    def _request(self, given: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The answer of the module; a holder that has ended is taken over."""
        answer = self._ask(given, task_vars)
        blocker = answer.get("blocker")
        holder = blocker.get("holder") if isinstance(blocker, Mapping) else None
        if has_ended(holder):
            return self._ask({**given, "gone": holder}, task_vars)
        return answer

    def _ask(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="dgxspark.suite.cluster_lock",
            module_args=arguments,
            task_vars=task_vars,
        )
        if answer.get("taken_from"):
            display.warning(f"Took over the cluster lock from {shown(str(answer['taken_from']))}")
        for other in answer.get("announced", ()):
            display.warning(f"The cluster is announced for {shown(str(other))}")
        return answer


class Waiting(Follower):
    """Requests the lock until it is held, a reservation holds it, or the time is over."""

    interval = 5.0
    silence = 15.0
    lost = 60.0

    def __init__(self, request: Callable[[], State], seconds: float) -> None:
        super().__init__()
        self._request, self.timeout = request, seconds

    def look(self) -> State:
        return self._request()

    def ended(self, state: State) -> bool:
        return self.answered(state) and not (state.get("failed") and state.get("by_run") is True)

    def pause(self, seconds: float) -> None:
        super().pause(max(min(seconds, self.timeout - self.elapsed), 0.0))

    def line(self, state: State) -> str:
        left = duration(max(self.timeout - self.elapsed, 0.0))
        if not self.answered(state):
            return f"waiting for the cluster lock: no answer, {left} left: {state.get('msg', '')}"
        held = state.get("lock")
        lock = held if isinstance(held, Mapping) else {}
        reason = f" ({lock['reason']})" if lock.get("reason") else ""
        since = lock.get("run_since") or lock.get("since", "an unknown time")
        return (
            f"waiting for the cluster lock of {lock.get('owner', 'an unknown owner')}{reason}, "
            f"held since {since}; {left} left"
        )

    def result(self) -> State:
        """The answer to the last request; a refusal has the time that was waited."""
        why = self.follow()
        if why == ORPHANED:
            return {"failed": True, "msg": KILLED}
        if self.state.get("failed") and self.state.get("by_run") is True:
            waited = f"Waited {duration(self.elapsed)}. {self.state.get('msg', '')}"
            return {**self.state, "msg": waited}
        return self.state


def led_on(answer: dict[str, Any], may_wait: bool) -> dict[str, Any]:
    """An answer; a failure ends with the command to type next.

    may_wait: whether waiting for the end of a run is worth a try.
    """
    if not answer.get("failed"):
        return answer
    command = ""
    if may_wait and answer.get("by_run") is True:
        command = again("-e", f"lock_wait={WAIT}")
    message = str(answer.get("msg", ""))
    return {**answer, "msg": ending(message, command or playbook_command("status"))}


def process(pid: int, proc: Path = Path("/proc")) -> dict[str, Any]:
    """What identifies a process of this machine or container; empty if that is unknown.

    A process id is reused; together with the start time of its process it is unique.
    """
    try:
        return {"machine": _machine(proc), "pid": pid, "start": _start(proc, pid)}
    except (OSError, IndexError):
        return {}


def has_ended(holder: object, proc: Path = Path("/proc")) -> bool:
    """Whether a holder was a process of this machine and has certainly ended."""
    if not isinstance(holder, Mapping):
        return False
    pid, start = holder.get("pid"), holder.get("start")
    if not isinstance(pid, int) or pid < 1 or not isinstance(start, str):
        return False
    try:
        if holder.get("machine") != _machine(proc):
            return False
    except OSError:  # as where there is no /proc
        return False
    try:
        return _start(proc, pid) != start
    except FileNotFoundError:
        return not _exists(pid)
    except (OSError, IndexError):
        return False


def _exists(pid: int) -> bool:
    """Whether there is such a process; /proc may hide those of other users (hidepid)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _machine(proc: Path) -> str:
    """This machine, its boot, and the namespace of process ids, as a hash. Raises OSError."""
    try:
        machine = Path("/etc/machine-id").read_text("ascii", "replace").strip()
    except FileNotFoundError:  # as in containers
        machine = ""
    boot = (proc / "sys/kernel/random/boot_id").read_text("ascii", "replace").strip()
    # The id of a machine is confidential.
    known = f"{machine} {boot} {os.readlink(proc / 'self/ns/pid')}"
    return hashlib.sha256(known.encode()).hexdigest()[:32]


def _start(proc: Path, pid: int) -> str:
    """When a process started, in clock ticks since the boot. Raises OSError, IndexError."""
    # Its name, in parentheses, may have blanks and parentheses.
    return (proc / str(pid) / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[19]


def _user(variables: Mapping[str, Any]) -> str:
    """Who runs Ansible: user@controller; in a job of AWX, whose pod has neither, its user."""
    for tool in ("awx", "tower"):
        name = variables.get(f"{tool}_user_name") or variables.get(f"{tool}_schedule_name")
        if name:
            return f"{name}@{tool}-job-{variables.get(f'{tool}_job_id', 'unknown')}"
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in containers
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
