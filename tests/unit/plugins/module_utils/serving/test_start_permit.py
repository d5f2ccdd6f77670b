# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The permit to start; test_supervisor.py has it between processes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import Container
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import running, start_permit


def permit(folder: Path, name: str, order: str = "1") -> start_permit.Permit:
    return start_permit.Permit(name, order, lambda: "", str(folder))


@pytest.fixture(autouse=True)
def no_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_permit, "GATHER", 0.0)


def test_one_has_it_and_the_next_in_order_gets_it(tmp_path: Path) -> None:
    first, small, large = (
        permit(tmp_path, name, order) for name, order in (("a", "5"), ("b", "9"), ("c", "1"))
    )
    assert first.take()
    assert not small.take()
    assert not large.take()
    first.free()
    assert not small.take()
    assert small.why == "service c is before it"
    assert large.take()
    assert large.take()
    large.free()
    assert small.take()


def test_after_a_boot_nobody_starts_until_all_are_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_permit, "GATHER", 0.3)
    first = permit(tmp_path, "a")
    assert not first.take()
    assert first.why == "the other services are being counted"
    alone = start_permit.Permit("a", "1", lambda: "", str(tmp_path / "node"), alone=True)
    assert alone.take()
    time.sleep(0.4)
    assert first.take()


def test_who_has_the_permit_or_waits_for_it_is_known(tmp_path: Path) -> None:
    assert start_permit.waiting(str(tmp_path)) == set()
    first, second = permit(tmp_path, "a"), permit(tmp_path, "b-c")
    assert first.take()
    assert not second.take()
    assert start_permit.waiting(str(tmp_path)) == {"a", "b-c"}
    first.free()
    assert start_permit.waiting(str(tmp_path)) == {"b-c"}
    assert second.take()
    second.free()
    assert start_permit.waiting(str(tmp_path)) == set()


@pytest.mark.parametrize(
    ("age", "complete", "expected"),
    [(5, False, True), (5, True, False), (1900, False, False), (-30, False, True)],
)
def test_a_young_container_without_an_answer_is_starting(
    tmp_path: Path, age: int, complete: bool, expected: bool
) -> None:
    started = time.strftime("%Y-%m-%dT%H:%M:%S.123Z", time.gmtime(time.time() - age))
    if complete:
        start_permit.mark_complete("1a", str(tmp_path))
    assert start_permit.is_starting("1a", started, str(tmp_path)) is expected
    start_permit.forget("1a", str(tmp_path))
    assert not start_permit.is_starting("1a", "", str(tmp_path))


def test_a_node_reports_which_services_are_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_permit, "FOLDER", str(tmp_path))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def container(name: str, status: str = "running", **labels: str) -> Container:
        own = {"dgxspark.suite/owner": "dgxspark.suite", "dgxspark.suite/service": name}
        more = {f"dgxspark.suite/{key}": value for key, value in labels.items()}
        return Container(name, name, "i", "i", status, 0, {**own, **more}, now)

    start_permit.mark_complete("done", str(tmp_path))
    containers = [
        container("young", supervise='{"port": 1}'),
        container("done", supervise='{"port": 1}'),
        container("ended", "exited", supervise='{"port": 1}'),
        container("alone", supervise="{}"),
    ]
    assert running._starting(containers) == {"young"}
