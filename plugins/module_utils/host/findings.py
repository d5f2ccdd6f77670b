# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What ensure modules say and plan: findings, actions, plans."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

OK = "ok"
DRIFT = "drift"
FIXED = "fixed"
BLOCKED = "blocked"
SKIPPED = "skipped"
ACCEPTED = "accepted"

INFO = "info"
WARNING = "warning"
CRITICAL = "critical"


class Blocked(Exception):
    """Something cannot be done here. The text says what was found, hint what a person can do."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
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
    """A declared change. subject names what is changed; before and after are for the diff.

    repairs are the checks that drift without it. Where an action fails, later ones that repair one
    of the same checks are left out; all others are still done.
    """

    @property
    def subject(self) -> str: ...

    @property
    def before(self) -> str: ...

    @property
    def after(self) -> str: ...

    @property
    def repairs(self) -> Collection[str]: ...

    def apply(self) -> None:
        """Do it, or raise Blocked or OSError."""


@dataclass(frozen=True)
class Plan:
    """What is to be said and done about one observation.

    paths are the entries of paths.env that hold once the actions are done; facts are the module's
    own return values; parity is what must be the same on all nodes, by name; seconds tells what a
    costly check took. Every finding that drifts is repaired by an action, and every action repairs
    one that drifts: ValueError otherwise.
    """

    findings: tuple[Finding, ...]
    actions: tuple[Action, ...] = ()
    paths: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks = [finding.check for finding in self.findings]
        if len(set(checks)) != len(checks):
            raise ValueError("a check is reported twice: %s" % ", ".join(sorted(checks)))
        drifting = {finding.check for finding in self.findings if finding.status == DRIFT}
        repaired = {check for action in self.actions for check in action.repairs}
        idle = [action for action in self.actions if not drifting.intersection(action.repairs)]
        if idle or not drifting <= repaired:
            raise ValueError("actions without drift, or drift without actions")
