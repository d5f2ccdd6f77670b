# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one progress loop: inspect something on a node until it has ended, and print how far it is.

Follower is the loop. FollowAction is an action plugin over a background job of the node, see
module_utils/host/job.py.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.quantities import duration, size

State = dict[str, Any]

# Why a Follower has stopped.
ENDED = "ended"
LOST = "lost"
TIMEOUT = "timeout"
ORPHANED = "orphaned"

KILLED = "ansible-playbook has ended"

display = Display()


class Follower:
    """Inspects something again and again until it has ended. Subclasses say what, and when.

    A state is what a module returned; `phase` is the only key that the loop itself reads. After
    `follow`, and in all hooks, `state` is the last state and `elapsed` its age since the beginning,
    in seconds.
    """

    # All in seconds. Between the beginnings of two looks.
    interval = 1.5
    # Before the first look; each pause is twice as long as the one before, up to interval.
    first = 0.0
    # At the beginning, when nothing is printed yet.
    quiet = 0.0
    # After which a line is printed even where the phase has not changed.
    silence = 5.0
    # Without an answer, after which following ends.
    lost = math.inf
    # Altogether, after which following ends. A look that ends it late still counts.
    timeout = math.inf
    # Whether a change of phase is followed by the next look at once.
    eager = False

    def __init__(self) -> None:
        self.state: State = {}
        self.elapsed = 0.0

    def look(self) -> State:
        """The present state. May raise AnsibleConnectionFailure, or return one as `unreachable`."""
        raise NotImplementedError

    def ended(self, state: State) -> bool:
        """Whether this state, of an answer or not, is the last."""
        raise NotImplementedError

    def line(self, state: State) -> str:
        """How far it is, in one line; empty to print nothing."""
        raise NotImplementedError

    def answered(self, state: State) -> bool:
        """Whether a state is news of what is followed."""
        return not state.get("unreachable")

    def pause(self, seconds: float) -> None:
        """Wait until the next look."""
        time.sleep(seconds)

    def follow(self) -> str:
        """Look until it has ended; ENDED, LOST, TIMEOUT or ORPHANED."""
        parent = os.getppid()
        started = answered = time.monotonic()
        printed, printed_phase = -math.inf, ""
        wait = pause = self.first
        while True:
            if wait > 0:
                self.pause(wait)
            asked = time.monotonic()
            before = self.state.get("phase", "")
            self.state = self._looked()
            now = time.monotonic()
            self.elapsed = now - started
            if self.ended(self.state):
                return ENDED
            if self.answered(self.state):
                answered = now
            elif now - answered > self.lost:
                return LOST
            if os.getppid() != parent:
                # Killed, ansible-playbook leaves its children behind, in sessions of their own.
                return ORPHANED
            if self.elapsed > self.timeout:
                return TIMEOUT
            phase = self.state.get("phase", "")
            overdue = now - printed > self.silence
            if self.elapsed >= self.quiet and (phase != printed_phase or overdue):
                self._print(self.line(self.state))
                printed, printed_phase = now, phase
            pause = min(2 * pause or self.interval, self.interval)
            wait = 0 if self.eager and phase != before else pause - (now - asked)

    def _looked(self) -> State:
        try:
            return self.look()
        except AnsibleConnectionFailure as error:
            return {"unreachable": True, "msg": str(error)}

    @staticmethod
    def _print(line: str) -> None:
        if line:
            display.display(f"    {foreign.line(line)}")


class FollowAction(ActionBase):
    """Begins a background job on the node, prints how far it is, and returns how it ended.

    Every step is one run of the module of the same name. The first returns the job's name (empty
    where there is nothing to follow) and `bytes`; the others get that name and return `phase` and
    `progress`, and where the first could not know it, `total`.
    """

    module = ""
    # The result and the option that name the job.
    key = "id"
    # What goes on, as a noun.
    what = ""
    # What becomes of it when the node is lost.
    after_loss = "ends by itself. Run again; what has arrived is kept"
    # Whether the size is an estimate.
    estimated = False
    # Less than after what time the job ends because nobody asks for it, in seconds.
    lost = 50.0

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        begun = self._step(dict(self._task.args), task_vars)
        if begun.get("failed") or not begun.get(self.key):
            return begun
        ended = self._follow(begun, task_vars)
        for key in ("phase", "progress", "total"):
            ended.pop(key, None)
        if ended.get("failed"):
            begun.pop("manifest", None)
        return {**begun, **ended, self.key: ""}

    def asking(self, begun: State) -> dict[str, Any]:
        """The arguments of a look."""
        return {self.key: begun[self.key]}

    def patience(self) -> float:
        """For how long the node may be unreachable, in seconds."""
        return self.lost

    def _follow(self, begun: State, task_vars: dict[str, Any] | None) -> State:
        arguments = self.asking(begun)
        node = str((task_vars or {}).get("inventory_hostname", ""))
        pace = Pace(int(begun["bytes"]), self.estimated)
        job = _Job(lambda: self._step(arguments, task_vars), node, pace)
        job.lost = self.patience()
        why = job.follow()
        if why == ENDED:
            return job.state
        if why == ORPHANED:
            return {"failed": True, "msg": KILLED}
        reason = job.state.get("msg", "")
        return {
            "failed": True,
            "msg": f"{node} has not been reachable for {job.lost:.0f} s: {reason}."
            f" The {self.what} there {self.after_loss}",
        }

    def _step(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> State:
        result: State = self._execute_module(
            module_name=f"dgxspark.suite.{self.module}",
            module_args=arguments,
            task_vars=task_vars,
        )
        return result


class _Job(Follower):
    """Follows a background job of a node."""

    first = 0.3
    quiet = 2.0

    def __init__(self, look: Callable[[], State], node: str, pace: Pace) -> None:
        super().__init__()
        self._look, self._node, self._pace = look, node, pace

    def look(self) -> State:
        return self._look()

    def ended(self, state: State) -> bool:
        return self.answered(state) and bool(state.get("failed") or state["phase"] == "done")

    def line(self, state: State) -> str:
        if not self.answered(state):
            return f"{self._node}: not reachable: {state.get('msg', '')}"
        return f"{self._node}: {self._pace.line(self.elapsed, state)}"


class Pace:
    """How fast a phase goes, from its first bytes on."""

    # Phases whose progress is no number of bytes.
    COUNTED: Mapping[str, str] = {"pulling": "layers"}

    def __init__(self, total: int, estimated: bool = False) -> None:
        """total: bytes, 0 where not known. estimated: whether it is not exact."""
        self._total = total
        self._of = "of about" if estimated else "of"
        self._phase = ""
        self._since = 0.0
        self._from = 0

    def line(self, now: float, state: State) -> str:
        """fetching: 3.2 GiB of 28.7 GiB, 110.0 MiB/s, 4 min left."""
        phase, done = state["phase"], int(state["progress"])
        total = int(state.get("total") or self._total)
        if phase in self.COUNTED:
            return f"{phase}: {done} of {total} {self.COUNTED[phase]}"
        if phase != self._phase or not self._from:
            self._phase, self._since, self._from = phase, now, done
        parts = [f"{size(done)} {self._of} {size(total)}" if total else size(done)]
        if now > self._since and done > self._from:
            rate = (done - self._from) / (now - self._since)
            parts.append(f"{size(round(rate))}/s")
            if total > done:
                parts.append(f"{duration((total - done) / rate)} left")
        return f"{phase}: {', '.join(parts)}"
