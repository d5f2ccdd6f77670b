# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many checks at once: in order, bounded, and none spoils another."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.all_specs import SPECS
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.audit import Job, side_by_side
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine import cached_answers
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import Spec
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    DRIFT,
    OK,
    Finding,
    Plan,
)

ROOT = Path(__file__).parents[5]
# On a node a module has one thread; who runs tests side by side has more.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def spec(name: str, look: Any, costly: bool = False) -> Spec:
    """A spec whose one option is handed to look; what that returns is found."""

    def plan(seen: Any, _wanted: dict[str, Any]) -> Plan:
        return Plan((Finding(name + "_check", OK, "e", str(seen)),), parity={name: str(seen)})

    options = {"value": {"type": "int", "default": 1}}
    return Spec(name, options, dict, lambda wanted: look(wanted["value"]), plan, costly=costly)


def told(result: dict[str, Any]) -> tuple[str, str, str]:
    (finding,) = result["findings"]
    return finding["check"], finding["status"], finding["actual"]


def test_every_ensure_module_is_registered() -> None:
    modules = (ROOT / "plugins" / "modules").glob("ensure_*.py")
    # Updates are asked for by a playbook of their own, and are no drift.
    assert {*SPECS, "updates"} == {path.stem.removeprefix("ensure_") for path in modules}
    assert all(name == one.name for name, one in SPECS.items())


def test_results_come_in_the_order_of_the_jobs_whatever_ends_first() -> None:
    def slow(value: int) -> int:
        time.sleep(0.2)
        return value

    jobs = [Job(spec("slow", slow), {"value": 7}), Job(spec("quick", lambda value: value), {})]
    results = side_by_side(jobs, 2, 60, 60)
    assert [told(one)[2] for one in results] == ["7", "1"]
    assert [one["parity"] for one in results] == [{"slow": "7"}, {"quick": "1"}]
    assert [one["changed"] for one in results] == [False, False]


def test_what_crashes_spoils_its_own_finding_only() -> None:
    def raises(_value: int) -> int:
        raise KeyError("MemTotal")

    def dies(_value: int) -> int:
        os.kill(os.getpid(), signal.SIGSEGV)
        return 0

    jobs = [Job(spec(look.__name__, look), {}) for look in (raises, dies)]
    jobs.append(Job(spec("well", lambda value: value), {}))
    first, second, third = map(told, side_by_side(jobs, 2, 60, 60))
    assert first[:2] == ("raises_assessed", "blocked")
    assert first[2].startswith("not assessed: KeyError: 'MemTotal'")
    assert second == (
        "dies_assessed",
        "blocked",
        "not assessed: its process was killed by signal 11",
    )
    assert third == ("well_check", "ok", "1")


def test_what_hangs_is_given_up_and_has_tidied_up_behind_it(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"

    def hangs(_value: int) -> int:
        scratch.touch()
        try:
            while True:
                time.sleep(60)
        finally:
            scratch.unlink()

    jobs = [Job(spec("hangs", hangs), {}), Job(spec("well", lambda value: value), {})]
    first, second = side_by_side(jobs, 2, 0.5, 60)
    assert told(first)[:2] == ("hangs_assessed", "blocked")
    assert "after 0.5 s" in told(first)[2]
    assert "dgxspark.suite.site --check --tags hangs" in first["findings"][0]["hint"]
    assert told(second)[1] == "ok"
    assert not scratch.exists()


def test_what_does_not_even_want_to_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ansible_collections.dgxspark.suite.plugins.module_utils.ensure.audit._GRACE", 0.2
    )

    def deaf(_value: int) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)

    (result,) = side_by_side([Job(spec("deaf", deaf), {})], 1, 0.2, 60)
    assert told(result)[:2] == ("deaf_assessed", "blocked")


def test_a_nodes_time_is_bounded_and_what_had_no_turn_says_so() -> None:
    def hangs(_value: int) -> int:
        time.sleep(60)
        return 0

    jobs = [Job(spec("first", hangs), {}), Job(spec("second", lambda value: value), {})]
    first, second = side_by_side(jobs, 1, 60, 0.5)
    assert told(first)[:2] == ("first_assessed", "blocked")
    assert told(second)[2] == "not assessed: not started within the 0.5 s of the node"


def test_costly_checks_come_one_after_another_and_first(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def look(value: int) -> int:
        with log.open("a") as stream:
            stream.write("<%d" % value)
        time.sleep(0.2)
        with log.open("a") as stream:
            stream.write(">")
        return value

    cheap = Job(spec("cheap", lambda value: value), {})
    costly = [Job(spec("costly", look, costly=True), {"value": value}) for value in (1, 2)]
    side_by_side([cheap, *costly], 3, 60, 60)
    assert log.read_text() == "<1><2>"


def test_a_costly_check_need_not_look_up_what_the_one_before_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cached_answers, "KNOWN_STATES", {})
    monkeypatch.setattr(cached_answers, "COMPUTED_STATES", {})

    def look(value: int) -> str:
        cached_answers.COMPUTED_STATES["/venv"] = "state %d" % value
        return repr(cached_answers.KNOWN_STATES)

    jobs = [Job(spec("costly", look, costly=True), {"value": value}) for value in (1, 2)]
    first, second = (told(one)[2] for one in side_by_side(jobs, 2, 60, 60))
    assert (first, second) == ("{}", "{'/venv': 'state 1'}")


def test_an_option_that_cannot_be_meant_is_told_of_by_name() -> None:
    def refuses(**_options: Any) -> None:
        raise ValueError("value: expected another")

    picky = Spec("picky", {"value": {"type": "int"}}, refuses, lambda _w: None, lambda _s, _w: None)  # type: ignore[arg-type, return-value]
    jobs = [
        Job(spec("typed", lambda value: value), {"value": "many"}),
        Job(spec("named", lambda value: value), {"valeu": 1}),
        Job(picky, {"value": 1}),
    ]
    results = side_by_side([*jobs, Job(spec("right", lambda value: value), {})], 2, 60, 60)
    assert [(one["spec"], one.get("failed", False)) for one in results] == [
        ("typed", True),
        ("named", True),
        ("picky", True),
        ("right", False),
    ]
    typed, named, picky_too = (one["msg"] for one in results[:3])
    assert "value" in typed
    assert "int" in typed
    assert "valeu" in named
    assert picky_too == "value: expected another"


def test_an_error_of_a_check_is_no_invalid_option() -> None:
    def looks(_value: int) -> str:
        return str(int("x"))

    (result,) = side_by_side([Job(spec("broken", looks), {})], 2, 60, 60)
    assert told(result)[:2] == ("broken_assessed", "blocked")


def test_what_is_exempt_is_exempt_here_too() -> None:
    def drifts(seen: Any, _wanted: Any) -> Plan:
        action = type("A", (), {"subject": "s", "before": "", "after": "x", "repairs": ("c",)})()
        return Plan((Finding("c", DRIFT, "e", str(seen), fix="do it"),), (action,))

    one = Spec("drifting", {}, dict, lambda _wanted: 1, drifts)
    plain, skipped = side_by_side([Job(one, {}), Job(one, {"skip": {"c": "not here"}})], 2, 60, 60)
    assert (plain["changed"], told(plain)[1], plain["diff"]["after"]) == (True, "drift", "x")
    assert (skipped["changed"], told(skipped)[2]) == (False, "not applicable: not here")
