# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The guard of the decider: it says what happens, and decides, see swap_guard.py."""

from __future__ import annotations

import os
import selectors
import time
import typing as t
from contextlib import suppress

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import EngineError
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    history,
    journal,
    kinds,
    readiness,
    state_files,
    supervisor,
    swap_files,
    swap_node,
    swap_record,
    swap_rules,
    wire,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.swap_part import (
    BEAT,
    BYE,
    FAREWELL,
    GRANTED,
    LATE,
    LOSSES,
    LOST,
    MEET,
    PAUSE,
    PERMIT,
    SILENCE,
    STEPS,
    TURN,
    VERSION,
    Guard,
    Job,
    about,
    say,
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
)


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
        self.round = self.losses = 0
        self.proven = False
        self.probe: supervisor.Probe | None = None
        self.kind = self.result = ""
        self.line: dict[str, t.Any] = {}
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
        # After a restart nobody knows who has heard it.
        self._farewell(FAREWELL if self.result else LATE)

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
            self.lines[name].say(word, round=self.round, **more)
        except wire.Broken as error:
            self._lose(name, str(error))

    def _take_in(self, name: str, message: wire.Message) -> None:
        word = str(message.get("say"))
        why = foreign.line(str(message.get("why") or "")[:500])
        # What belongs to an attempt that is over says nothing of this one.
        if word == "beat" or message.get("round", self.round) != self.round:
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
        if self.heard[name] not in (FINISHED, BYE):
            self.heard[name] = ""
        self._end_attempt(why)

    # The decision.

    def _turn(self) -> None:
        self._open()
        self._hear()
        if not self.finish_job():
            self.show(self.step)
            return
        if self._was_killed:
            self._was_killed = False
            self._end_attempt("the guard of %s was killed" % self.me)
        wish = self.wish()
        self.others = [name for name in self.others if name not in self.part.without]
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
            forced = wish == swap_rules.WISH_ABORT
            why = "it was undone by force" if forced else "the container of the new rank is gone"
            self._decide(state, "" if state == NEW else why)
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
            self.show("waits for a controller's go")

    def _peers(self) -> tuple[swap_rules.Peer, ...]:
        return tuple(
            swap_rules.Peer(self.heard[name], name in self.starters) for name in self.others
        )

    def _may_say(self, word: str) -> bool:
        return word != swap_rules.START or self._permitted()

    def show(self, step: str, **more: t.Any) -> None:
        """A step, with the nodes that do not answer."""
        missing = [name for name in self.others if name not in self.lines]
        super().show(step, **{"missing": missing, "phases": self.phases, **more})

    def _out_of_time(self, wish: str) -> bool:
        now, before = time.monotonic(), self.state
        if self.state == ARMED and now - self._armed > float(self.limits["go"]):
            missing = [name for name in self.others if self.heard[name] != JOINED]
            asked = wish == swap_rules.WISH_GO and missing
            why = "%s did not join" % " and ".join(missing) if asked else ""
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
        self.round += 1
        self._end_probe()
        self.end_watch()
        self.become(state)
        self.heard = dict.fromkeys(self.others, "")
        self.waiting.clear()
        self.show(state, why=self.why)

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
            self.show(self.step or "waits for the other nodes")
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
                    self.show("waits to start: %s" % self.permit.why)
                    return False
                self.granted.add(name)
            else:
                if name in self.lines and name not in self.waiting:
                    self.waiting.add(name)
                    self._say(name, PERMIT)
                self.show("waits for the permit of %s" % name)
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
        self.show(swap_files.PROVES)
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
            self._decide(OLD, "The server is up and will not serve this: %s" % detail)

    def _end_probe(self) -> None:
        if self.probe:
            self.probe.end()
            self.probe = None

    def _end_attempt(self, why: str) -> None:
        """A node, a line, an engine or a guard was lost."""
        if self.state != GO:
            return
        say(foreign.line(why))
        self.why = foreign.line(why)
        self.proven = False
        self.round += 1
        self.losses += 1
        self._end_probe()
        self.end_watch()
        self.permit.free()
        self.granted.clear()
        self.waiting.clear()
        state = self.rules.after_loss(self.state, self.part.tries)
        # Nothing was started, and no node stops the old plan.
        if state == OLD or self.losses > LOSSES:
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
            act = swap_rules.PLACE_OLD if self.state == OLD else swap_rules.PLACE_NEW
            self.show("%s on %s" % (STEPS[act], " and ".join(pending)))
            return
        unmet = self._unmet() if self.state == NEW else ""
        if unmet is None:
            return
        lacking = self.lacking()
        why = self._old_problem() if self.state == OLD and not lacking else ""
        if why is None:
            return
        if why:
            self.lost.append("%s: %s" % (self.me, why))
        if self.state == OLD:
            self.lost += ["%s: is not waited for" % name for name in lacking]
        self._record(unmet)

    def _old_problem(self) -> str | None:
        """Why the old plan does not serve; None while it is not known, as of old_settled."""
        if not self._is_due():
            return None
        settled, why = self.node.old_settled()
        if not settled:
            self.show("waits until the old plan answers")
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
        self.show("waits for the supervisors to meet")
        return None

    def _record(self, unmet: str) -> None:
        result = self._result()
        entry = self._entry(result)
        line: dict[str, t.Any] = {}
        try:
            line = history.of_swap(entry, self.swap["workload"], time.time())
            swap_record.record(self.folder, entry)
        except (OSError, ValueError, Blocked, state_files.Broken) as error:
            # On a full disk the swap ends all the same.
            say("not recorded: %s" % foreign.line(str(error)))
        if line:
            swap_record.note_history(self.folder, line)
        swap_record.release_lock(self.folder, self.swap["lock"])
        self.become(ENDED)
        self.show(
            "ended: %s" % result,
            result=result,
            why=self.why,
            lost=self.lost,
            unmet=unmet,
            kind=self.kind,
            phases=entry["phases"],
            missing=[],
        )
        self.result, self.line = result, line

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

    def _farewell(self, seconds: float) -> None:
        """Answer those who have not heard the end, so that nobody waits for it, then leave."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(self.heard[name] != BYE for name in self.others):
            self._open()
            self._hear()
            for name in list(self.lines):
                if name not in self.waiting and self.heard[name] != BYE:
                    self.waiting.add(name)
                    self._say(name, BYE, result=self.result, line=self.line)
        self.gate.close()
        self.close()
