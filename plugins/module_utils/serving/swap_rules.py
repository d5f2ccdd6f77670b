# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The rules by which the nodes replace what a service serves. Pure.

A swap has an old plan and a new one, each with ranks on some nodes. The node of rank 0 of the new
plan is the decider, all others are its participants. A guard on each node carries out what the
rules say; a search over all interleavings of guards, controllers and failures in the tests runs the
same rules. See docs/contracts/swap.md.
"""

from __future__ import annotations

import typing as t

# The part of a node, as on its disk. GO is that of the decider only; NEW and OLD are the decision.
ARMED, JOINED, GO, NEW, OLD, ENDED = "armed", "joined", "go", "new", "old", "ended"
# A rank of a plan on this node.
ABSENT, IDLE, STARTED = "absent", "idle", "started"
# What a controller wishes, at the decider.
WISH_GO, WISH_ABORT = "go", "abort"
# What a person wishes, at a participant whose decider never comes back: to end with the old plan,
# or with the new one, where another participant knows that it was decided.
WISH_ALONE, WISH_ALONE_NEW = "alone", "alone-new"

# What the decider says; also NEW and OLD.
JOIN, STOP, START = "join", "stop", "start"
# What a participant answers; also JOINED. FAILED: its rank cannot be started, or has ended.
STOPPED, RUNS, FINISHED, REFUSED, FAILED = "stopped", "runs", "finished", "refused", "failed"

# What a guard does on its node. SUSPEND_OLD: first its unit, then its container, which is retained.
# PLACE_OLD, PLACE_NEW: the unit of a plan, and the names of its container.
SUSPEND_OLD, START_NEW, STOP_NEW = "suspend old", "start new", "stop new"
PLACE_NEW, DROP_OLD, PLACE_OLD, DROP_NEW = "place new", "drop old", "place old", "drop new"
PROVE = "prove"

# Attempts to start the new plan. A second one follows where a node or a line was lost.
TRIES = 2


class Here(t.NamedTuple):
    """What a guard knows of its node.

    state: its part of the swap. old, new: the rank of each plan: ABSENT, IDLE, STARTED. unit: the
    plan whose unit is in its place, OLD or NEW, empty for none. of_old, of_new: whether the plans
    have a rank here.
    """

    state: str
    old: str
    new: str
    unit: str
    of_old: bool
    of_new: bool


class Peer(t.NamedTuple):
    """What the decider knows of a participant, by its last answer; empty before it has joined."""

    heard: str
    of_new: bool


class Reply(t.NamedTuple):
    """What a participant makes of what the decider says.

    state: to be on the disk before anything else, empty for the present one. acts: in this order.
    answer: empty for none now.
    """

    state: str
    acts: tuple[str, ...]
    answer: str


class Rules:
    """A swap, rule by rule; the tests leave out one at a time to see what it is good for."""

    def arming_order(self, nodes: t.Iterable[str], decider: str) -> list[str]:
        """The nodes in the order in which a controller arms them: the decider last.

        So there is nobody who could decide for nodes that do not know of the swap.
        """
        return [*sorted(node for node in nodes if node != decider), decider]

    def permit_order(self, nodes: t.Iterable[str]) -> list[str]:
        """The nodes in the order of their permits: so two services never wait in a ring."""
        return sorted(nodes)

    # The decider.

    def says(self, here: Here, peer: Peer) -> str:
        """What the decider says to a participant next, empty for nothing now."""
        if here.state in (NEW, OLD):
            return here.state if peer.heard != FINISHED else ""
        if not peer.heard:
            return JOIN
        if here.state == GO and peer.heard == JOINED:
            return STOP
        if here.state == GO and peer.heard == STOPPED and peer.of_new and here.new == STARTED:
            return START
        return ""

    def may_start(self, peers: t.Iterable[Peer]) -> bool:
        """Whether nothing of the old plan runs anywhere."""
        return all(peer.heard in (STOPPED, RUNS) for peer in peers)

    def decides(self, here: Here, peers: t.Sequence[Peer], wish: str, proven: bool) -> str:
        """The state that the decider takes next, empty for none. proven: the new plan, now."""
        if here.state == ARMED and wish == WISH_ABORT:
            return OLD
        if here.state == ARMED and wish == WISH_GO:
            return GO if all(peer.heard == JOINED for peer in peers) else ""
        if here.state == GO and proven:
            return NEW
        lost = here.of_new and here.new == ABSENT
        return OLD if here.state == GO and (lost or wish == WISH_ABORT) else ""

    def acts(self, here: Here, peers: t.Sequence[Peer], tries: int) -> str:
        """What the decider does on its own node next, empty for nothing now.

        tries: attempts so far; the next one is on the disk before it begins.
        """
        if here.state in (NEW, OLD):
            return self.finalizes(here)
        if here.state != GO:
            return ""
        if here.old == STARTED or here.unit == OLD:
            return SUSPEND_OLD
        if here.new == IDLE and tries < TRIES and self.may_start(peers):
            return START_NEW
        runs = all(peer.heard == RUNS for peer in peers if peer.of_new)
        return PROVE if here.new == STARTED and runs and self.may_start(peers) else ""

    def after_loss(self, state: str, tries: int) -> str:
        """What follows when a node, a line, an engine or a guard was lost: OLD, or GO anew."""
        return OLD if state == GO and tries >= TRIES else state

    # A participant.

    def replies(self, here: Here, said: str) -> Reply:
        """What a participant makes of what the decider says."""
        if here.state == ENDED:
            return Reply("", (), FINISHED if said in (NEW, OLD) else REFUSED)
        if here.state in (NEW, OLD):
            # It answers as soon as it has finished.
            return Reply("", (), "" if said in (NEW, OLD) else REFUSED)
        if said in (NEW, OLD):
            return Reply(said, (), "")
        if said == JOIN:
            return Reply(JOINED, (), JOINED)
        if here.state != JOINED:
            return Reply("", (), REFUSED)
        if said == STOP:
            return Reply("", self.suspends(here), STOPPED)
        if said == START and here.new != ABSENT:
            return Reply("", (START_NEW,) if here.new == IDLE else (), RUNS)
        if said == START:
            return Reply("", (), FAILED)
        return Reply("", (), REFUSED)

    def suspends(self, here: Here) -> tuple[str, ...]:
        """What is done where both plans have to be idle."""
        old = (SUSPEND_OLD,) if here.old == STARTED or here.unit == OLD else ()
        return (*old, *((STOP_NEW,) if here.new == STARTED else ()))

    def in_doubt(self, here: Here) -> str:
        """What a participant does that has lost its decider for long; it never decides."""
        return STOP_NEW if here.state == JOINED and here.new == STARTED else ""

    def unjoined(self, state: str) -> str:
        """The state of a participant that was never asked to join: nothing was stopped here."""
        return OLD if state == ARMED else state

    def word_of_a_person(self, known: t.Iterable[str]) -> str:
        """The wish for participants whose decider is gone for good. known: what each of them, all
        asked, knows of the decision.
        """
        return WISH_ALONE_NEW if NEW in known else WISH_ALONE

    def alone(self, state: str, wish: str) -> str:
        """The state of a participant whose decider is gone for good, by the word of a person."""
        if state in (ARMED, JOINED) and wish in (WISH_ALONE, WISH_ALONE_NEW):
            return NEW if wish == WISH_ALONE_NEW else OLD
        return state

    # All nodes, after the decision.

    def finalizes(self, here: Here) -> str:
        """What a node does next that knows the decision, empty where it has finished."""
        if here.state == NEW:
            if here.of_new and here.unit != NEW:
                return PLACE_NEW
            return DROP_OLD if here.old != ABSENT else ""
        if here.state == OLD:
            if here.new != ABSENT:
                return DROP_NEW
            return PLACE_OLD if here.of_old and not here.unit else ""
        return ""
