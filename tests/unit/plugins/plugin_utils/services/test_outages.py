# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outages from observations, and the file that has them between two runs."""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.plugin_utils.services import outages_file
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.outages import (
    CONTROL,
    Entry,
    Line,
    Observation,
    Outage,
    State,
    continued,
    of_json,
    outages,
    reduce,
    restored,
    to_json,
)

SUBJECT = "service/main"
T = 1_800_000_000


def observed(*states: str, step: int = 10, subject: str = SUBJECT) -> list[Observation]:
    """Observations at T, T + step, …; "up deep" has the source deep."""
    return [
        Observation(T + step * n, subject, state, f"why {n}", source or "poll")
        for n, (state, _space, source) in enumerate(word.partition(" ") for word in states)
    ]


CASES: dict[str, tuple[list[str], list[str]]] = {
    "it answers": (["up", "up"], ["unknown>up"]),
    "one miss": (["up", "down", "up"], ["unknown>up", "up>suspect", "suspect>up"]),
    "two misses": (["up", "down", "down"], ["unknown>up", "up>suspect", "suspect>down"]),
    "from the start": (["down", "down"], ["unknown>suspect", "suspect>down"]),
    "more misses": (["down", "down", "down"], ["unknown>suspect", "suspect>down"]),
    "an outage ends": (
        ["down", "down", "up"],
        ["unknown>suspect", "suspect>down", "down>up"],
    ),
    "busy is no outage": (["up", "busy", "busy", "up"], ["unknown>up", "up>busy", "busy>up"]),
    "busy ends an outage": (
        ["down", "down", "busy"],
        ["unknown>suspect", "suspect>down", "down>busy"],
    ),
    "nothing is known": (["unknown", "unknown"], []),
    "nothing is known in between": (
        ["up", "down", "unknown", "down"],
        ["unknown>up", "up>suspect", "suspect>down"],
    ),
    "off by a person": (["up", "off", "down", "down", "up"], ["unknown>up", "up>off", "off>up"]),
    "off during an outage": (
        ["down", "down", "off"],
        ["unknown>suspect", "suspect>down", "down>off"],
    ),
    "a report": (["up", "down report:alice", "up"], ["unknown>up", "up>up"]),
    "a report of what was never asked": (["down report:alice"], ["unknown>unknown"]),
    "alive and answers nobody": (
        ["up", "down deep", "up", "down deep", "up"],
        ["unknown>up", "up>suspect", "suspect>down"],
    ),
    "answers again": (
        ["down deep", "down deep", "up", "up deep"],
        ["unknown>suspect", "suspect>down", "down>up"],
    ),
    "deep, then nothing at all": (
        ["down deep", "down", "up"],
        ["unknown>suspect", "suspect>down", "down>up"],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_states(case: tuple[list[str], list[str]]) -> None:
    states, changes = case
    _state, lines = reduce(State(), observed(*states))
    assert [f"{line.was}>{line.is_}" for line in lines] == changes


def test_an_outage_lasts_from_its_first_miss() -> None:
    state, lines = reduce(State(), observed("up", "down", "down", "down", "up"))
    assert lines[2:] == [
        Line(T + 20, SUBJECT, "suspect", "down", 10, "why 2", "poll"),
        Line(T + 40, SUBJECT, "down", "up", 30, "why 4", "poll"),
    ]
    assert outages(lines, state, T + 99) == {SUBJECT: Outage(1, 30, "up")}


def test_one_that_lasts_counts_until_now() -> None:
    state, lines = reduce(State(), observed("down", "down", "up", "down", "down"))
    assert outages(lines, state, T + 100) == {SUBJECT: Outage(2, 20 + 70, "down")}


def test_a_report_has_what_was_said_and_by_whom() -> None:
    said = Observation(T + 5, SUBJECT, "down", "it\nis slow\x1b[2J", "report:alice")
    _state, (_up, line) = reduce(State(), [*observed("up"), said])
    assert line == Line(T + 5, SUBJECT, "up", "up", 5, "it\\nis slow\\x1b[2J", "report:alice")


def test_a_gap_of_the_watcher_is_a_line_and_does_not_end_an_outage() -> None:
    state, before = reduce(State(), observed("down", "down"))
    later = [Observation(T + 5000, SUBJECT, "down"), Observation(T + 5010, SUBJECT, "up")]
    _state, lines = reduce(state, later)
    assert lines == [
        Line(T + 5000, "control", "off", "up", 4990, "nothing was observed", CONTROL),
        Line(T + 5010, SUBJECT, "down", "up", 5010, "", "poll"),
    ]
    assert len(before) == 2


def test_a_clock_that_was_set_back() -> None:
    back = [
        Observation(T + n, SUBJECT, state) for n, state in [(0, "up"), (-50, "down"), (-90, "down")]
    ]
    state, lines = reduce(State(), back)
    assert [line.seconds for line in lines] == [0, 0, 0]
    assert restored(lines, state.watched) == state


observations = st.lists(
    st.builds(
        lambda step, subject, state, source: (step, subject, state, source),
        st.integers(-5, 2000),
        st.sampled_from([SUBJECT, "node/spark1"]),
        st.sampled_from(["up", "busy", "down", "unknown", "off"]),
        st.sampled_from(["poll", "poll", "deep", "report:alice"]),
    )
)


def timed(steps: list[tuple[int, str, str, str]]) -> list[Observation]:
    at, made = T, []
    for step, subject, state, source in steps:
        at += step
        made.append(Observation(at, subject, state, "", source))
    return made


@settings(deadline=None)
@given(observations, st.sets(st.integers(0, 40)))
def test_a_restart_changes_nothing(steps: t.Any, cuts: set[int]) -> None:
    every = timed(steps)
    at_once, wanted = reduce(State(), every)
    state, lines = State(), []
    for number, observation in enumerate(every):
        if number in cuts:
            # As read back: the lines, and the time of the last observation.
            texts = [json.dumps(to_json(line)) for line in lines]
            state = restored([of_json(json.loads(text)) for text in texts], state.watched)
        state, more = reduce(state, [observation])
        lines += more
    assert (state, lines) == (at_once, wanted)
    assert restored(lines, at_once.watched) == at_once


@settings(deadline=None)
@given(observations)
def test_what_holds_for_all_lines(steps: t.Any) -> None:
    state, lines = reduce(State(), timed(steps))
    assert all(line.seconds >= 0 for line in lines)
    assert not [
        line for line in lines if line.is_ == "down" and line.was not in ("suspect", "down")
    ]
    reports = [line for line in lines if line.source.startswith("report:")]
    assert all(line.was == line.is_ for line in reports)
    forward = [step for step in steps if step[0] >= 0]
    state, _lines = reduce(State(), timed(forward))
    assert restored(continued(state), state.watched) == state


# --- the file ------------------------------------------------------------------------------------


def test_the_file_is_the_state_between_two_runs(tmp_path: Path) -> None:
    path = str(tmp_path / "outages.jsonl")
    for observation in observed("up", "down", "down", "up"):
        state, lines = outages_file.observe(path, [observation])
    assert outages(lines, state, T + 99) == {SUBJECT: Outage(1, 20, "up")}
    assert outages_file.read(path) == (state, lines)
    assert json.loads(Path(path).read_text().splitlines()[-1]) == {
        "at": "2027-01-15T08:00:30Z",
        "subject": SUBJECT,
        "was": "down",
        "is": "up",
        "seconds": 20,
        "why": "why 3",
        "source": "poll",
    }


def test_a_run_without_a_change_adds_no_line_and_is_no_gap(tmp_path: Path) -> None:
    path = str(tmp_path / "outages.jsonl")
    for number in range(10):
        outages_file.observe(path, [Observation(T + 600 * number, SUBJECT, "up")])
    assert len(Path(path).read_text().splitlines()) == 1
    assert os.stat(path).st_mtime == T + 5400


@pytest.mark.parametrize("rest", ['{"at": "2027-01-15T08:0', "\0\0\0\0", '{"at": 3}', "[[[["])
def test_a_last_line_that_a_crash_has_cut_off(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "outages.jsonl"
    outages_file.observe(str(path), observed("up", "down"))
    with path.open("a") as stream:
        stream.write(rest)
    os.utime(path, (T + 10, T + 10))
    _state, lines = outages_file.observe(str(path), [Observation(T + 20, SUBJECT, "down")])
    assert [line.is_ for line in lines] == ["up", "suspect", "down"]
    assert outages_file.read(str(path))[1] == lines


def test_a_complete_last_line_without_its_end_counts(tmp_path: Path) -> None:
    path = tmp_path / "outages.jsonl"
    outages_file.observe(str(path), observed("up", "down"))
    path.write_text(path.read_text().rstrip("\n"))
    _state, lines = outages_file.observe(str(path), [Observation(T + 20, SUBJECT, "down")])
    assert lines[-1].is_ == "down"


def test_a_file_that_is_rotated_has_the_state_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "outages.jsonl"
    outages_file.observe(str(path), observed("up", "down", "down"), limit=100)
    state, lines = outages_file.observe(str(path), [Observation(T + 60, SUBJECT, "up")], limit=100)
    assert Path(f"{path}.1").exists()
    assert [json.loads(line)["is"] for line in path.read_text().splitlines()] == ["down", "up"]
    assert outages(lines, state, T + 99) == {SUBJECT: Outage(1, 50, "up")}
    Path(f"{path}.1").unlink()
    alone, _lines = outages_file.read(str(path))
    assert alone == state == State({SUBJECT: Entry("up", T + 60)}, T + 60)


def test_a_crash_between_the_two_renames_of_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "outages.jsonl"
    before, _lines = outages_file.observe(str(path), observed("up", "down"))
    path.rename(f"{path}.1")
    assert outages_file.read(str(path))[0] == before


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert outages_file.read(str(tmp_path / "none")) == (State(), [])


STEP = st.tuples(
    st.integers(0, 30),
    st.sampled_from(["node/spark1", SUBJECT]),
    st.sampled_from(["up", "busy", "down", "off"]),
    st.booleans(),
)


@given(st.lists(STEP, max_size=30), st.sampled_from([200, outages_file.LIMIT]))
@settings(deadline=None)
def test_who_observes_often_has_what_is_in_the_file(steps: t.Any, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, at = os.path.join(folder, "outages.jsonl"), T
        log = outages_file.Log(path, limit)
        for seconds, subject, state, other in steps:
            at += seconds
            observation = Observation(at, subject, state)
            if other:
                outages_file.observe(path, [observation], limit)
                continue
            more = log.observe([observation])
            stored, lines = outages_file.read(path)
            assert log.state == stored
            assert log.lines[len(log.lines) - len(more) :] == more
            # A file that was rotated has other first lines.
            assert log.lines == lines or limit == 200
