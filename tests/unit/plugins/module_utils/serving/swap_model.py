# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A search over all interleavings of one swap: what the rules of swap_rules.py allow, and what then
holds.

Steps are of controllers, of nodes, or failures, whose number is bounded. A node that is down, cut
off or full recovers by a step of its own, unless it is lost for good: then a person may go on
without it, and what holds is meant of the nodes that are left. A controller that dies or sleeps
needs no step: its next one comes at any time, or never. Limits of time are steps that come at any
time. Node 0 is the decider. What is on a disk is in Node; what a guard has in memory, and what is
on its way, is in State and is lost with the guard.

    I1  units of two plans of the service never exist at the same time
    I2  from every state the nodes alone come to rest, on every path, and what rests is settled
    I3  a plan that was never proven has no unit
    I4  containers of other services are never touched
    I5  no controller changes a container or a unit once the swap is decided, and all nodes end as
        decided
    I6  on a node one service starts at a time, until it is proven

    python swap_model.py [CONFIGURATION FAILURES [KINDS]]      for example  01>01 2
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import swap_rules
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.swap_rules import (
    ABSENT,
    ARMED,
    ENDED,
    FAILED,
    FINISHED,
    GO,
    IDLE,
    JOINED,
    NEW,
    OLD,
    STARTED,
    Here,
    Peer,
    Rules,
)

INVARIANTS = ("I1", "I2", "I3", "I4", "I5", "I6")
CONTROLLER, NODE, FAILURE = "controller", "node", "failure"
REBOOT, CUT, DOCKER, GUARD, CRASH, FULL = "reboot", "cut", "docker", "guard", "crash", "full"
KINDS = frozenset((REBOOT, CUT, DOCKER, GUARD, CRASH, FULL))
LOST = "lost for good"

# A rank of a plan or another service: it starts until it is proven, then it runs.
STARTS, RUNS, STILL = "starts", "runs", "still"
GONE = ""

Step = tuple[str, str, "State"]


class Node(NamedTuple):
    """state: of its part of the swap, empty before it is armed. unit: OLD, NEW, GIVEN_UP, empty.

    others: containers of other services, each STARTS, RUNS or STILL.
    """

    up: bool
    full: bool
    state: str
    old: str
    new: str
    unit: str
    idle: bool
    others: tuple[str, ...]


class State(NamedTuple):
    """linked: whether a node reaches the others. broken: whether its line to the decider broke
    without the decider's notice. said, answered: what is on its way on this line. heard: the last
    answer that the decider has in memory. proven: so does it the proof. ever_proven, decided: the
    truth. armed: how many steps the controller has done. can: whether the old and the new plan
    serve once they are started. gone: the node that is lost for good, -1 for none. without: what a
    person wishes of the other nodes who goes on without it, empty for nothing yet.
    """

    nodes: tuple[Node, ...]
    linked: tuple[bool, ...]
    broken: tuple[bool, ...]
    said: tuple[str, ...]
    answered: tuple[str, ...]
    heard: tuple[str, ...]
    proven: bool
    tries: int
    wish: str
    result: str
    ever_proven: bool
    decided: str
    armed: int
    forced: bool
    left: int
    can: tuple[bool, bool]
    gone: int = -1
    without: str = ""


class Configuration(NamedTuple):
    """The nodes of the old and of the new plan, and which failures may come how often."""

    old: frozenset[int]
    new: frozenset[int]
    failures: int
    kinds: frozenset[str] = KINDS
    others: int = 1

    @classmethod
    def of(
        cls, text: str, failures: int, kinds: frozenset[str] = KINDS, others: int = 1
    ) -> Configuration:
        """text: the nodes by their digits, as in 01>0."""
        old, new = (frozenset(map(int, part)) for part in text.split(">"))
        return cls(old, new, failures, kinds, others)

    @property
    def count(self) -> int:
        return max(self.old | self.new) + 1


class Faults(NamedTuple):
    """What is left out besides the rules themselves, since it is not a choice of theirs."""

    decision_in_memory: bool = False
    joined_in_memory: bool = False
    controller_starts: bool = False
    no_permits: bool = False
    early_unit: bool = False
    late_unit: bool = False


class Outcome(NamedTuple):
    """states; steps: the most of nodes until they rest; ends: result -> resting states; broken:
    invariant -> how often, and the shortest way there.
    """

    states: int
    steps: int
    ends: dict[str, int]
    broken: dict[str, tuple[int, list[str]]]


def put(values: tuple[Any, ...], at: int, value: object) -> tuple[Any, ...]:
    return (*values[:at], value, *values[at + 1 :])


class Model:
    """The steps of every state."""

    def __init__(
        self, configuration: Configuration, rules: Rules | None = None, faults: Faults | None = None
    ) -> None:
        self.at = configuration
        self.faults = faults or Faults()
        rules = rules or Rules()
        self.rules = rules
        cached = functools.lru_cache(maxsize=None)
        self.says, self.decides, self.acts = map(cached, (rules.says, rules.decides, rules.acts))
        self.replies, self.finalizes = cached(rules.replies), cached(rules.finalizes)
        names = [str(i) for i in range(configuration.count)]
        self.arming = [int(name) for name in rules.arming_order(names, "0")]

    def beginnings(self) -> Iterator[State]:
        count = self.at.count
        nodes = tuple(
            Node(
                *(True, False, "", RUNS if i in self.at.old else GONE, GONE),
                *(OLD if i in self.at.old else "", False),
                (RUNS,) * self.at.others,
            )
            for i in range(count)
        )
        blank, no = ("",) * count, (False,) * count
        for old in (True, False):
            for new in (True, False):
                yield State(
                    *(nodes, (True,) * count, no, blank, blank, blank, False, 0, "", "", False),
                    *("", 0, False, self.at.failures, (old, new)),
                )

    def steps(self, s: State) -> Iterator[Step]:
        yield from self.failures(s)
        yield from self.recoveries(s)
        yield from self.other_services(s)
        yield from self.supervisors(s, OLD, self.at.old)
        yield from self.supervisors(s, NEW, self.at.new)
        yield from self.controllers(s)
        if s.nodes[0].up and s.nodes[0].state not in ("", ENDED):
            yield from self.decider(s)
        for i, node in enumerate(s.nodes):
            if node.up and i:
                yield from self.participant(s, i)
            if node.up and node.state in (NEW, OLD):
                yield from self.finalization(s, i)

    # What befalls the nodes.

    def failures(self, s: State) -> Iterator[Step]:
        if not s.left:
            return
        less = s._replace(left=s.left - 1)
        for i, node in enumerate(s.nodes):
            if not node.up:
                continue
            for kind, after in (
                (REBOOT, self.forgotten(self.ended(change(less, i, up=False), i), i)),
                (CUT, self.forgotten(less._replace(linked=put(s.linked, i, False)), i)),
                (DOCKER, self.ended(less, i)),
                (GUARD, self.forgotten(less, i)),
                (CRASH, change(less, i, new=STILL if node.new in (STARTS, RUNS) else node.new)),
                (FULL, change(less, i, full=True)),
                (LOST, self.forgotten(self.ended(change(less, i, up=False), i), i, lost=True)),
            ):
                possible = {CUT: i and s.linked[i], LOST: s.gone < 0 and s.linked[i]}
                if kind in self.at.kinds and possible.get(kind, True):
                    yield f"{kind} on {i}", FAILURE, after

    def ended(self, s: State, i: int) -> State:
        """All containers of a node have ended."""
        node = s.nodes[i]
        idle = {name: STILL for name in ("old", "new") if getattr(node, name) in (STARTS, RUNS)}
        return change(s, i, **idle, others=(STILL,) * len(node.others))

    def forgotten(self, s: State, i: int, lost: bool = False) -> State:
        """The guard of a node ends, or its line breaks. lost: for good, with its node."""
        if lost:
            s = s._replace(gone=i)
        if self.faults.decision_in_memory and i == 0 and s.nodes[0].state in (OLD, NEW):
            s = change(s, 0, state=GO)
        if self.faults.joined_in_memory and i and s.nodes[i].state == JOINED:
            s = change(s, i, state=ARMED)
        if i == 0:
            blank = ("",) * len(s.nodes)
            return s._replace(
                said=blank,
                answered=blank,
                heard=blank,
                proven=False,
                broken=(False,) * len(s.nodes),
            )
        return s._replace(
            said=put(s.said, i, ""),
            answered=put(s.answered, i, ""),
            broken=put(s.broken, i, bool(s.heard[i])),
        )

    def recoveries(self, s: State) -> Iterator[Step]:
        for i, node in enumerate(s.nodes):
            if not node.up and i != s.gone:
                yield f"{i} boots", NODE, change(s, i, up=True)
            if not s.linked[i]:
                yield f"{i} is reached again", NODE, s._replace(linked=put(s.linked, i, True))
            if node.full:
                yield f"{i} has room again", NODE, change(s, i, full=False)

    def other_services(self, s: State) -> Iterator[Step]:
        for i, node in enumerate(s.nodes):
            for at, other in enumerate(node.others):
                if node.up and other == STARTS:
                    after = change(s, i, others=put(node.others, at, RUNS))
                    yield f"another service is proven on {i}", NODE, after
                elif node.up and other == STILL and not node.full and self.permitted(node):
                    after = change(s, i, others=put(node.others, at, STARTS))
                    yield f"another service starts on {i}", NODE, after

    def permitted(self, node: Node) -> bool:
        return self.faults.no_permits or not starting(node)

    def supervisors(self, s: State, plan: str, places: frozenset[int]) -> Iterator[Step]:
        """Units start the ranks of a plan together; one that ends takes the others with it."""
        own = [i for i in sorted(places) if s.nodes[i].unit == plan and not s.nodes[i].idle]
        ranks = {getattr(s.nodes[i], plan) for i in own}
        met = own and len(own) == len(places) and all(reached(s, i) for i in places)
        together = met and len(ranks) == 1
        full = any(s.nodes[i].full for i in own)
        if together and ranks == {STARTS} and (s.can[0] or plan == NEW):
            yield f"supervisors: {plan} is proven", NODE, each(s, own, **{plan: RUNS})
        elif together and (ranks == {STARTS} or (ranks == {STILL} and full)):
            # Docker starts nothing on a full disk.
            after = each(s, own, **{plan: STILL, "idle": True})
            yield f"supervisors give {plan} up", NODE, after
        elif together and ranks == {STILL} and all(self.permitted(s.nodes[i]) for i in own):
            yield f"supervisors start {plan}", NODE, each(s, own, **{plan: STARTS})
        for i in () if together else own:
            if s.nodes[i].up and getattr(s.nodes[i], plan) in (RUNS, STARTS):
                yield f"{plan} goes down on {i}", NODE, change(s, i, **{plan: STILL})

    # Controllers.

    def controllers(self, s: State) -> Iterator[Step]:
        decider, more = s.nodes[0], s._replace(armed=s.armed + 1)
        if s.armed < 2 * len(self.arming):
            i = self.arming[s.armed // 2]
            node = s.nodes[i]
            if node.up and s.armed % 2 == 0 and node.state == "":
                yield f"a controller arms {i}", CONTROLLER, change(more, i, state=ARMED)
            elif node.up and s.armed % 2 and node.state == ARMED and not node.full:
                new = STILL if i in self.at.new else GONE
                yield f"it creates new on {i}", CONTROLLER, change(more, i, new=new)
        elif s.armed == 2 * len(self.arming) and decider.up and decider.state == ARMED:
            if not s.wish:
                yield "it says go", CONTROLLER, more._replace(wish=swap_rules.WISH_GO)
        elif self.faults.controller_starts and decider.up and decider.new == STILL:
            yield "it starts new on 0 by itself", CONTROLLER, change(s, 0, new=STARTS)
        if not s.forced and decider.up and decider.state in (ARMED, GO):
            after = s._replace(forced=True, wish=swap_rules.WISH_ABORT)
            yield "another one takes over by force", CONTROLLER, after
        if s.gone >= 0 and not s.without and all(s.nodes[i].up for i in living(s)):
            after = s._replace(without=self.rules.word_of_a_person(self.known(s)))
            yield f"a person goes on without {s.gone}", CONTROLLER, after

    def known(self, s: State) -> list[str]:
        """What each node that is left knows of the decision."""
        nodes = [s.nodes[i] for i in living(s)]
        return [s.decided if n.state == ENDED and s.decided else n.state for n in nodes]

    # The decider.

    def here(self, s: State, i: int) -> Here:
        node = s.nodes[i]
        return Here(
            *(node.state, rank_of(node.old), rank_of(node.new)),
            *(node.unit, i in self.at.old, i in self.at.new),
        )

    def others(self, s: State) -> list[int]:
        """The participants for which the decider waits."""
        return [i for i in range(1, len(s.nodes)) if not (s.without and i == s.gone)]

    def peers(self, s: State) -> tuple[Peer, ...]:
        return tuple(Peer(s.heard[i], i in self.at.new) for i in self.others(s))

    def becomes(self, s: State, state: str) -> State:
        """The decider takes a state; what it has in memory of its participants begins anew."""
        if state == s.nodes[0].state:
            quiet = (False,) * len(s.nodes)
            s = s._replace(broken=quiet)
            if s.nodes[0].new == STARTS:
                s = change(s, 0, new=STILL)
        blank = s._replace(heard=("",) * len(s.nodes), proven=False)
        decided = state if state in (OLD, NEW) else ""
        return change(blank, 0, state=state)._replace(decided=s.decided or decided)

    def loses(self, s: State) -> State:
        return self.becomes(s, self.rules.after_loss(s.nodes[0].state, s.tries))

    def decider(self, s: State) -> Iterator[Step]:
        here, peers = self.here(s, 0), self.peers(s)
        for i, peer in zip(self.others(s), peers):
            word = self.says(here, peer)
            if s.answered[i] and s.linked[i]:
                yield f"0 hears of {i}: {s.answered[i]}", NODE, self.hears(s, i)
            elif word and reached(s, i) and not s.said[i] and not s.broken[i]:
                yield f"0 says to {i}: {word}", NODE, s._replace(said=put(s.said, i, word))
            if s.broken[i]:
                heard = FINISHED if s.heard[i] == FINISHED else ""
                calm = s._replace(broken=put(s.broken, i, False), heard=put(s.heard, i, heard))
                after = self.loses(s) if here.state == GO else calm
                yield f"0 notices that the line to {i} broke", NODE, after
        if here.state in (ARMED, GO) and not s.proven:
            yield "0 decides old: out of time", NODE, self.becomes(s, OLD)
        state = self.decides(here, peers, s.wish, s.proven)
        if state == GO:
            yield "0 goes", NODE, change(s, 0, state=GO)
        elif state:
            yield f"0 decides {state}", NODE, self.becomes(s, state)
        if here.state == GO:
            yield from self.attempt(s, here, peers)
        elif here.state in (NEW, OLD) and not self.finalizes(here):
            yield from self.record(s, here)

    def hears(self, s: State, i: int) -> State:
        word = s.answered[i]
        s = s._replace(answered=put(s.answered, i, ""), heard=put(s.heard, i, word))
        return self.becomes(s, OLD) if word == FAILED and s.nodes[0].state == GO else s

    def attempt(self, s: State, here: Here, peers: tuple[Peer, ...]) -> Iterator[Step]:
        node = s.nodes[0]
        act = self.acts(here, peers, s.tries)
        if act == swap_rules.SUSPEND_OLD:
            unit = node.unit if self.faults.late_unit else ""
            yield "0 suspends old", NODE, change(s, 0, old=still(node.old), unit=unit, idle=False)
        elif act == swap_rules.START_NEW and node.full:
            yield "0 cannot start new", NODE, self.becomes(s, OLD)
        elif act == swap_rules.START_NEW and self.permitted(node):
            unit = NEW if self.faults.early_unit else node.unit
            after = change(s, 0, new=STARTS, unit=unit)._replace(tries=s.tries + 1)
            yield "0 starts new", NODE, after
        elif act == swap_rules.PROVE and not s.proven:
            if not all(reached(s, i) and s.nodes[i].new == STARTS for i in self.at.new):
                yield "0 learns that a rank has ended", NODE, self.loses(s)
            elif s.can[1]:
                yield "0 proves new", NODE, s._replace(proven=True, ever_proven=True)
            else:
                yield "0 decides old: new fails its proof", NODE, self.becomes(s, OLD)

    def record(self, s: State, here: Here) -> Iterator[Step]:
        if not all(s.heard[i] == FINISHED for i in self.others(s)):
            return
        ranks = [s.nodes[i] for i in (self.at.new if here.state == NEW else self.at.old)]
        # Nobody waits for an old plan that lacks a rank.
        lacks = bool(s.without) and s.gone in self.at.old
        failed = here.state == OLD and (not ranks or lacks or any(n.idle for n in ranks))
        result = "failed" if failed else here.state
        if result != OLD or all(node.old == RUNS for node in ranks):
            yield f"0 records: {result}", NODE, change(s, 0, state=ENDED)._replace(result=result)

    # A participant.

    def participant(self, s: State, i: int) -> Iterator[Step]:
        node, here = s.nodes[i], self.here(s, i)
        state = self.rules.unjoined(node.state)
        if state != here.state:
            yield f"{i} was never asked to join", NODE, change(s, i, state=state)
        state = self.rules.alone(here.state, s.without) if self.alone(s) else ""
        if state and state != here.state:
            yield f"{i} ends alone", NODE, change(s, i, state=state)
        doubts = here.state == JOINED and not (reached(s, 0) and s.linked[i])
        act = self.rules.in_doubt(here) if doubts else ""
        if act == swap_rules.STOP_NEW:
            yield f"{i} is in doubt: stops new", NODE, change(s, i, new=STILL)
        elif act == swap_rules.PLACE_OLD:  # of a mutant only
            yield f"{i} is in doubt: goes back", NODE, change(s, i, state=OLD)
        if not s.said[i] or not s.linked[i] or node.state == "":
            return
        reply = self.replies(here, s.said[i])
        if node.state in (NEW, OLD) and not reply.answer:
            return
        after, answer = s, reply.answer
        for act in reply.acts:
            here_now = after.nodes[i]
            if act == swap_rules.SUSPEND_OLD:
                unit = here_now.unit if self.faults.late_unit else ""
                after = change(after, i, old=still(here_now.old), unit=unit, idle=False)
            elif act == swap_rules.STOP_NEW:
                after = change(after, i, new=STILL)
            elif here_now.full:
                answer = FAILED
            elif not self.permitted(here_now):
                return
            else:
                unit = NEW if self.faults.early_unit else here_now.unit
                after = change(after, i, new=STARTS, unit=unit)
        if reply.state:
            after = change(after, i, state=reply.state)
        after = after._replace(said=put(s.said, i, ""), answered=put(s.answered, i, answer))
        yield f"{i} does: {s.said[i]}", NODE, after

    def finalization(self, s: State, i: int) -> Iterator[Step]:
        node = s.nodes[i]
        act = self.finalizes(self.here(s, i))
        if act == swap_rules.PLACE_NEW:
            new = RUNS if node.new == STARTS else node.new
            yield f"{i}: the unit of new", NODE, change(s, i, unit=NEW, new=new, idle=False)
        elif act == swap_rules.DROP_OLD:
            yield f"{i} drops old", NODE, change(s, i, old=GONE)
        elif act == swap_rules.DROP_NEW:
            yield f"{i} drops new", NODE, change(s, i, new=GONE)
        elif act == swap_rules.PLACE_OLD:
            yield f"{i}: the unit of old", NODE, change(s, i, unit=OLD)
        elif i:
            yield f"{i} has finished", NODE, change(s, i, state=ENDED)

    # What has to hold.

    def violated(self, s: State) -> Iterator[str]:
        nodes = [s.nodes[i] for i in living(s)]
        units = {node.unit for node in nodes}
        if {OLD, NEW} <= units:
            yield "I1"
        if NEW in units and not s.ever_proven:
            yield "I3"
        if any(GONE in node.others for node in s.nodes):
            yield "I4"
        decided = {node.state for node in nodes} & {OLD, NEW}
        if len(decided) > 1 or (s.decided and not self.alone(s) and decided - {s.decided}):
            yield "I5"
        if any(starting(node) > 1 for node in s.nodes):
            yield "I6"

    def alone(self, s: State) -> bool:
        """Whether a person has taken the nodes from a decider that is lost for good."""
        return bool(s.without) and s.gone == 0

    def settled(self, s: State) -> bool:
        """One plan serves on all its nodes, with its units; or none can, and that is recorded.

        And the next swap finds what a first one finds: no part of this one, and nothing on its way.
        """
        if s.gone >= 0:
            return not s.without or self.settled_without(s)
        for node in s.nodes:
            quiet = node.up and not node.full and node.state in ("", ENDED)
            if not quiet or {STILL, STARTS} & set(node.others):
                return False
        if any(s.said) or any(s.answered):
            return False
        serves = {i: (node.old, node.new, node.unit) for i, node in enumerate(s.nodes)}
        nothing = (GONE, GONE, "")
        on_new = {i: (GONE, RUNS, NEW) if i in self.at.new else nothing for i in serves}
        on_old = {i: (RUNS, GONE, OLD) if i in self.at.old else nothing for i in serves}
        if serves == on_new or (self.at.old and serves == on_old):
            return True
        if s.decided == NEW:
            # Given up later by its supervisors, as a plan that nobody swaps.
            return any(node.idle for node in s.nodes)
        given_up = not self.at.old or any(node.idle for node in s.nodes)
        recorded = s.result in ("failed", OLD) or s.nodes[0].state == ""
        return given_up and recorded and all(node.new == GONE for node in s.nodes)

    def settled_without(self, s: State) -> bool:
        """The nodes that are left have the units of one plan, and no part of the swap."""
        nodes = {i: s.nodes[i] for i in living(s)}
        if not all(node.state in ("", ENDED) for node in nodes.values()):
            return False
        on_new = all(
            (node.old, node.new != GONE, node.unit)
            == ((GONE, True, NEW) if i in self.at.new else (GONE, False, ""))
            for i, node in nodes.items()
        )
        on_old = all(
            (node.old != GONE, node.new, node.unit)
            == ((True, GONE, OLD) if i in self.at.old else (False, GONE, ""))
            for i, node in nodes.items()
        )
        return on_new or on_old


def living(s: State) -> list[int]:
    """The nodes that are not lost for good."""
    return [i for i in range(len(s.nodes)) if i != s.gone]


def rank_of(what: str) -> str:
    return {GONE: ABSENT, STILL: IDLE, STARTS: STARTED, RUNS: STARTED}[what]


def still(what: str) -> str:
    return STILL if what else GONE


def starting(node: Node) -> int:
    return (node.old, node.new, *node.others).count(STARTS)


def change(s: State, i: int, **fields: object) -> State:
    return s._replace(nodes=put(s.nodes, i, s.nodes[i]._replace(**fields)))


def each(s: State, places: Sequence[int], **fields: object) -> State:
    for i in places:
        s = change(s, i, **fields)
    return s


def reached(s: State, i: int) -> bool:
    return s.nodes[i].up and s.linked[i]


def search(model: Model) -> Outcome:
    """Breadth first, so that the way to the first violation of an invariant is the shortest."""
    queue = list(model.beginnings())
    index = {s: at for at, s in enumerate(queue)}
    parents: list[tuple[int, str] | None] = [None] * len(queue)
    onward: list[int] = []
    earlier: dict[int, list[int]] = {}
    broken: dict[str, tuple[int, list[str]]] = {}
    shared: dict[object, object] = {}

    def violates(invariant: str, at: int, last: str = "") -> None:
        count, way = broken.get(invariant, (0, []))
        if not count:
            way = [last] if last else []
            parent = parents[at]
            while parent:
                way.insert(0, parent[1])
                parent = parents[parent[0]]
        broken[invariant] = (count + 1, way)

    for at, s in enumerate(queue):  # it grows meanwhile
        following = set()
        for words, kind, after in model.steps(s):
            if kind == CONTROLLER and s.decided and containers(s) != containers(after):
                violates("I5", at, words)
            known = index.get(after)
            if known is None:
                known = index[after] = len(queue)
                queue.append(State(*(shared.setdefault(part, part) for part in after)))
                parents.append((at, shared.setdefault(words, words)))
            if kind == NODE and after != s:
                following.add(known)
        onward.append(len(following))
        for after_at in following:
            earlier.setdefault(after_at, []).append(at)
        for invariant in model.violated(s):
            violates(invariant, at)
    resting = [at for at, count in enumerate(onward) if not count]
    ends: dict[str, int] = {}
    for at in resting:
        if model.settled(queue[at]):
            result = queue[at].result or "not begun"
            ends[result] = ends.get(result, 0) + 1
        else:
            violates("I2", at, "and there it stays")
    steps = [0] * len(queue)
    for at in resting:  # backwards; it grows meanwhile
        for before in earlier.get(at, ()):
            steps[before] = max(steps[before], steps[at] + 1)
            onward[before] -= 1
            if not onward[before]:
                resting.append(before)
    for at, count in enumerate(onward):
        if count:
            violates("I2", at, "and so on without end")
    return Outcome(len(queue), max(steps), ends, broken)


def containers(s: State) -> list[tuple[str, str, str]]:
    return [(node.old, node.new, node.unit) for node in s.nodes]


def row(name: str, model: Model) -> tuple[Outcome, str]:
    """The outcome, and a line for a table."""
    begun = time.monotonic()
    outcome = search(model)
    marks = [
        str(outcome.broken[invariant][0]) if invariant in outcome.broken else "holds"
        for invariant in INVARIANTS
    ]
    seconds = time.monotonic() - begun
    text = "%-28s%9d%6d%s  %4.0f s  %s" % (
        *(name, outcome.states, outcome.steps),
        *("".join("%8s" % mark for mark in marks), seconds, outcome.ends),
    )
    return outcome, text


def main(argv: list[str]) -> int:
    where, failures = (argv[0], int(argv[1])) if argv else ("0>0", 2)
    kinds = frozenset(argv[2].split(",")) if len(argv) > 2 else KINDS
    outcome, text = row(where, Model(Configuration.of(where, failures, kinds)))
    print(text)
    for invariant, (count, way) in sorted(outcome.broken.items()):
        print(f"{invariant}, {count} times: " + "; ".join(way))
    return 1 if outcome.broken else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
