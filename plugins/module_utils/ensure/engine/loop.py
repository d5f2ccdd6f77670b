# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one check, plan, fix, verify loop that every ensure module runs.

A module brings two functions. observe() reads the node and changes nothing. plan() is pure: from
what was observed it tells the findings and declares the actions that repair them. Check mode ends
there. A run applies exactly those actions, then observes and plans again: that is the verification.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.exemptions import (
    Exemptions,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import locked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    DRIFT,
    FIXED,
    OK,
    Action,
    Blocked,
    Finding,
    Plan,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# The options of every ensure module, which are the loop's business; see the fragment `ensure`.
ARGUMENTS: dict[str, Any] = {
    "skip": {"type": "dict", "default": {}},
    "accepted": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "check": {"type": "str", "required": True},
            "reason": {"type": "str", "required": True},
            "until": {"type": "str", "required": True},
        },
    },
    "fail": {"type": "bool", "default": True},
}

# What two runs on one node contend for: a directory, since a lock file would remain.
_LOCKED = ("/run/lock", "/")
_RUN_SECONDS = 60.0

Observed = TypeVar("Observed")

# subject, before, after
_Edit = tuple[str, str, str]


def ensure(
    module: AnsibleModule,
    spec: str,
    observe: Callable[[], Observed],
    plan: Callable[[Observed], Plan],
    keep: Callable[[Observed], object] | None = None,
) -> None:
    """Run the loop and end the module with the envelope; spec is its name without ensure_.

    The module has the options of ARGUMENTS, which are the loop's.
    """
    parameters = module.params
    try:
        exempt = Exemptions.given(parameters["skip"], parameters["accepted"])
    except ValueError as error:
        module.fail_json(msg=str(error))
    act = not module.check_mode

    def judged(observed: Observed) -> Plan:
        return exempt.applied(plan(observed))

    with _ending_in_order(), _alone(module, act):
        result, complaint = converge(observe, judged, act, keep)
    result["spec"] = spec
    if complaint and parameters["fail"]:
        module.fail_json(msg="%s is not as it should be.\n%s" % (spec, complaint), **result)
    module.exit_json(**result)


def _lock_directory() -> str:
    return next(path for path in _LOCKED if os.path.isdir(path))


@contextmanager
def _alone(module: AnsibleModule, act: bool) -> Iterator[None]:
    """Keep two runs on one node from repairing at once; a check may look at any time."""
    if not act:
        yield
        return
    try:
        with locked(_lock_directory(), _RUN_SECONDS):
            yield
    except Blocked as blocked:
        module.fail_json(
            msg="Another run is at work on this node: %s. %s" % (blocked, blocked.hint)
        )


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
    observe: Callable[[], Observed],
    plan: Callable[[Observed], Plan],
    act: bool,
    keep: Callable[[Observed], object] | None = None,
) -> tuple[dict[str, Any], str]:
    """The loop itself: (envelope, complaint). Without act there is never a complaint.

    keep is given what was observed at the end of a run.
    """
    observed = observe()
    planned = plan(observed)
    # Taken before anything is done, since an action may look at what it is about to change.
    edits = [(action.subject, action.before, action.after) for action in planned.actions]
    if not act:
        return _envelope(planned, planned.findings, edits), ""
    done, failures = _apply(planned.actions)
    # Where nothing was done, there is nothing new to see.
    observed = observe() if done else observed
    seen = plan(observed) if done else planned
    before = {finding.check: finding for finding in planned.findings}
    findings = [
        _verdict(before.get(now.check), now, failures.get(now.check)) for now in seen.findings
    ]
    made = [edit for edit, action in zip(edits, planned.actions) if action in done]
    if keep:
        keep(observed)
    return _envelope(seen, findings, made), _complaint(findings)


def _apply(actions: Sequence[Action]) -> tuple[list[Action], dict[str, Blocked]]:
    """Do the actions in order: those that were done, and for each check why one failed."""
    done: list[Action] = []
    failures: dict[str, Blocked] = {}
    for action in actions:
        if not failures.keys().isdisjoint(action.repairs):
            continue
        try:
            action.apply()
            done.append(action)
        except Blocked as blocked:
            failures.update(dict.fromkeys(action.repairs, blocked))
        except OSError as error:
            reason = "%s: %s" % (error.filename or action.subject, error.strerror or error)
            failure = Blocked(reason, "Repair that, then run again.")
            failures.update(dict.fromkeys(action.repairs, failure))
    return done, failures


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
        "parity": dict(plan.parity),
        "seconds": dict(plan.seconds),
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
