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
    CACHED,
    REFRESH,
    SKIP,
    CachedTarget,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.exemptions import (
    Exemptions,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import Spec
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.target import (
    TargetProblem,
)
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
    ) -> dict[str, Any] | TargetProblem:
        self.asked.append(request)
        if self.changes_meanwhile:
            self.now += "!"
        return TargetProblem("no", "do") if self.problem else {"answer": len(self.asked)}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node without a GPU; its packages are in a file of this folder."""
    status = tmp_path / "status"
    status.write_text("Package: git\n")
    monkeypatch.setattr(cached_answers, "STATUS_FILE", str(status))
    monkeypatch.setattr(cached_answers, "gpu_evidence", lambda: "")
    return tmp_path


def put(
    target: Asked, folder: Path, costly: str = CACHED, store: bool = True, **request: Any
) -> dict[str, Any] | TargetProblem:
    cached = CachedTarget(target, str(folder / "cache"), costly)  # type: ignore[arg-type]
    answer = cached.put(PROBE, {"arch": "sm_121", "timeout": 1, **request}, 1)
    if store:
        cached.store()
    return answer


def test_a_cached_answer_is_used_and_the_target_not_asked_again(node: Path) -> None:
    target = Asked()
    assert put(target, node) == put(target, node) == {"answer": 1}
    # The timeout is no part of the question.
    assert put(target, node, timeout=99) == {"answer": 1}


def test_a_state_is_computed_again_unless_the_audit_knows_it(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_answers, "COMPUTED_STATES", {})
    target = Asked()
    put(target, node)
    assert target.looks == 2
    assert put(target, node) == {"answer": 1}
    assert (target.looks, cached_answers.COMPUTED_STATES) == (3, {"toy box": "as it was"})
    # Known from another check of the same audit.
    monkeypatch.setattr(cached_answers, "KNOWN_STATES", {"toy box": "as it was"})
    assert put(target, node) == {"answer": 1}
    assert target.looks == 3
    # A new answer is cached under the state at that time.
    target.now = "another package in it"
    assert put(target, node, env={"a": "b"}) == {"answer": 2}
    monkeypatch.setattr(cached_answers, "KNOWN_STATES", {})
    assert put(target, node, env={"a": "b"}) == {"answer": 3}


def test_without_a_cached_answer_the_target_is_asked_and_a_check_caches_nothing(node: Path) -> None:
    target = Asked()
    put(target, node, store=False)
    assert put(target, node, store=False) == {"answer": 2}
    assert not (node / "cache").exists()


def test_any_change_of_a_dependency_invalidates_the_answer(node: Path, monkeypatch: Any) -> None:
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


def test_the_gpu_is_asked_for_its_state_each_time(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_answers, "gpu_evidence", lambda: "/dev/nvidiactl")
    smi = cached_answers.ask_smi("", 1)
    monkeypatch.setattr(cached_answers, "ask_smi", lambda _path, _seconds: smi)
    target = Asked()
    put(target, node)
    assert put(target, node) == {"answer": 1}
    smi = type(smi)("/usr/bin/nvidia-smi", problem="GPU is lost")
    assert put(target, node) == {"answer": 2}


def test_refresh_asks_in_any_case_and_skip_never(node: Path) -> None:
    target = Asked()
    not_asked = put(target, node, SKIP)
    assert isinstance(not_asked, TargetProblem)
    assert not_asked.left_out
    assert target.asked == []
    put(target, node)
    assert put(target, node, SKIP) == {"answer": 1}
    assert put(target, node, REFRESH) == {"answer": 2}
    assert put(target, node) == {"answer": 2}


@pytest.mark.parametrize(
    "target", [Asked(now=""), Asked(problem=True), Asked(changes_meanwhile=True)]
)
def test_nothing_is_cached_without_a_state_or_an_answer_or_after_a_change(
    node: Path, target: Asked
) -> None:
    put(target, node)
    put(target, node)
    assert len(target.asked) == 2
    assert not (node / "cache").exists()


def test_a_cache_that_others_could_have_written_is_not_used(node: Path) -> None:
    target = Asked()
    put(target, node)
    (file,) = (node / "cache").iterdir()
    file.chmod(0o666)
    assert put(target, node) == {"answer": 2}
    file.chmod(0o644)
    (node / "cache").chmod(0o777)
    assert put(target, node) == {"answer": 3}
    (node / "cache").chmod(0o755)
    file.write_text("{garbage")
    assert put(target, node) == {"answer": 4}
    moved = node / "moved"
    file.rename(moved)
    file.symlink_to(moved)
    assert put(target, node, store=False) == {"answer": 5}


def test_a_spec_caches_only_what_passes(node: Path) -> None:
    statuses = [OK, BLOCKED]
    target = Asked()

    def observe(_wanted: object) -> CachedTarget:
        cached = CachedTarget(target, str(node / "cache"), CACHED)  # type: ignore[arg-type]
        cached.put(PROBE, {}, 1)
        return cached

    def plan(_seen: object, _wanted: object) -> Plan:
        return Plan((Finding("c", statuses[-1], "e", "a", hint="h"),))

    spec = Spec("toy", {}, dict, observe, plan, store=CachedTarget.store)
    # Not even if the inventory skips the check: the exemption may go, and the answer would stay.
    exempt = Exemptions({"c": "reason"})
    look, plan_of, store = spec.functions({}, exempt, act=True)
    store(look())
    assert plan_of(look()).findings[0].status == BLOCKED
    assert not (node / "cache").exists()
    statuses.append(OK)
    store(look())
    assert len(json.loads(next((node / "cache").iterdir()).read_text())) == 1
