# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that are retained, removed or restored, and the memory that they release."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import (
    Container,
    EngineError,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import retention

A, RETAINED = "dgxspark-a-0", "dgxspark-a-0.previous"
OWNER = {"dgxspark.suite/owner": "dgxspark.suite"}


def container(name: str, status: str = "running", **labels: str) -> Container:
    return Container(name, "id", "image", "sha256:1", status, 0, labels or OWNER)


class Case(t.NamedTuple):
    """Present containers, wanted states, and the docker commands from one to the other."""

    found: list[Container]
    wanted: dict[str, list[str]]
    commands: list[str]


CASES = {
    "retained": Case(
        [container(A)], {"retain": [A]}, [f"rename {A} {RETAINED}", f"stop -t 30 {RETAINED}"]
    ),
    "retained after a crash": Case(
        [container(A, "exited")], {"retain": [A]}, [f"rename {A} {RETAINED}"]
    ),
    "renamed and not stopped": Case(
        [container(RETAINED)], {"retain": [RETAINED]}, [f"stop -t 30 {RETAINED}"]
    ),
    "retained already": Case([container(RETAINED, "exited")], {"retain": [RETAINED]}, []),
    "missing": Case([], {"retain": [A], "remove": [A]}, []),
    "removed": Case(
        [container(A)], {"remove": [A]}, [f"stop -t 30 {A}", f"rm --force --volumes {A}"]
    ),
    "removed, restarting": Case(
        [container(A, "restarting")],
        {"remove": [A]},
        [f"stop -t 30 {A}", f"rm --force --volumes {A}"],
    ),
    "restored": Case(
        [container(RETAINED, "exited")],
        {"restore": [RETAINED]},
        [f"rename {RETAINED} {A}", f"start {A}"],
    ),
    "restored by its own name": Case(
        [container(RETAINED, "exited")], {"restore": [A]}, [f"rename {RETAINED} {A}", f"start {A}"]
    ),
    "restarted with its peers": Case(
        [container(A)], {"restore": [A]}, [f"stop -t 30 {A}", f"start {A}"]
    ),
    "restored in the place of another": Case(
        [container(A), container(RETAINED, "exited")],
        {"remove": [A], "restore": [RETAINED]},
        [
            f"stop -t 30 {A}",
            f"rm --force --volumes {A}",
            f"rename {RETAINED} {A}",
            f"start {A}",
        ],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_commands(case: Case) -> None:
    steps = retention.steps(case.found, case.wanted, 30)
    assert [" ".join(step.argv) for step in steps] == case.commands


@pytest.mark.parametrize("kind", ["retain", "remove", "restore"])
def test_a_foreign_container_prevents_all_steps(kind: str) -> None:
    foreign = container("registry", **{"dgxspark.suite/owner": "somebody"})
    with pytest.raises(retention.NotOurs, match="registry"):
        retention.steps([container(A), foreign], {"remove": [A], kind: ["registry"]}, 30)


def test_a_missing_container_cannot_be_restored() -> None:
    with pytest.raises(EngineError, match=f"container {A} is gone"):
        retention.steps([], {"restore": [RETAINED]}, 30)
