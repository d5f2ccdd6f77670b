# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kept answers: believed while nothing has changed, by state and not by age; runs write them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine import cached_answers
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.cached_answers import (
    FRESH,
    KEPT,
    QUICK,
    Keeper,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import Spec
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.target import Problem
from ansible_collections.dgxspark.suite.plugins.module_utils.host import command
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    OK,
    Finding,
    Plan,
)

PROBE = (command.__name__,)


@dataclass
class Asked:
    """A target that counts how often it is asked."""

    now: str = "as it was"
    spec: str = "toy"
    isolated: bool = False
    problem: bool = False
    changes_meanwhile: bool = False
    asked: list[Any] = field(default_factory=list, repr=False)
    looks: int = 0
    place: str = "toy box"

    def __repr__(self) -> str:
        return "Asked()"

    def state(self) -> str:
        self.looks += 1
        return self.now

    def put(
        self, probe: Sequence[str], request: Mapping[str, Any], timeout: float
    ) -> dict[str, Any] | Problem:
        self.asked.append(request)
        if self.changes_meanwhile:
            self.now += "!"
        return Problem("no", "do") if self.problem else {"answer": len(self.asked)}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node without a GPU; its packages are in a file of this folder."""
    status = tmp_path / "status"
    status.write_text("Package: git\n")
    monkeypatch.setattr(cached_answers, "STATUS_FILE", str(status))
    monkeypatch.setattr(cached_answers, "gpu_evidence", lambda: "")
    return tmp_path


def put(
    target: Asked, folder: Path, costly: str = KEPT, keep: bool = True, **request: Any
) -> dict[str, Any] | Problem:
    keeper = Keeper(target, str(folder / "kept"), costly)  # type: ignore[arg-type]
    told = keeper.put(PROBE, {"arch": "sm_121", "timeout": 1, **request}, 1)
    if keep:
        keeper.keep()
    return told


def test_an_answer_is_believed_and_the_target_not_asked_again(node: Path) -> None:
    target = Asked()
    assert put(target, node) == put(target, node) == {"answer": 1}
    # How patient somebody is changes no answer.
    assert put(target, node, timeout=99) == {"answer": 1}


def test_a_state_is_looked_up_anew_unless_somebody_says_that_it_need_not(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_answers, "LOOKED_UP", {})
    target = Asked()
    put(target, node)
    assert target.looks == 2
    assert put(target, node) == {"answer": 1}
    assert (target.looks, cached_answers.LOOKED_UP) == (3, {"toy box": "as it was"})
    # A check that the audit has told.
    monkeypatch.setattr(cached_answers, "BELIEVED", {"toy box": "as it was"})
    assert put(target, node) == {"answer": 1}
    assert target.looks == 3
    # What is asked after all is kept for what is there then.
    target.now = "another package in it"
    assert put(target, node, env={"a": "b"}) == {"answer": 2}
    monkeypatch.setattr(cached_answers, "BELIEVED", {})
    assert put(target, node, env={"a": "b"}) == {"answer": 3}


def test_what_nobody_kept_is_asked_again_and_a_check_keeps_nothing(node: Path) -> None:
    target = Asked()
    put(target, node, keep=False)
    assert put(target, node, keep=False) == {"answer": 2}
    assert not (node / "kept").exists()


def test_whatever_it_depends_on_has_it_asked_again(node: Path, monkeypatch: Any) -> None:
    target = Asked()
    pinned = node / "ptxas"
    pinned.write_text("12.8")
    env = {"TRITON_PTXAS_PATH": str(pinned)}
    put(target, node, env=env)
    assert put(target, node, env=env) == {"answer": 1}
    pinned.write_text("13.0")
    assert put(target, node, env=env) == {"answer": 2}
    (node / "status").write_text("Package: git\nPackage: libcuda1\n")
    assert put(target, node, env=env) == {"answer": 3}
    target.now = "another package in it"
    assert put(target, node, env=env) == {"answer": 4}
    assert put(target, node, env={}) == {"answer": 5}
    monkeypatch.setattr(cached_answers, "sources_of", lambda _names: {"probe": "a later version"})
    assert put(target, node, env={}) == {"answer": 6}


def test_a_gpu_is_asked_how_it_is_each_time(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_answers, "gpu_evidence", lambda: "/dev/nvidiactl")
    said = cached_answers.ask_smi("", 1)
    monkeypatch.setattr(cached_answers, "ask_smi", lambda _path, _seconds: said)
    target = Asked()
    put(target, node)
    assert put(target, node) == {"answer": 1}
    said = type(said)("/usr/bin/nvidia-smi", problem="GPU is lost")
    assert put(target, node) == {"answer": 2}


def test_fresh_looks_in_any_case_and_quick_never(node: Path) -> None:
    target = Asked()
    left_out = put(target, node, QUICK)
    assert isinstance(left_out, Problem)
    assert left_out.left_out
    assert target.asked == []
    put(target, node)
    assert put(target, node, QUICK) == {"answer": 1}
    assert put(target, node, FRESH) == {"answer": 2}
    assert put(target, node) == {"answer": 2}


@pytest.mark.parametrize(
    "target", [Asked(now=""), Asked(problem=True), Asked(changes_meanwhile=True)]
)
def test_nothing_is_kept_of_what_cannot_be_told_did_not_answer_or_changed(
    node: Path, target: Asked
) -> None:
    put(target, node)
    put(target, node)
    assert len(target.asked) == 2
    assert not (node / "kept").exists()


def test_what_others_could_have_written_is_not_believed(node: Path) -> None:
    target = Asked()
    put(target, node)
    (file,) = (node / "kept").iterdir()
    file.chmod(0o666)
    assert put(target, node) == {"answer": 2}
    file.chmod(0o644)
    (node / "kept").chmod(0o777)
    assert put(target, node) == {"answer": 3}
    (node / "kept").chmod(0o755)
    file.write_text("{garbage")
    assert put(target, node) == {"answer": 4}
    moved = node / "moved"
    file.rename(moved)
    file.symlink_to(moved)
    assert put(target, node, keep=False) == {"answer": 5}


def test_a_spec_keeps_only_what_is_well(node: Path) -> None:
    statuses = [OK, BLOCKED]
    target = Asked()

    def observe(_wanted: object) -> Keeper:
        keeper = Keeper(target, str(node / "kept"), KEPT)  # type: ignore[arg-type]
        keeper.put(PROBE, {}, 1)
        return keeper

    def plan(_seen: object, _wanted: object) -> Plan:
        return Plan((Finding("c", statuses[-1], "e", "a", hint="h"),))

    spec = Spec("toy", {}, dict, observe, plan, keep=Keeper.keep)
    # Not even where the inventory has it skipped: the exemption may go, and the answer would stay.
    look, _plan, keep = spec.functions({"skip": {"c": "reason"}, "accepted": []}, act=True)
    keep(look())
    assert not (node / "kept").exists()
    statuses.append(OK)
    keep(look())
    assert len(json.loads(next((node / "kept").iterdir()).read_text())) == 1
