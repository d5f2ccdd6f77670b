# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop, with a node that is one dictionary."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine import loop
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import converge
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import locked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    DRIFT,
    OK,
    Blocked,
    Finding,
    Plan,
)


@dataclass(frozen=True)
class Set:
    """Set a key of the node, or fail with error, or have no effect (vain)."""

    node: dict[str, str]
    key: str
    value: str
    error: Exception | None = None
    vain: bool = False

    @property
    def subject(self) -> str:
        return self.key

    @property
    def before(self) -> str:
        return self.node.get(self.key, "") + "\n"

    @property
    def after(self) -> str:
        return self.value + "\n"

    @property
    def repairs(self) -> tuple[str, ...]:
        return (self.key,)

    def apply(self) -> None:
        if self.error:
            raise self.error
        if not self.vain:
            self.node[self.key] = self.value


@dataclass
class Spec:
    """Wants some values; further entries say what is blocked, fails or has no effect."""

    wanted: dict[str, str]
    node: dict[str, str] = field(default_factory=dict)
    blocked: tuple[str, ...] = ()
    errors: dict[str, Exception] = field(default_factory=dict)
    vain: tuple[str, ...] = ()
    observations: int = 0

    def observe(self) -> dict[str, str]:
        self.observations += 1
        return dict(self.node)

    def plan(self, observed: dict[str, str]) -> Plan:
        findings, actions = [], []
        for key, value in self.wanted.items():
            status = OK if observed.get(key) == value else DRIFT
            if status == DRIFT and key in self.blocked:
                status = BLOCKED
            if status == DRIFT:
                error = self.errors.get(key)
                actions.append(Set(self.node, key, value, error, key in self.vain))
            actual = observed.get(key, "nothing")
            fix, hint = ("", "") if status == OK else ("set %s" % key, "Look.")
            findings.append(Finding(key, status, value, actual, fix=fix, hint=hint))
        return Plan(
            tuple(findings), tuple(actions), paths={"A": "/a"}, facts={"size": len(observed)}
        )

    def run(self, act: bool) -> tuple[dict[str, Any], str]:
        return converge(self.observe, self.plan, act)


def statuses(result: dict[str, Any]) -> list[str]:
    return [finding["status"] for finding in result["findings"]]


def test_a_check_reports_and_changes_nothing() -> None:
    spec = Spec({"a": "1", "b": "2"}, {"b": "2"})
    result, failed_checks = spec.run(act=False)
    assert statuses(result) == ["drift", "ok"]
    assert result["changed"] is True
    assert (result["paths"], result["size"]) == ({"A": "/a"}, 1)
    assert failed_checks == ""
    assert spec.node == {"b": "2"}


def test_a_check_reports_blocked_findings_without_failing() -> None:
    result, failed_checks = Spec({"a": "1", "b": "2"}, blocked=("a",)).run(act=False)
    assert statuses(result) == ["blocked", "drift"]
    assert failed_checks == ""


def test_a_run_repairs_and_verifies() -> None:
    spec = Spec({"a": "1", "b": "2"}, {"b": "2"})
    result, failed_checks = spec.run(act=True)
    assert statuses(result) == ["fixed", "ok"]
    assert result["findings"][0]["actual"] == "nothing"
    assert (result["changed"], result["size"], failed_checks) == (True, 2, "")
    assert spec.node == {"a": "1", "b": "2"}
    assert spec.observations == 2


def test_a_second_run_changes_nothing_and_observes_once() -> None:
    spec = Spec({"a": "1"}, {"a": "1"})
    result, failed_checks = spec.run(act=True)
    assert (statuses(result), result["changed"], failed_checks) == (["ok"], False, "")
    assert result["diff"] == {"before": "", "after": "", "before_header": "", "after_header": ""}
    assert spec.observations == 1


@pytest.mark.parametrize("node", [{}, {"a": "0"}, {"a": "1"}, {"a": "1", "b": "2"}])
def test_check_and_run_agree_on_changed_and_diff(node: dict[str, str]) -> None:
    wanted = {"a": "1", "b": "2"}
    check, _failed_checks = Spec(wanted, dict(node)).run(act=False)
    run, _failed_checks = Spec(wanted, dict(node)).run(act=True)
    assert (check["changed"], check["diff"]) == (run["changed"], run["diff"])


def test_the_diff_of_several_actions_names_each() -> None:
    diff = Spec({"a": "1", "b": "2"}, {"a": "0"}).run(act=False)[0]["diff"]
    assert diff["before"] == "# a\n0\n# b\n\n"
    assert diff["after"] == "# a\n1\n# b\n2\n"
    assert diff["before_header"] == "a, b"


def test_a_run_repairs_what_it_can_and_fails_for_blocked_checks() -> None:
    spec = Spec({"a": "1", "b": "2"}, blocked=("a",))
    result, failed_checks = spec.run(act=True)
    assert statuses(result) == ["blocked", "fixed"]
    assert failed_checks == "- a is blocked: expected 1; found nothing. Look."
    assert spec.node == {"b": "2"}


def test_a_repair_that_does_not_help_stays_drift_and_fails() -> None:
    result, failed_checks = Spec({"a": "1"}, vain=("a",)).run(act=True)
    assert statuses(result) == ["drift"]
    assert result["changed"] is True
    assert "a is drift" in failed_checks
    assert "The repair was made, but the check still fails: set a. Look." in failed_checks


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Blocked("locked", "Wait."), "The repair failed: locked. Wait."),
        (OSError(28, "No space left on device", "/etc/x"), "/etc/x: No space left on device"),
        (OSError(30, "Read-only file system"), "b: Read-only file system"),
    ],
)
def test_a_failed_repair_is_reported_and_the_others_are_made(error: Exception, reason: str) -> None:
    spec = Spec({"a": "1", "b": "2", "c": "3"}, errors={"b": error})
    result, failed_checks = spec.run(act=True)
    assert statuses(result) == ["fixed", "blocked", "fixed"]
    assert result["changed"] is True
    assert reason in failed_checks
    assert spec.node == {"a": "1", "c": "3"}
    assert result["diff"]["after_header"] == "a, c"


def test_nothing_is_changed_when_the_first_repair_fails() -> None:
    spec = Spec({"a": "1"}, errors={"a": OSError(1, "no")})
    result, _failed_checks = spec.run(act=True)
    assert (result["changed"], result["diff"]["after"], spec.observations) == (False, "", 1)


def test_a_plan_without_actions_cannot_drift() -> None:
    with pytest.raises(ValueError, match="drift without actions"):
        Plan((Finding("a", DRIFT, "1", "0"),))


def test_a_plan_with_actions_must_drift() -> None:
    with pytest.raises(ValueError, match="actions without drift"):
        Plan((Finding("a", OK, "1", "1"),), (Set({}, "a", "1"),))


def test_a_check_is_reported_once() -> None:
    with pytest.raises(ValueError, match="twice: a, a"):
        Plan((Finding("a", OK, "", ""), Finding("a", OK, "", "")))


class Ended(Exception):
    """Raised by exit_json and fail_json instead of ending the process."""


class Module:
    """The part of AnsibleModule that the loop uses."""

    def __init__(self, check_mode: bool, **parameters: Any) -> None:
        self.check_mode = check_mode
        self.params = {"skip": {}, "accepted": [], "fail": True, **parameters}
        self.result: dict[str, Any] = {}

    def exit_json(self, **result: Any) -> None:
        self.result = {**result, "failed": False}
        raise Ended

    def fail_json(self, **result: Any) -> None:
        self.result = {**result, "failed": True}
        raise Ended


def ensure(module: Module, spec: Spec) -> None:
    exempt = loop.exemptions(module)  # type: ignore[arg-type]
    loop.ensure(module, "toy", spec.observe, spec.plan, exempt)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("check_mode", "blocked", "failed"),
    [(True, ("a",), False), (False, (), False), (False, ("a",), True)],
)
def test_a_module_fails_only_in_a_run(
    check_mode: bool, blocked: tuple[str, ...], failed: bool
) -> None:
    module = Module(check_mode)
    spec = Spec({"a": "1"}, blocked=blocked)
    with pytest.raises(Ended):
        ensure(module, spec)
    assert module.result["failed"] is failed
    assert module.result["spec"] == "toy"
    assert ("Look." in module.result.get("msg", "")) is failed


def test_with_fail_false_a_module_returns_the_same() -> None:
    results = []
    for fail in (True, False):
        module = Module(False, fail=fail)
        with pytest.raises(Ended):
            ensure(module, Spec({"a": "1"}, blocked=("a",)))
        results.append(module.result)
    loud, quiet = results
    assert (loud.pop("failed"), quiet.pop("failed")) == (True, False)
    assert loud.pop("msg")
    assert quiet == loud


def test_a_run_waits_for_another_and_fails_after_the_timeout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loop, "_NODE", str(tmp_path))
    monkeypatch.setattr(loop, "_RUN_SECONDS", 0.2)
    spec = Spec({"a": "1"})
    with locked(str(tmp_path)):
        checking, running = Module(True), Module(False)
        for module in (checking, running):
            with pytest.raises(Ended):
                ensure(module, spec)
    assert checking.result["changed"] is True
    assert running.result["failed"] is True
    assert "locked by another run" in running.result["msg"]
    assert spec.node == {}
    with pytest.raises(Ended):
        ensure(running, spec)
    assert spec.node == {"a": "1"}


def test_an_invalid_option_is_refused_before_anything_is_done() -> None:
    module = Module(False, accepted=[{"check": "a", "reason": "why", "until": "soon"}])
    spec = Spec({"a": "1"})
    with pytest.raises(Ended):
        ensure(module, spec)
    assert module.result["failed"] is True
    assert "until: expected a day" in module.result["msg"]
    assert spec.observations == 0


def test_exempt_checks_are_not_repaired_and_the_others_are() -> None:
    module = Module(False, skip={"a": "no such thing here"})
    spec = Spec({"a": "1", "b": "2"})
    with pytest.raises(Ended):
        ensure(module, spec)
    assert statuses(module.result) == ["skipped", "fixed"]
    assert spec.node == {"b": "2"}
    assert module.result["diff"]["after"] == "2\n"


def test_later_steps_of_a_failed_repair_are_left_out() -> None:
    done: list[str] = []

    @dataclass(frozen=True)
    class Step:
        subject: str
        repairs: tuple[str, ...]
        before = after = ""

        def apply(self) -> None:
            if self.subject == "fails":
                raise Blocked("no", "Help.")
            done.append(self.subject)

    steps = [Step("fails", ("a", "b")), Step("later", ("b", "c")), Step("other", ("c",))]
    findings = [Finding(check, DRIFT, "x", "y") for check in "abc"]
    converge(lambda: None, lambda _seen: Plan(tuple(findings), tuple(steps)), act=True)
    assert done == ["other"]
