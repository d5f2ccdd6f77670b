# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What the guards of the decider and of a participant have in common, see swap_guard.py."""

# Of a program and no module.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command, foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import systemd
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    memory,
    start_permit,
    starting,
    supervisor,
    swap_files,
    swap_node,
    swap_rules,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.swap_rules import (
    FAILED,
)

VERSION = 1
UNIT = "dgxspark-swap@%s.service"
ENGINE = "docker.service"

BEAT, SILENCE = 5.0, 30.0  # seconds between two beats; without a message until a peer is lost
TURN = 0.5  # seconds of a turn, at most
PAUSE = 1.0  # seconds between two tries to reach the decider, or Docker
EAGER, SOON = 0.2, 30.0  # the same for the first seconds, in which the decider is armed
FAREWELL = 86400.0  # seconds for which the decider answers those who have not heard the end
LATE = 600.0  # the same after its restart
LOSSES = 5  # losses in one swap, at most, whether or not an attempt had begun
MEET = 45.0  # seconds for the supervisors of the new plan to meet
# What is shown while an act is done.
STEPS = {
    swap_rules.PLACE_NEW: "makes the new plan permanent",
    swap_rules.DROP_OLD: "removes the old plan",
    swap_rules.PLACE_OLD: "brings the old plan back",
    swap_rules.DROP_NEW: "removes the new plan",
    swap_rules.STOP_NEW: "does not hear the decider: stops the new plan",
}
# What a guard says besides the words of the rules.
PERMIT, GRANTED, LOST, BYE = "permit", "granted", "lost", "bye"


class Job:
    """What takes long, beside the line: the guard goes on to beat meanwhile."""

    def __init__(self, work: t.Callable[[], t.Any]) -> None:
        self.value: t.Any = None
        self.error: Exception | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.value = self._work()
        except Exception as error:  # whatever it is, the guard has to know
            self.error = error

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()


class Watch:
    """Whether a container that was started has ended, and whether by itself."""

    def __init__(self, docker: str, container: str) -> None:
        self._engine = engine_of()
        self._process = subprocess.Popen(
            [docker, "wait", container],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ended(self) -> str:
        """Empty while it runs; FAILED where it has ended, LOST where Docker has ended it."""
        if self._process.poll() is None:
            return ""
        return FAILED if engine_of() == self._engine else LOST

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def engine_of() -> tuple[str, int]:
    """What changes when the Docker engine restarts, or is about to: its state and its process."""
    units = systemd.ask_units(swap_node.SYSTEMCTL, [ENGINE], swap_node.ASK)[0]
    return (units[ENGINE].active, units[ENGINE].pid) if ENGINE in units else ("", 0)


class Guard:
    """What the guards of the decider and of a participant have in common."""

    def __init__(self, part: swap_files.Part, folder: str = swap_files.FOLDER) -> None:
        self.part = part
        self.folder = folder
        self.swap = part.swap
        self.me = str(self.swap["me"])
        self.service = str(self.swap["service"])
        self.limits: t.Mapping[str, t.Any] = self.swap["limits"]
        self.rules = swap_rules.Rules()
        self.node = swap_node.SwapNode(self.swap, folder)
        self.job: Job | None = None
        self.after: t.Callable[[Job], None] | None = None
        self.watch: Watch | None = None
        self.permit = start_permit.Permit(
            self.service,
            start_permit.order_of(str(self.swap.get("claim", "")), memory.total()),
            lambda: starting.others(self.node.docker, self.service, start_permit.FOLDER),
            start_permit.FOLDER,
            alone=True,
        )
        self.step = ""
        self._since = time.time()
        self._beaten = 0.0
        self._shown: t.Mapping[str, t.Any] = {}
        self._here: swap_rules.Here | None = None

    @property
    def state(self) -> str:
        return self.part.state

    def become(self, state: str) -> None:
        if state != self.state:
            self.part = swap_files.become(self.part, state, self.folder)
            say("%s: %s" % (self.service, state))
        self._here = None

    def wish(self) -> str:
        """What a controller wishes now."""
        part = swap_files.read(self.service, self.folder)
        if part:
            self.part = self.part._replace(without=part.without)
        return part.wish if part else ""

    def lacking(self) -> list[str]:
        """The nodes of the old plan for which nobody waits, by the word of a person."""
        ranks = self.swap["old"].get("ranks", ())
        return sorted(self.part.without & {str(rank["node"]) for rank in ranks})

    def here(self) -> swap_rules.Here:
        """What there is on this node, looked at again after whatever may have changed it."""
        if self._here is None or self._here.state != self.state:
            self._here = self.node.here(self.state)
        return self._here

    def forget(self) -> None:
        self._here = None

    # Work beside the line.

    def begin(self, step: str, work: t.Callable[[], t.Any], after: t.Callable[[Job], None]) -> None:
        self.show(step)
        self.job, self.after = Job(work), after

    def finish_job(self) -> bool:
        """Whether nothing is being done, after what follows from what was."""
        if self.job is None:
            return True
        if not self.job.done:
            return False
        job, after = self.job, self.after
        self.job = self.after = None
        self.forget()
        if job.error:
            say("%s: %s" % (self.step, foreign.line(str(job.error)[:1000])))
        if after:
            after(job)
        return self.job is None

    def start_watch(self) -> None:
        if self.watch is None:
            identifier = self.node.new_id()
            if identifier:
                self.watch = Watch(self.node.docker, identifier)

    def _pause_after_error(self, job: Job) -> None:
        if job.error:
            time.sleep(PAUSE)

    def end_watch(self) -> None:
        if self.watch:
            self.watch.end()
            self.watch = None

    def suspend(self) -> dict[str, float]:
        """Both plans idle on this node, and their memory released: the seconds of both."""
        begun = time.monotonic()
        here = self.node.here(self.state)
        acts = self.rules.suspends(here)
        for act in acts:
            self.node.do(act)
        self.node.clear()
        stopped = time.monotonic() - begun
        waited = self.node.release() if acts else 0.0
        return {"stop": round(stopped, 1), "memory": round(waited, 1)}

    # What is shown.

    def show(self, step: str, **more: t.Any) -> None:
        """Report a step to systemd, and to everybody who reads the progress."""
        if step != self.step:
            self._since = time.time()
        self.step = foreign.line(step[:500])
        progress = {
            "schema": swap_files.SCHEMA,
            "service": self.service,
            "id": self.part.id,
            "me": self.me,
            "decider": self.swap["decider"],
            "owner": foreign.line(str(self.swap["owner"])),
            "recipe": self.swap["new"]["recipe"],
            "state": self.state,
            "step": self.step,
            "attempt": self.part.tries,
            "pid": os.getpid(),
            "since": self._since,
            **more,
        }
        if progress != self._shown:
            self._shown = progress
            swap_files.publish(progress)
            supervisor.notify("READY=1\nSTATUS=%s: %s" % (self.state, self.step))

    def close(self) -> None:
        """Leave no guard of this swap behind."""
        self.end_watch()
        self.permit.free()
        swap_files.end(self.service, self.folder)
        command.run([swap_node.SYSTEMCTL, "disable", UNIT % self.service], swap_node.ASK)


def about(hello: t.Mapping[str, t.Any]) -> bytes:
    """What the proofs of both ends are about."""
    return json.dumps([hello["version"], hello["swap"], hello["node"]]).encode()


def say(text: str) -> None:
    """A line in the guard's journal."""
    print(text, flush=True)
