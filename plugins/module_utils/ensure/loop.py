# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one check, plan, fix, verify loop that every ensure module runs.

A module brings two functions. observe() reads the node and changes nothing. plan() is pure: from
what was observed it tells the findings and declares the actions that repair them. Check mode ends
there. A run applies exactly those actions, then observes and plans again: that is the verification.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Protocol,
    TypeVar,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

OK = "ok"
DRIFT = "drift"
FIXED = "fixed"
BLOCKED = "blocked"
SKIPPED = "skipped"
ACCEPTED = "accepted"

INFO = "info"
WARNING = "warning"
CRITICAL = "critical"

Observed = TypeVar("Observed")

# subject, before, after
_Edit = tuple[str, str, str]


class Blocked(Exception):
    """Something cannot be done here. The text says what was found, hint what a person can do."""

    def __init__(self, found: str, hint: str) -> None:
        super().__init__(found)
        self.hint = hint


@dataclass(frozen=True)
class Finding:
    """What one check saw.

    check is a stable snake_case id, unique within a module. status is one of OK, DRIFT, FIXED,
    BLOCKED, SKIPPED and ACCEPTED, severity one of INFO, WARNING and CRITICAL. fix says what the
    module does about a drift, hint what a person does where the module cannot.
    """

    check: str
    status: str
    expected: str
    actual: str
    severity: str = INFO
    fix: str = ""
    hint: str = ""


class Action(Protocol):
    """A declared change. subject names what is changed; before and after are for the diff."""

    @property
    def subject(self) -> str: ...

    @property
    def before(self) -> str: ...

    @property
    def after(self) -> str: ...

    def apply(self) -> None:
        """Do it, or raise Blocked or OSError."""


@dataclass(frozen=True)
class Plan:
    """What is to be said and done about one observation.

    paths are the entries of paths.env that hold once the actions are done; facts are the module's
    own return values. There are actions exactly when a finding drifts: ValueError otherwise.
    """

    findings: tuple[Finding, ...]
    actions: tuple[Action, ...] = ()
    paths: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks = [finding.check for finding in self.findings]
        if len(set(checks)) != len(checks):
            raise ValueError("a check is reported twice: %s" % ", ".join(sorted(checks)))
        if bool(self.actions) != any(finding.status == DRIFT for finding in self.findings):
            raise ValueError("actions without drift, or drift without actions")


def ensure(
    module: AnsibleModule,
    spec: str,
    observe: Callable[[], Observed],
    plan: Callable[[Observed], Plan],
) -> None:
    """Run the loop and end the module with the envelope; spec is its name without ensure_."""
    with _ending_in_order():
        result, complaint = converge(observe, plan, act=not module.check_mode)
    result["spec"] = spec
    if complaint:
        module.fail_json(msg="%s is not as it should be.\n%s" % (spec, complaint), **result)
    module.exit_json(**result)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Have what ends an interrupted run reach every finally: files and containers are to go."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    # What is ignored (nohup) stays ignored.
    ending = (signal.SIGTERM, signal.SIGHUP)
    taken = [number for number in ending if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def converge(
    observe: Callable[[], Observed], plan: Callable[[Observed], Plan], act: bool
) -> tuple[dict[str, Any], str]:
    """The loop itself: (envelope, complaint). Without act there is never a complaint."""
    planned = plan(observe())
    # Taken before anything is done, since an action may look at what it is about to change.
    edits = [(action.subject, action.before, action.after) for action in planned.actions]
    if not act:
        return _envelope(planned, planned.findings, edits), ""
    done, failure = _apply(planned.actions)
    # Where nothing was done, there is nothing new to see.
    seen = plan(observe()) if done else planned
    before = {finding.check: finding for finding in planned.findings}
    findings = [_verdict(before.get(now.check), now, failure) for now in seen.findings]
    return _envelope(seen, findings, edits[:done]), _complaint(findings)


def _apply(actions: Sequence[Action]) -> tuple[int, Blocked | None]:
    """Do the actions in order, up to the first that fails; how many were done."""
    for done, action in enumerate(actions):
        try:
            action.apply()
        except Blocked as blocked:
            return done, blocked
        except OSError as error:
            reason = "%s: %s" % (error.filename or action.subject, error.strerror or error)
            return done, Blocked(reason, "Repair that, then run again.")
    return len(actions), None


def _verdict(before: Finding | None, now: Finding, failure: Blocked | None) -> Finding:
    """A finding as a run reports it, from what the check said before and says now."""
    if before and before.status == DRIFT and now.status == OK:
        return replace(before, status=FIXED)
    if now.status == DRIFT and failure:
        hint = "The repair failed: %s. %s" % (failure, failure.hint)
        return replace(now, status=BLOCKED, hint=hint)
    if now.status == DRIFT:
        hint = "The repair was made and did not help: %s. %s" % (now.fix, now.hint)
        return replace(now, hint=hint.rstrip())
    return now


def _envelope(plan: Plan, findings: Sequence[Finding], edits: Sequence[_Edit]) -> dict[str, Any]:
    header = ", ".join(subject for subject, _before, _after in edits)
    # Each edit under its own heading where there are several.
    headings = ["# %s\n" % subject if len(edits) > 1 else "" for subject, _before, _after in edits]
    return {
        **plan.facts,
        "changed": bool(edits),
        "findings": [asdict(finding) for finding in findings],
        "paths": dict(plan.paths),
        "diff": {
            "before": "".join(top + edit[1] for top, edit in zip(headings, edits)),
            "after": "".join(top + edit[2] for top, edit in zip(headings, edits)),
            "before_header": header,
            "after_header": header,
        },
    }


def _complaint(findings: Sequence[Finding]) -> str:
    return "\n".join(
        "- %s is %s: expected %s; found %s. %s"
        % (finding.check, finding.status, finding.expected, finding.actual, finding.hint)
        for finding in findings
        if finding.status in (BLOCKED, DRIFT)
    )
