# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The check, plan, fix, verify loop that every ensure module runs.

A module provides two functions. observe() reads the node and changes nothing. plan() is pure: from
the observation it derives the findings and declares the actions that repair them. Check mode ends
there. A run applies exactly those actions, then observes and plans again to verify.
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
    explained,
)

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

# The options that every ensure module has; see the documentation fragment `ensure`.
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

# What two runs on one node lock, and the seconds that one waits for the other.
_NODE = "/"
_RUN_SECONDS = 60.0

Observed = TypeVar("Observed")

# subject, before, after
_Edit = tuple[str, str, str]


def ensure(
    module: AnsibleModule,
    spec: str,
    observe: Callable[[], Observed],
    plan: Callable[[Observed], Plan],
    exempt: Exemptions,
    store: Callable[[Observed], object] | None = None,
) -> None:
    """Run the loop and end the module with the envelope; spec is its name without ensure_.

    The module has the options of ARGUMENTS; exempt comes from two of them, see exemptions().
    """
    act = not module.check_mode
    with _exit_on_signals(), _exclusive(module, act):
        result, failed_checks = converge(observe, plan, act, exempt, store)
    result["spec"] = spec
    if failed_checks and module.params["fail"]:
        module.fail_json(msg="%s: checks failed:\n%s" % (spec, failed_checks), **result)
    module.exit_json(**result)


def exemptions(module: AnsibleModule) -> Exemptions:
    """The exemptions that the module's options give; ends the module where they are invalid."""
    try:
        return Exemptions.given(module.params["skip"], module.params["accepted"])
    except ValueError as error:
        module.fail_json(msg=str(error))
        raise  # not reached


@contextmanager
def _exclusive(module: AnsibleModule, act: bool) -> Iterator[None]:
    """Prevent two runs on one node from repairing at once; a check needs no lock."""
    if not act:
        yield
        return
    try:
        with locked(_NODE, _RUN_SECONDS):
            yield
    except Blocked as blocked:
        module.fail_json(msg="This node cannot be repaired now: %s" % explained(blocked))


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that every finally clause removes its files."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    # A signal that is ignored (nohup) stays ignored.
    signals = (signal.SIGTERM, signal.SIGHUP)
    handled = [number for number in signals if signal.getsignal(number) == signal.SIG_DFL]
    for number in handled:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def converge(
    observe: Callable[[], Observed],
    plan: Callable[[Observed], Plan],
    act: bool,
    exempt: Exemptions | None = None,
    store: Callable[[Observed], object] | None = None,
) -> tuple[dict[str, Any], str]:
    """The loop itself: (envelope, failed checks as text). In check mode (not act) no check fails.

    Exemptions are applied here and nowhere else, so that a module and the audit report the same.
    store is called at the end of a run with the last observation.
    """
    exempt = exempt or Exemptions()
    observed = observe()
    planned = exempt.applied(plan(observed))
    # Taken before anything is done, since an action may read what it is about to change.
    edits = [(action.subject, action.before, action.after) for action in planned.actions]
    if not act:
        return _envelope(planned, planned.findings, edits), ""
    done, failures = _apply(planned.actions)
    verified = planned
    if done:
        observed = observe()
        verified = exempt.applied(plan(observed))
    before = {finding.check: finding for finding in planned.findings}
    findings = [
        _verdict(before.get(now.check), now, failures.get(now.check)) for now in verified.findings
    ]
    applied = [edit for edit, action in zip(edits, planned.actions) if action in done]
    if store:
        store(observed)
    return _envelope(verified, findings, applied), _failed_checks(findings)


def _apply(actions: Sequence[Action]) -> tuple[list[Action], dict[str, Blocked]]:
    """Apply the actions in order: (those that succeeded, check id -> why its repair failed)."""
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
            # A name in an open folder, or its descriptor, says nothing to a reader.
            named = os.path.isabs(str(error.filename or ""))
            where = error.filename if named else action.subject
            reason = "%s: %s" % (where, error.strerror or error)
            failure = Blocked(reason, "Repair that, then run again.")
            failures.update(dict.fromkeys(action.repairs, failure))
    return done, failures


def _verdict(before: Finding | None, now: Finding, failure: Blocked | None) -> Finding:
    """A finding as a run reports it, from the same check before and after the repair."""
    if before and before.status == DRIFT and now.status == OK:
        return replace(before, status=FIXED)
    if now.status == DRIFT and failure:
        hint = "The repair failed: %s. %s" % (failure, failure.hint)
        return replace(now, status=BLOCKED, hint=hint)
    if now.status == DRIFT:
        hint = "The repair was made, but the check still fails: %s. %s" % (now.fix, now.hint)
        return replace(now, hint=hint.rstrip())
    return now


def _envelope(plan: Plan, findings: Sequence[Finding], edits: Sequence[_Edit]) -> dict[str, Any]:
    header = ", ".join(subject for subject, _before, _after in edits)
    # Several edits get a heading each.
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


def _failed_checks(findings: Sequence[Finding]) -> str:
    return "\n".join(
        "- %s is %s: expected %s; found %s. %s"
        % (finding.check, finding.status, finding.expected, finding.actual, finding.hint)
        for finding in findings
        if finding.status in (BLOCKED, DRIFT)
    )
