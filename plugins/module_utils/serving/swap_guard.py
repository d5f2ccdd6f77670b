# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Carries out a swap of one service, on each node that takes part; the program of its unit.

A controller arms the nodes, and its last act is the wish to go. From then on the guards replace the
old plan by the new one by themselves: that of the decider says what happens next and decides, the
others follow it. What the rules in swap_rules.py say is done by swap_node.py; what has to outlive a
guard is on the disk by swap_files.py. A guard that was killed begins where it was.

    python3 swap_guard.py SERVICE
"""

# A program and no module.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import typing as t
from contextlib import suppress

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command, foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import EngineError
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    history,
    journal,
    kinds,
    lock,
    memory,
    readiness,
    start_permit,
    starting,
    state_files,
    supervisor,
    swap_files,
    swap_node,
    swap_rules,
    wire,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.swap_rules import (
    ARMED,
    ENDED,
    FAILED,
    FINISHED,
    GO,
    JOINED,
    NEW,
    OLD,
    STOPPED,
)

VERSION = 1
UNIT = "dgxspark-swap@%s.service"

BEAT, SILENCE = 5.0, 30.0  # seconds between two beats; without a message until a peer is lost
TURN = 0.5  # seconds of a turn, at most
PAUSE = 1.0  # seconds between two tries to reach the decider, or Docker
EAGER, SOON = 0.2, 30.0  # the same for the first seconds, in which the decider is armed
FAREWELL = 30.0  # seconds for which the decider answers those who have not heard the end
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


def engine_of() -> str:
    """What changes when the Docker engine restarts, or is about to."""
    words = ["show", "--property=ActiveState", "--property=MainPID", "docker.service"]
    return command.run([swap_node.SYSTEMCTL, *words], swap_node.ASK).stdout


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
            print("%s: %s" % (self.service, state), flush=True)
        self._here = None

    def wish(self) -> str:
        """What a controller wishes now."""
        part = swap_files.read(self.service, self.folder)
        return part.wish if part else ""

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
            print("%s: %s" % (self.step, foreign.line(str(job.error)[:1000])), flush=True)
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
        waited = self.node.release()[0] if acts else 0.0
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
            "since": self._since,
            **more,
        }
        if progress != self._shown:
            self._shown = progress
            swap_files.publish(progress)
            notify("READY=1\nSTATUS=%s: %s" % (self.state, self.step))

    def close(self) -> None:
        """Leave no guard of this swap behind."""
        self.end_watch()
        self.permit.free()
        swap_files.end(self.service, self.folder)
        command.run([swap_node.SYSTEMCTL, "disable", UNIT % self.service], swap_node.ASK)


class Participant(Guard):
    """Does what the decider says."""

    def __init__(self, part: swap_files.Part, folder: str = swap_files.FOLDER) -> None:
        super().__init__(part, folder)
        self.line: wire.Line | None = None
        self._armed = time.monotonic()
        self._alone_since = time.monotonic()
        self._said: list[wire.Message] = []
        self._ended = ""
        self._waits_for_permit = False

    def run(self) -> None:
        while True:
            try:
                if self._turn():
                    return
            except EngineError as error:
                self.forget()
                self.show("waits for Docker: %s" % error)
                time.sleep(PAUSE)
            except wire.Broken as error:
                print(foreign.line(str(error)), flush=True)
                self._lose()

    def _turn(self) -> bool:
        """Whether this node's part is over."""
        if self.line is None:
            self._call()
        else:
            self._listen(self.line)
        if not self.finish_job():
            return False
        if self.state in (NEW, OLD):
            self._finalize()
        elif self.line is None:
            self._alone()
        elif self._said:
            message = self._said.pop(0)
            try:
                return self._obey(message)
            except EngineError:
                self._said.insert(0, message)
                raise
        elif self._waits_for_permit:
            self._take_permit()
        if self.watch and not self._ended and self.state == JOINED:
            self._ended = self.watch.ended()
            if self._ended and self.line:
                self.line.say(self._ended, why=self.node.death())
        return False

    def _call(self) -> None:
        decider = str(self.swap["decider"])
        hello = {"version": VERSION, "swap": self.part.id, "node": self.me}
        address = str(self.swap["members"][decider]), int(self.swap["port"])
        secret = str(self.swap["secret"]).encode()
        try:
            self.line = wire.call(address, decider, secret, hello, about(hello))
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            self.show("waits for %s: %s" % (decider, why))
            soon = time.monotonic() - self._armed < SOON
            time.sleep(min(EAGER, PAUSE) if soon else PAUSE)
            return
        self._said = []
        self.show("waits for what %s says" % decider)
        if self.state == ENDED:
            self.line.say(FINISHED)

    def _listen(self, line: wire.Line) -> None:
        now = time.monotonic()
        if now - self._beaten > BEAT:
            self._beaten = now
            line.say("beat")
        if now - line.heard > SILENCE:
            raise wire.Broken("nothing received from %s for %d s" % (line.who, SILENCE))
        with selectors.DefaultSelector() as selector:
            selector.register(line.socket, selectors.EVENT_READ)
            if selector.select(TURN if self.job is None else TURN / 5):
                self._said += [one for one in line.receive() if one.get("say") != "beat"]

    def _lose(self) -> None:
        if self.line:
            self.line.close()
        self.line = None
        self._alone_since = time.monotonic()
        self._said, self._waits_for_permit = [], False
        self.permit.free()

    def _alone(self) -> None:
        """What a node does that hears nothing of the decider."""
        now = time.monotonic()
        over = now - self._armed > float(self.limits["join"])
        if self.state == ARMED and (over or self.wish() == swap_rules.WISH_ABORT):
            self.become(self.rules.unjoined(self.here()))
        elif now - self._alone_since > float(self.limits["doubt"]):
            act = self.rules.in_doubt(self.here())
            if act:
                self.end_watch()
                self.begin(STEPS[act], lambda: self.node.do(act), lambda _job: None)

    def _obey(self, message: wire.Message) -> bool:
        said = str(message.get("say"))
        if said == BYE:
            if self.state != ENDED:
                return False
            self._note(message)
            self.close()
            self.show("ended: %s" % foreign.line(str(message.get("result"))))
            return True
        if said == PERMIT:
            self._waits_for_permit = True
            self._take_permit()
            return False
        self.forget()
        reply = self.rules.replies(self.here(), said)
        if reply.state:
            self.become(reply.state)
        if said == swap_rules.STOP and reply.answer == STOPPED:
            self.end_watch()
            self.permit.free()
            self._ended, self._waits_for_permit = "", False
            self.begin("stops the old plan", self.suspend, self._stopped)
        elif swap_rules.START_NEW in reply.acts:
            work = self._start
            self.begin("starts the new plan", work, lambda job: self._started(job, reply.answer))
        elif reply.answer:
            self._answer(reply.answer)
        return False

    def _stopped(self, job: Job) -> None:
        if job.error:
            # The decider says it again to a line that is new.
            raise wire.Broken("the old plan cannot be stopped: %s" % job.error)
        self._answer(STOPPED, **job.value)

    def _start(self) -> None:
        self.node.do(swap_rules.START_NEW)
        self.start_watch()

    def _started(self, job: Job, answer: str) -> None:
        if job.error:
            word = FAILED if isinstance(job.error, swap_node.Problem) else LOST
            self._answer(word, why=str(job.error)[:500])
        else:
            self._answer(answer)

    def _answer(self, word: str, **more: t.Any) -> None:
        self.show("has said: %s" % word)
        if self.line:
            self.line.say(word, **more)

    def _take_permit(self) -> None:
        if self.permit.take():
            self._waits_for_permit = False
            self._answer(GRANTED)
        else:
            self.show("waits to start: %s" % self.permit.why)

    def _finalize(self) -> None:
        act = self.rules.finalizes(self.here())
        if act:
            self.end_watch()
            self.begin(STEPS[act], lambda: self.node.do(act), self._pause_after_error)
            return
        self.permit.free()
        settled, why = self.node.old_settled() if self.state == OLD else (True, "")
        if not settled:
            self.show("waits until the old plan answers")
            time.sleep(PAUSE)
            return
        self.become(ENDED)
        self._answer(FINISHED, why=why)

    def _note(self, message: wire.Message) -> None:
        """The line of the history, on this node as well."""
        line = message.get("line")
        if isinstance(line, dict) and not history.misfit(line):
            note_history(self.folder, line)


class Decider(Guard):
    """Says what happens, and decides."""

    def __init__(self, part: swap_files.Part, folder: str = swap_files.FOLDER) -> None:
        super().__init__(part, folder)
        names = [str(name) for name in self.swap["members"]]
        self.gate = wire.Gate(self._known)
        self.lines: dict[str, wire.Line] = {}
        self.others = [name for name in names if name != self.me]
        self.starters = [str(rank["node"]) for rank in self.swap["new"]["ranks"]]
        self.heard: dict[str, str] = dict.fromkeys(self.others, "")
        self.waiting: set[str] = set()  # nodes whose answer is awaited
        self.granted: set[str] = set()
        self.proven = False
        self.probe: supervisor.Probe | None = None
        self.kind = ""
        self.why = ""
        self.lost: list[str] = []
        self.phases: list[dict[str, t.Any]] = []
        self.seconds = {"stop": 0.0, "memory": 0.0}
        self._mark = self._armed = self._began = time.monotonic()
        self._absent_since = self._met_by = self._asked = 0.0
        # What ran before a guard was killed starts again from the beginning.
        self._was_killed = self._has_to_stop = part.state == GO

    def run(self) -> None:
        while self.state != ENDED:
            try:
                self._turn()
            except EngineError as error:
                self.forget()
                self.show("waits for Docker: %s" % error)
                time.sleep(PAUSE)
        self._farewell()

    # The lines.

    def _known(self, hello: wire.Message) -> wire.Caller:
        """Whose a hello is. Raises any exception for one of another swap."""
        node = hello["node"]
        if hello["version"] != VERSION or hello["swap"] != self.part.id or node not in self.others:
            raise ValueError("not a hello of this swap")
        return wire.Caller(node, str(self.swap["secret"]).encode(), about(hello))

    def _open(self) -> None:
        if self.gate.is_open or not self.others:
            return
        address, port = str(self.swap["members"][self.me]), int(self.swap["port"])
        try:
            self.gate.open(address, port)
        except OSError as error:
            # After a boot the fabric may come up late.
            self.show("waits for %s port %d: %s" % (address, port, error.strerror))
            time.sleep(PAUSE)

    def _hear(self) -> None:
        """Take in what has arrived; a line that breaks ends an attempt."""
        now = time.monotonic()
        beat = now - self._beaten > BEAT
        if beat:
            self._beaten = now
        for name in list(self.lines):
            if now - self.lines[name].heard > SILENCE:
                self._lose(name, "nothing received from %s for %d s" % (name, SILENCE))
            elif beat:
                self._say(name, "beat")
        with selectors.DefaultSelector() as selector:
            self.gate.watch(selector)
            for name, line in self.lines.items():
                selector.register(line.socket, selectors.EVENT_READ, name)
            if not selector.get_map():
                time.sleep(TURN / 5)
                return
            ready = [key.data for key, _events in selector.select(TURN / 5)]
        for what in ready:
            if not isinstance(what, str):
                self._admit(self.gate.ready(what))
                continue
            try:
                messages = self.lines[what].receive() if what in self.lines else []
            except wire.Broken as error:
                self._lose(what, str(error))
                continue
            for message in messages:
                self._take_in(what, message)

    def _admit(self, line: wire.Line | None) -> None:
        if line is None:
            return
        name = str(line.hello["node"])
        if name in self.lines:
            self._lose(name, "%s has called again" % name)
        self.lines[name] = line

    def _say(self, name: str, word: str, **more: t.Any) -> None:
        try:
            self.lines[name].say(word, **more)
        except wire.Broken as error:
            self._lose(name, str(error))

    def _take_in(self, name: str, message: wire.Message) -> None:
        word = str(message.get("say"))
        why = foreign.line(str(message.get("why") or "")[:500])
        if word == "beat":
            return
        if word == GRANTED:
            self.granted.add(name)
        elif word == LOST:
            self._end_attempt("%s: %s" % (name, why))
        elif word == FAILED:
            if self.state == GO:
                self._decide(OLD, "%s: %s" % (name, why))
        elif word == swap_rules.REFUSED:
            self.heard[name] = word
            if self.state in (ARMED, GO):
                self._decide(OLD, "%s has ended its part before" % name)
        else:
            self.heard[name] = word
            for part in self.seconds:
                with suppress(TypeError, ValueError):
                    self.seconds[part] = max(self.seconds[part], float(message.get(part) or 0))
            if word == FINISHED and why:
                self.lost.append("%s: %s" % (name, why))
        self.waiting.discard(name)

    def _lose(self, name: str, why: str) -> None:
        line = self.lines.pop(name, None)
        if line:
            line.close()
        self.waiting.discard(name)
        if self.heard[name] != FINISHED:
            self.heard[name] = ""
        self._end_attempt(why)

    # The decision.

    def _turn(self) -> None:
        self._open()
        self._hear()
        if not self.finish_job():
            return
        if self._was_killed:
            self._was_killed = False
            self._end_attempt("the guard of %s was killed" % self.me)
        wish = self.wish()
        here, peers = self.here(), self._peers()
        if self._out_of_time(wish):
            return
        state = self.rules.decides(here, peers, wish, self.proven)
        if state == GO:
            self._began = time.monotonic()
            self._has_to_stop = True
            self.become(GO)
            return
        if state:
            self._decide(state, "" if state == NEW else "it was taken over by force")
            return
        if self.state == GO and self._has_to_stop:
            self.begin("stops the old plan", self.suspend, self._suspended)
        for name, peer in zip(self.others, peers):
            word = self.rules.says(here, peer)
            if word and name in self.lines and name not in self.waiting and self._may_say(word):
                self.waiting.add(name)
                self._say(name, word)
        if self.job:
            return
        if self.state == GO:
            self._attempt(here, peers)
        elif self.state in (NEW, OLD):
            self._finalize(here)
        elif self.state == ARMED:
            self._absent("waits for a controller's go")

    def _peers(self) -> tuple[swap_rules.Peer, ...]:
        return tuple(
            swap_rules.Peer(self.heard[name], name in self.starters) for name in self.others
        )

    def _may_say(self, word: str) -> bool:
        return word != swap_rules.START or self._permitted()

    def _absent(self, step: str) -> None:
        """Show a step, with the nodes that have not answered."""
        missing = [name for name in self.others if name not in self.lines]
        self.show(step, missing=missing, phases=self.phases)

    def _out_of_time(self, wish: str) -> bool:
        now, before = time.monotonic(), self.state
        if self.state == ARMED and now - self._armed > float(self.limits["go"]):
            missing = [name for name in self.others if self.heard[name] != JOINED]
            why = "%s did not join" % " and ".join(missing) if wish and missing else ""
            self._decide(OLD, why or "nobody said go within %d s" % self.limits["go"])
        elif self.state == GO and now - self._began > float(self.limits["ready"]):
            self._decide(OLD, "no answer within %d s" % self.limits["ready"])
        elif self.state == GO and self._absent_since:
            missing = [name for name in self.others if name not in self.lines]
            if not missing:
                self._absent_since = 0.0
            elif now - self._absent_since > float(self.limits["return"]):
                seconds = int(self.limits["return"])
                self._decide(OLD, "%s did not return in %d s" % (" and ".join(missing), seconds))
        return self.state != before

    def _decide(self, state: str, why: str) -> None:
        """The decision is on the disk before anybody hears of it."""
        if self.state in (NEW, OLD, ENDED):
            return
        self.why = foreign.line(why)
        self._end_probe()
        self.end_watch()
        self.become(state)
        self.heard = dict.fromkeys(self.others, "")
        self.waiting.clear()
        self.show(state, phases=self.phases, why=self.why)

    # An attempt of the new plan.

    def _attempt(self, here: swap_rules.Here, peers: t.Sequence[swap_rules.Peer]) -> None:
        act = self.rules.acts(here, peers, self.part.tries)
        if act == swap_rules.SUSPEND_OLD:
            self.begin("stops the old plan", self.suspend, self._suspended)
        elif act == swap_rules.START_NEW:
            if self._permitted():
                self._note_stop()
                self.part = swap_files.count_try(self.part, self.folder)
                self._began = time.monotonic()
                self.begin("starts the new plan", self._start, self._started)
        elif act == swap_rules.PROVE:
            self._prove()
        else:
            self._absent(self.step or "waits for the other nodes")
        if self.watch and self.job is None and self.state == GO:
            ended = self.watch.ended()
            if ended == FAILED:
                self._decide(OLD, "%s: %s" % (self.me, self.node.death()))
            elif ended:
                self._end_attempt("Docker was restarted on %s" % self.me)

    def _suspended(self, job: Job) -> None:
        if job.error:
            time.sleep(PAUSE)
            return
        self._has_to_stop = False
        for part, seconds in job.value.items():
            self.seconds[part] = max(self.seconds[part], seconds)

    def _note_stop(self) -> None:
        if not self.phases and any(self.seconds.values()):
            self.phases += [
                {"phase": "stop old", "seconds": self.seconds["stop"]},
                {"phase": "memory released", "seconds": self.seconds["memory"]},
            ]
        self._mark = time.monotonic()

    def _permitted(self) -> bool:
        """Whether the permits of all nodes of the new plan are there; the next one is asked for."""
        for name in self.rules.permit_order(self.starters):
            if name in self.granted:
                continue
            if name == self.me:
                if not self.permit.take():
                    self._absent("waits to start: %s" % self.permit.why)
                    return False
                self.granted.add(name)
            else:
                if name in self.lines and name not in self.waiting:
                    self.waiting.add(name)
                    self._say(name, PERMIT)
                self._absent("waits for the permit of %s" % name)
                return False
        return True

    def _start(self) -> None:
        self.node.do(swap_rules.START_NEW)
        self.start_watch()

    def _started(self, job: Job) -> None:
        if job.error and isinstance(job.error, swap_node.Problem):
            self._decide(OLD, "%s: %s" % (self.me, job.error))
        elif job.error:
            self._end_attempt("%s: %s" % (self.me, job.error))

    def _prove(self) -> None:
        if self.probe is None:
            path = os.path.join(swap_files.place_of(self.service, self.folder), "probe")
            self.probe = supervisor.Probe(path, float(self.limits["ready"]), "until")
        self._absent("waits until the new plan answers")
        seen = self.probe.poll()
        if seen is None:
            return
        self._end_probe()
        phase, detail = str(seen.get("phase")), foreign.line(str(seen.get("detail"))[:500])
        if phase == readiness.SERVING:
            self.kind = foreign.line(str(seen.get("kind") or "")[:30])
            loaded, asked = seen.get("loaded"), round(time.monotonic() - self._mark, 1)
            up = round(float(loaded), 1) if isinstance(loaded, (int, float)) else asked
            self.phases += [
                {"phase": "model loaded", "seconds": min(up, asked)},
                {"phase": "%s answered" % kinds.answered(self.kind), "seconds": max(asked - up, 0)},
            ]
            self.proven = True
        elif phase == readiness.REJECTED:
            self._decide(OLD, "the server is up and will not serve this: %s" % detail)

    def _end_probe(self) -> None:
        if self.probe:
            self.probe.end()
            self.probe = None

    def _end_attempt(self, why: str) -> None:
        """A node, a line, an engine or a guard was lost."""
        if self.state != GO:
            return
        print(foreign.line(why), flush=True)
        self.why = foreign.line(why)
        self.proven = False
        self._end_probe()
        self.end_watch()
        self.permit.free()
        self.granted.clear()
        self.waiting.clear()
        state = self.rules.after_loss(self.here(), self.part.tries)
        if state == OLD:
            self._decide(OLD, why)
            return
        self.heard = dict.fromkeys(self.others, "")
        self._absent_since = self._began = time.monotonic()
        self.phases = []
        self._has_to_stop = True

    # The end.

    def _finalize(self, here: swap_rules.Here) -> None:
        act = self.rules.acts(here, (), self.part.tries)
        if act:
            self.begin(STEPS[act], lambda: self.node.do(act), self._pause_after_error)
            return
        self.permit.free()
        if not all(self.heard[name] == FINISHED for name in self.others):
            pending = [name for name in self.others if self.heard[name] != FINISHED]
            step = (
                "brings the old plan back" if self.state == OLD else "makes the new plan permanent"
            )
            self._absent("%s on %s" % (step, " and ".join(pending)))
            return
        unmet = self._unmet() if self.state == NEW else ""
        if unmet is None:
            return
        why = self._old_problem() if self.state == OLD else ""
        if why is None:
            return
        if why:
            self.lost.append("%s: %s" % (self.me, why))
        self._record(unmet)

    def _old_problem(self) -> str | None:
        """Why the old plan does not serve; None while it is not known, as of old_settled."""
        if not self._is_due():
            return None
        settled, why = self.node.old_settled()
        if not settled:
            self._absent("waits until the old plan answers")
        return why if settled else None

    def _is_due(self) -> bool:
        """Whether it is time for a question that need not be asked in every turn."""
        now = time.monotonic()
        if now - self._asked < PAUSE:
            return False
        self._asked = now
        return True

    def _unmet(self) -> str | None:
        """What the supervisors still wait for; None while there is time for it."""
        now = time.monotonic()
        self._met_by = self._met_by or now + MEET
        waits = self.node.met()
        if not waits or now > self._met_by:
            return waits
        self._absent("waits for the supervisors to meet")
        return None

    def _record(self, unmet: str) -> None:
        result = self._result()
        entry = self._entry(result)
        line: dict[str, t.Any] = {}
        try:
            line = history.of_swap(entry, self.swap["workload"], time.time())
            record(self.folder, entry)
        except (OSError, ValueError, Blocked, state_files.Broken) as error:
            # On a full disk the swap ends all the same.
            print("not recorded: %s" % foreign.line(str(error)), flush=True)
        if line:
            note_history(self.folder, line)
        release_lock(self.folder, self.swap["lock"])
        self.become(ENDED)
        self.show(
            *("ended: %s" % result,),
            result=result,
            why=self.why,
            lost=self.lost,
            unmet=unmet,
            kind=self.kind,
            phases=entry["phases"],
            missing=[],
        )
        for name in list(self.lines):
            self._say(name, BYE, result=result, line=line)

    def _result(self) -> str:
        if self.state == NEW:
            return journal.COMPLETE
        if self.wish() == swap_files.NO_WISH:
            return journal.INTERRUPTED
        return journal.ROLLED_BACK if self.swap["old"] and not self.lost else journal.FAILED

    def _entry(self, result: str) -> dict[str, t.Any]:
        now = time.time()
        given = self.swap["entry"]
        phases = [*given.get("phases", ()), *self.phases]
        return {
            **given,
            "schema": 1,
            "id": self.part.id,
            "phase": result,
            "phase_since": now,
            "phases": phases,
            "result": result,
            "why": self.why,
        }

    def _farewell(self) -> None:
        """Answer those who have not heard the end, then leave."""
        until = time.monotonic() + FAREWELL
        while self.lines and time.monotonic() < until:
            self._hear()
            for name in list(self.lines):
                if name not in self.waiting:
                    self.waiting.add(name)
                    self._say(name, BYE, result="", line={})
        self.gate.close()
        self.close()


def about(hello: t.Mapping[str, t.Any]) -> bytes:
    """What the proofs of both ends are about."""
    return json.dumps([hello["version"], hello["swap"], hello["node"]]).encode()


def record(folder: str, entry: t.Mapping[str, t.Any]) -> None:
    """Write the end of a swap into the journal. Raises OSError, Blocked and Broken."""
    with state_files.exclusive(folder):
        journal.store(folder, entry)
        state_files.append(folder, state_files.HISTORY, dict(entry), 100)


def release_lock(folder: str, held: t.Mapping[str, t.Any]) -> None:
    """Release the cluster lock of the swap if it lies here. held: its `token` and `run`."""
    request = lock.Request(str(held["token"]), run=str(held["run"]))
    with suppress(OSError, Blocked, state_files.Broken), state_files.exclusive(folder):
        current = lock.stored(folder)
        if current:
            lock.store(folder, lock.release(current, request).lock)


def note_history(folder: str, line: t.Mapping[str, t.Any]) -> None:
    """Add a line to the history of its service, once. Raises nothing: it is no part of the swap."""
    with suppress(OSError, Blocked, state_files.Broken), state_files.exclusive(folder):
        service = str(line["service"])
        last = history.recorded(folder, 1, time.time(), service).get(service, [])
        if not last or last[0]["run"] != line["run"]:
            history.append(folder, line)


def notify(text: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(text.encode(), address.replace("@", "\0", 1))


def main(argv: list[str]) -> int:
    # systemd ends a guard without further ado: whatever it does can be done again.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    (service,) = argv
    notify("READY=1")
    folder = swap_files.FOLDER
    part = swap_files.read(service, folder)
    if part is None:
        command.run([swap_node.SYSTEMCTL, "disable", UNIT % service], swap_node.ASK)
        return 0
    decides = part.swap["me"] == part.swap["decider"]
    guard: Decider | Participant = (Decider if decides else Participant)(part, folder)
    guard.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
