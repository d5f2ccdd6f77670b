# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The guard of a participant: it does what the decider says, see swap_guard.py."""

from __future__ import annotations

import selectors
import time
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import EngineError
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    history,
    swap_files,
    swap_node,
    swap_record,
    swap_rules,
    wire,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.swap_part import (
    BEAT,
    BYE,
    EAGER,
    GRANTED,
    LOST,
    PAUSE,
    PERMIT,
    SILENCE,
    SOON,
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
    JOINED,
    NEW,
    OLD,
    STOPPED,
)


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
        self._round: object = None

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
                say(foreign.line(str(error)))
                self._lose()

    def _turn(self) -> bool:
        """Whether this node's part is over."""
        if self.line is None:
            self._call()
        else:
            self._listen(self.line)
        if not self.finish_job():
            return False
        if self._is_alone():
            self.become(self.rules.alone(self.state, self.wish()))
            if self.state == ENDED:
                self.close()
                self.show("ended alone: %s" % self.part.decided)
                return True
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

    def _is_alone(self) -> bool:
        """Whether a person has taken this node from its decider."""
        return self.wish() in (swap_rules.WISH_ALONE, swap_rules.WISH_ALONE_NEW)

    def _alone(self) -> None:
        """What a node does that hears nothing of the decider."""
        now = time.monotonic()
        over = now - self._armed > float(self.limits["join"])
        if self.state == ARMED and (over or self.wish() == swap_rules.WISH_ABORT):
            self.become(self.rules.unjoined(self.state))
        elif now - self._alone_since > float(self.limits["doubt"]):
            act = self.rules.in_doubt(self.here())
            if act:
                self.end_watch()
                self.begin(STEPS[act], lambda: self.node.do(act), lambda _job: None)

    def _obey(self, message: wire.Message) -> bool:
        said = str(message.get("say"))
        self._round = message.get("round")
        if said == BYE:
            if self.state != ENDED:
                return False
            self._note(message)
            if self.line:
                self.line.say(BYE)
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
            # So that the decider knows to what this is the answer.
            self.line.say(word, round=self._round, **more)

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
        waits = self.state == OLD and not self.lacking()
        settled, why = self.node.old_settled() if waits else (True, "")
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
            swap_record.note_history(self.folder, line)
