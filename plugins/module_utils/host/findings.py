# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Findings, actions and plans of ensure modules."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

OK = "ok"
DRIFT = "drift"
FIXED = "fixed"
BLOCKED = "blocked"
SKIPPED = "skipped"
ACCEPTED = "accepted"
STATUSES = (OK, DRIFT, FIXED, BLOCKED, SKIPPED, ACCEPTED)

INFO = "info"
WARNING = "warning"
CRITICAL = "critical"
SEVERITIES = (INFO, WARNING, CRITICAL)


class Blocked(Exception):
    """Something cannot be done here. The text is the reason, hint what a person can do."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.hint = hint


def explained(error: Exception) -> str:
    """The text of an error, followed by the hint of a Blocked."""
    return "%s. %s" % (error, error.hint) if isinstance(error, Blocked) else str(error)


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    check is a stable snake_case id, unique within a module. status is one of STATUSES, severity one
    of SEVERITIES. fix is what the module does about drift, hint what a person can do if the module
    cannot.

    Its texts quote names of files, processes and packages that others have chosen. They are made
    displayable here, since every finding passes here: on the node, whose messages of failure quote
    it, and on the controller, which makes its own from what a node answers.
    """

    check: str
    status: str
    expected: str
    actual: str
    severity: str = INFO
    fix: str = ""
    hint: str = ""

    def __post_init__(self) -> None:
        for name in ("expected", "actual", "fix", "hint"):
            object.__setattr__(self, name, foreign.shown(getattr(self, name)))


class Action(Protocol):
    """A planned change. subject names what is changed; before and after are for the diff.

    repairs are the checks that drift without it. If an action fails, later ones that repair one of
    the same checks are skipped; all others are still applied.
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
        """Apply it, or raise Blocked or OSError."""


@dataclass(frozen=True)
class Plan:
    """The findings and actions for an observation.

    paths are the entries of paths.env after the actions; facts are the module's own return values;
    parity is what must be the same on all nodes, by name; seconds is the duration of costly checks,
    by check. Raises ValueError if a drift has no action, or an action no drift.
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
