# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a swap hold in every interleaving, and each of them is needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import swap_rules
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.swap_rules import (
    ENDED,
    IDLE,
    OLD,
    STARTED,
    Here,
    Peer,
    Reply,
    Rules,
)

from .swap_model import (
    CUT,
    GUARD,
    KINDS,
    LOST,
    REBOOT,
    Configuration,
    Faults,
    Model,
    Outcome,
    row,
    search,
)

# Nodes of the old > of the new plan, and how many failures. `make model` has more of both.
SOME = {">0": 3, "0>0": 3, ">01": 1, "0>01": 1, "1>0": 1, "01>0": 1, "01>01": 1}
MANY = {"0>0": 4, ">01": 2, "0>01": 2, "1>0": 2, "01>0": 2, "01>01": 2}
THREE = {"0>012": 1, "012>012": 1, "012>01": 1}
# A node is lost for good, and a person goes on without it.
WITHOUT = {"0>01": 1, "1>0": 1, "01>0": 1, "01>01": 1}

more = pytest.mark.skipif(
    not os.environ.get("DGXSPARK_MODEL"), reason="minutes and gigabytes; DGXSPARK_MODEL=1 runs it"
)


def rests(configuration: Configuration, name: str) -> Outcome:
    outcome, text = row(name, Model(configuration))
    print(text)
    assert outcome.broken == {}
    return outcome


@pytest.mark.parametrize("nodes", SOME)
def test_every_swap_ends_and_is_settled(nodes: str) -> None:
    outcome = rests(Configuration.of(nodes, SOME[nodes]), nodes)

    # The search has met every way in which a swap can end.
    back = set() if nodes.startswith(">") else {OLD}
    assert set(outcome.ends) >= {"not begun", "failed", "new"} | back


def test_two_other_services_on_a_node_start_one_after_the_other() -> None:
    rests(Configuration.of("0>0", 2, others=2), "0>0, two others")


@more
@pytest.mark.parametrize("nodes", MANY)
def test_with_more_failures(nodes: str) -> None:
    rests(Configuration.of(nodes, MANY[nodes]), nodes)


@more
@pytest.mark.parametrize("nodes", THREE)
def test_three_nodes(nodes: str) -> None:
    kinds = frozenset((REBOOT, CUT))
    rests(Configuration.of(nodes, THREE[nodes], kinds, others=0), nodes)


@pytest.mark.parametrize("nodes", WITHOUT)
def test_without_a_node_that_is_lost_for_good(nodes: str) -> None:
    rests(Configuration.of(nodes, WITHOUT[nodes], frozenset((LOST,))), f"{nodes}, without one")


@more
@pytest.mark.parametrize("nodes", ["01>01", "012>012"])
def test_without_a_node_and_with_another_failure(nodes: str) -> None:
    three = "2" in nodes
    kinds = frozenset((LOST,) if three else (LOST, REBOOT, CUT))
    rests(Configuration.of(nodes, 1 if three else 2, kinds), f"{nodes}, without one")


@more
def test_who_is_left_ends_as_those_that_know_the_decision() -> None:
    outcome = search(Model(Configuration.of("012>012", 1, frozenset((LOST,))), AloneIsOld()))

    assert set(outcome.broken) >= {"I1", "I5"}


class AloneIsOld(Rules):
    """Nobody asks the others what was decided before a node goes back."""

    def word_of_a_person(self, known: Iterable[str]) -> str:
        return swap_rules.WISH_ALONE


class Guesses(Rules):
    """A participant that has lost its decider goes back by itself."""

    def in_doubt(self, here: Here) -> str:
        return swap_rules.PLACE_OLD if here.state == swap_rules.JOINED else ""


class DeciderFirst(Rules):
    def arming_order(self, nodes: Iterable[str], decider: str) -> list[str]:
        return [decider, *(node for node in nodes if node != decider)]


class DoesNotWait(Rules):
    """The new plan starts before every node has stopped the old one."""

    def may_start(self, peers: Iterable[Peer]) -> bool:
        return True


class LeavesUnit(Rules):
    """The old container is stopped, its unit stays."""

    def acts(self, here: Here, peers: Sequence[Peer], tries: int) -> str:
        unit = "" if here.unit == OLD and here.old != STARTED else here.unit
        return super().acts(here._replace(unit=unit), peers, tries)

    def suspends(self, here: Here) -> tuple[str, ...]:
        return super().suspends(here._replace(unit="" if here.old == IDLE else here.unit))


class SaysNothing(Rules):
    """A participant whose part has ended does not answer one who asks it to join."""

    def replies(self, here: Here, said: str) -> Reply:
        reply = super().replies(here, said)
        refuses = here.state == ENDED and reply.answer == swap_rules.REFUSED
        return Reply("", (), "") if refuses else reply


# What is left out, where, and the invariants that it breaks.
MUTANTS = {
    "the decision is on the disk before anybody hears of it": (
        *(Rules(), Faults(decision_in_memory=True), "01>01", {REBOOT}, {"I5"}),
    ),
    "joined is on the disk before it is said": (
        *(Rules(), Faults(joined_in_memory=True), "01>01", {REBOOT}, {"I5"}),
    ),
    "who is in doubt waits": (Guesses(), Faults(), "01>01", {CUT}, {"I5"}),
    "the decider is armed last": (DeciderFirst(), Faults(), "01>01", {GUARD}, {"I5"}),
    "new starts when old has stopped everywhere": (
        *(DoesNotWait(), Faults(), "1>0", {GUARD}, {"I1"}),
    ),
    "the unit of old goes with its container": (
        *(LeavesUnit(), Faults(late_unit=True), "01>01", {GUARD}, {"I1"}),
    ),
    "the unit of new comes after its proof": (
        *(Rules(), Faults(early_unit=True), "01>01", {GUARD}, {"I3"}),
    ),
    "no step of a controller after go": (
        *(Rules(), Faults(controller_starts=True), "0>0", {GUARD}, {"I5"}),
    ),
    "a permit for each start": (Rules(), Faults(no_permits=True), "0>0", {REBOOT}, {"I6"}),
    "who has ended refuses to join": (SaysNothing(), Faults(), "01>01", {GUARD}, {"I2"}),
}


@pytest.mark.parametrize("rule", MUTANTS)
def test_each_rule_is_needed(rule: str) -> None:
    rules, faults, nodes, kinds, broken = MUTANTS[rule]
    model = Model(Configuration.of(nodes, 1, frozenset(kinds)), rules, faults)

    outcome = search(model)

    for invariant, (count, way) in sorted(outcome.broken.items()):
        print(f"without «{rule}»: {invariant} {count} times: " + "; ".join(way))
    assert set(outcome.broken) >= broken


@pytest.mark.parametrize("nodes", [("b", "a", "c"), ("c", "b", "a")])
def test_permits_are_taken_in_one_order(nodes: tuple[str, ...]) -> None:
    assert Rules().permit_order(nodes) == ["a", "b", "c"]


def test_all_failures_are_searched() -> None:
    assert {REBOOT, CUT, GUARD} < KINDS
    assert Configuration.of("0>0", 1).kinds == KINDS


def test_go_waits_for_everybody() -> None:
    here = Here(swap_rules.ARMED, STARTED, IDLE, OLD, True, True)
    joined, silent = Peer(swap_rules.JOINED, True), Peer("", True)

    assert Rules().decides(here, (joined, silent), swap_rules.WISH_GO, False) == ""
    assert Rules().decides(here, (joined, joined), swap_rules.WISH_GO, False) == swap_rules.GO
