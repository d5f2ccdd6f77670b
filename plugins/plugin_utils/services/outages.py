# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was observed of nodes and services to their outages. Pure.

docs/contracts/health.md has the states and the lines.
"""

from __future__ import annotations

import dataclasses
import typing as t
from datetime import datetime, timezone

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

UP, BUSY, SUSPECT, DOWN, UNKNOWN, OFF = "up", "busy", "suspect", "down", "unknown", "off"
STATES = (UP, BUSY, SUSPECT, DOWN, UNKNOWN, OFF)
# What a subject is.
NODE, SERVICE = "node", "service"
POLL, DEEP, CONTROL, REPORT = "poll", "deep", "control", "report:"
# The subject of the lines about the watcher itself.
WATCHER = "control"
# Seconds without any observation that are a gap of the watcher.
GAP = 900
_WHY = 300  # characters

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


class Observation(t.NamedTuple):
    """What was observed of a subject, node/NAME or service/NAME, or what a person reports of it.

    at: seconds since 1970. state: UP, BUSY, DOWN, UNKNOWN or OFF; without meaning in a report.
    source: POLL, DEEP, CONTROL, or REPORT and the name of who reports.
    """

    at: int
    subject: str
    state: str
    why: str = ""
    source: str = POLL


class Line(t.NamedTuple):
    """A line of the log: a change of state, a report, or a gap of the watcher.

    at: seconds since 1970. seconds: that `was` has lasted; of an outage, from its first miss on.
    """

    at: int
    subject: str
    was: str
    is_: str
    seconds: int
    why: str
    source: str


class Entry(t.NamedTuple):
    """The state of a subject. since: seconds since 1970; of DOWN, the first miss.

    source: of what has shown the state.
    """

    state: str
    since: int
    source: str = POLL


@dataclasses.dataclass(frozen=True)
class State:
    """What is known. watched: when something was observed last; None for never."""

    subjects: t.Mapping[str, Entry] = dataclasses.field(default_factory=dict)
    watched: int | None = None


@dataclasses.dataclass(frozen=True)
class Outage:
    """The outages of a subject: their number, their seconds, and its present state."""

    count: int
    seconds: int
    state: str


def reduce(
    state: State, observations: t.Iterable[Observation], gap: int = GAP
) -> tuple[State, list[Line]]:
    """The state after the observations, in their order, and the lines that they add to the log.

    gap: seconds without any observation that are a gap of the watcher. Where the clock was set
    back, a state has lasted for no time.
    """
    subjects, watched = dict(state.subjects), state.watched
    lines: list[Line] = []
    for observation in observations:
        at = int(observation.at)
        if watched is not None and at - watched > gap:
            why = "nothing was observed"
            lines.append(Line(at, WATCHER, OFF, UP, at - watched, why, CONTROL))
        watched = at
        before = subjects.get(observation.subject, Entry(UNKNOWN, at))
        if observation.source.startswith(REPORT):
            lines.append(_line(before, before.state, observation, at))
            continue
        after = _after(before, observation, at)
        if after.state != before.state:
            lines.append(_line(before, after.state, observation, at))
            subjects[observation.subject] = after
    return State(subjects, watched), lines


def _after(before: Entry, observation: Observation, at: int) -> Entry:
    """The entry of a subject after an observation; of the same state if it changes nothing."""
    if observation.state == UNKNOWN:
        return before
    if observation.state == DOWN:
        if before.state in (DOWN, OFF):
            return before
        if before.state == SUSPECT:
            return Entry(DOWN, min(before.since, at), observation.source)
        return Entry(SUSPECT, at, observation.source)
    if (
        observation.state in (UP, BUSY)
        and before.state in (SUSPECT, DOWN)
        and before.source == DEEP
        and observation.source == POLL
    ):
        # It answered the light probe all along.
        return before
    return Entry(observation.state, at, observation.source)


def _line(before: Entry, state: str, observation: Observation, at: int) -> Line:
    seconds = 0 if before.state == UNKNOWN else max(0, at - before.since)
    why = foreign.line(observation.why)[:_WHY]
    return Line(
        at, observation.subject, before.state, state, seconds, why, foreign.line(observation.source)
    )


def restored(lines: t.Iterable[Line], watched: int | None = None) -> State:
    """The state after these lines, which is the one that reduce returned with the last of them.

    watched: when something was observed last; otherwise it is the time of the last line.
    """
    subjects: dict[str, Entry] = {}
    last = None
    for line in lines:
        last = line.at
        if line.subject == WATCHER or line.source.startswith(REPORT):
            continue
        began = line.is_ == DOWN or line.is_ == line.was
        subjects[line.subject] = Entry(
            line.is_, line.at - line.seconds if began else line.at, line.source
        )
    return State(subjects, last if watched is None else watched)


def continued(state: State) -> list[Line]:
    """The lines with which a new file begins, so that it has the state by itself."""
    at = state.watched or 0
    why = "continued from the file before"
    return [
        Line(at, subject, entry.state, entry.state, max(0, at - entry.since), why, entry.source)
        for subject, entry in sorted(state.subjects.items())
    ]


def outages(lines: t.Iterable[Line], state: State, now: int) -> dict[str, Outage]:
    """Subject -> its outages in these lines, the present one included. state: after them."""
    ended: dict[str, list[int]] = {subject: [] for subject in state.subjects}
    for line in lines:
        if line.was == DOWN and line.is_ != DOWN:
            ended.setdefault(line.subject, []).append(line.seconds)
    for subject, entry in state.subjects.items():
        if entry.state == DOWN:
            ended[subject].append(max(0, now - entry.since))
    return {
        subject: Outage(
            len(lengths), sum(lengths), state.subjects.get(subject, Entry(UNKNOWN, now)).state
        )
        for subject, lengths in sorted(ended.items())
    }


def to_json(line: Line) -> dict[str, t.Any]:
    """The object of a line."""
    return {
        "at": datetime.fromtimestamp(line.at, timezone.utc).strftime(_FORMAT),
        "subject": line.subject,
        "was": line.was,
        "is": line.is_,
        "seconds": line.seconds,
        "why": line.why,
        "source": line.source,
    }


def of_json(given: t.Any) -> Line:
    """The line of an object. Raises ValueError for another one."""
    try:
        at = datetime.strptime(given["at"], _FORMAT).replace(tzinfo=timezone.utc)
        line = Line(
            int(at.timestamp()),
            *(given[key] for key in ("subject", "was", "is", "seconds", "why", "source")),
        )
    except (LookupError, TypeError) as error:
        raise ValueError(f"not a line of the log: {error!r}") from error
    texts = (line.subject, line.why, line.source)
    if (
        not all(isinstance(text, str) for text in texts)
        or line.was not in STATES
        or line.is_ not in STATES
        or not isinstance(line.seconds, int)
        or isinstance(line.seconds, bool)
    ):
        raise ValueError("not a line of the log")
    return line
