# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to containers that are set aside, removed or brought back."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import (
    Container,
    EngineError,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import retention

A, ASIDE = "dgxspark-a-0", "dgxspark-a-0.previous"
OWNER = {"dgxspark.suite/owner": "dgxspark.suite"}


def container(name: str, status: str = "running", **labels: str) -> Container:
    return Container(name, "id", "image", "sha256:1", status, 0, labels or OWNER)


class Case(t.NamedTuple):
    """What is there, what is wanted, the docker commands for that."""

    found: list[Container]
    wanted: dict[str, list[str]]
    commands: list[str]


CASES = {
    "set aside": Case(
        [container(A)], {"retain": [A]}, [f"rename {A} {ASIDE}", f"stop -t 30 {ASIDE}"]
    ),
    "set aside, crashed": Case([container(A, "exited")], {"retain": [A]}, [f"rename {A} {ASIDE}"]),
    "set aside by halves": Case([container(ASIDE)], {"retain": [ASIDE]}, [f"stop -t 30 {ASIDE}"]),
    "set aside already": Case([container(ASIDE, "exited")], {"retain": [ASIDE]}, []),
    "gone": Case([], {"retain": [A], "remove": [A]}, []),
    "removed": Case(
        [container(A)], {"remove": [A]}, [f"stop -t 30 {A}", f"rm --force --volumes {A}"]
    ),
    "removed, restarting": Case(
        [container(A, "restarting")],
        {"remove": [A]},
        [f"stop -t 30 {A}", f"rm --force --volumes {A}"],
    ),
    "brought back": Case(
        [container(ASIDE, "exited")], {"restore": [ASIDE]}, [f"rename {ASIDE} {A}", f"start {A}"]
    ),
    "brought back by its own name": Case(
        [container(ASIDE, "exited")], {"restore": [A]}, [f"rename {ASIDE} {A}", f"start {A}"]
    ),
    "started anew with its peers": Case(
        [container(A)], {"restore": [A]}, [f"stop -t 30 {A}", f"start {A}"]
    ),
    "brought back in the place of another": Case(
        [container(A), container(ASIDE, "exited")],
        {"remove": [A], "restore": [ASIDE]},
        [
            f"stop -t 30 {A}",
            f"rm --force --volumes {A}",
            f"rename {ASIDE} {A}",
            f"start {A}",
        ],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_commands(case: Case) -> None:
    found = retention.steps(case.found, case.wanted, 30)
    assert [" ".join(step.argv) for step in found] == case.commands


@pytest.mark.parametrize("kind", ["retain", "remove", "restore"])
def test_what_is_not_ours_stops_everything(kind: str) -> None:
    foreign = container("registry", **{"dgxspark.suite/owner": "somebody"})
    with pytest.raises(retention.NotOurs, match="registry"):
        retention.steps([container(A), foreign], {"remove": [A], kind: ["registry"]}, 30)


def test_what_is_gone_cannot_be_brought_back() -> None:
    with pytest.raises(EngineError, match=f"container {A} is gone"):
        retention.steps([], {"restore": [ASIDE]}, 30)


GIB = 1 << 30


@pytest.mark.parametrize(
    ("readings", "limit", "expected"),
    [
        ([50 * GIB] * 3, 90, (50 * GIB, 1.0, True)),
        ([50 * GIB, 60 * GIB, 90 * GIB, 90 * GIB, 90 * GIB], 90, (90 * GIB, 2.0, True)),
        # Something else takes memory meanwhile: it comes free no more.
        ([50 * GIB, 40 * GIB, 30 * GIB], 90, (30 * GIB, 1.0, True)),
        ([step * GIB for step in range(10)], 2, (4 * GIB, 2.0, False)),
    ],
)
def test_memory_is_waited_for_until_no_more_comes_free(
    readings: list[int], limit: float, expected: tuple[int, float, bool]
) -> None:
    following = iter(readings)
    assert (
        retention.await_release(limit, lambda: next(following), lambda _seconds: None) == expected
    )


def test_what_is_available_is_read_in_bytes() -> None:
    text = "MemTotal:       125513944 kB\nMemFree:  1 kB\nMemAvailable:   119000000 kB\n"
    assert retention.parse_memory(text, "MemAvailable") == 119000000 * 1024
    assert retention.parse_memory("", "MemAvailable") == 0
