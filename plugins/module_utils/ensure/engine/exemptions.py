# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Exemptions from the inventory: checks that do not apply, and accepted drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timezone
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    ACCEPTED,
    BLOCKED,
    DRIFT,
    SKIPPED,
    Finding,
    Plan,
)


@dataclass(frozen=True)
class Acceptance:
    """Drift, or a blocked finding, that is accepted up to and including a day (UTC)."""

    check: str
    reason: str
    until: date


@dataclass(frozen=True)
class Exemptions:
    """skip is check id -> reason, for checks that do not apply to this node."""

    skip: Mapping[str, str] = field(default_factory=dict)
    accepted: Sequence[Acceptance] = ()
    today: date = date.max

    @classmethod
    def given(cls, skip: Mapping[str, Any], accepted: Sequence[Mapping[str, str]]) -> Exemptions:
        """From a module's options; raises ValueError for an invalid value."""
        for check, reason in skip.items():
            if not isinstance(reason, str) or not reason.strip():
                raise ValueError("skip: %s: expected the reason, found %r" % (check, reason))
        entries = []
        for entry in accepted:
            if not entry["reason"].strip():
                raise ValueError("accepted: %s: the reason is empty" % entry["check"])
            try:
                until = date(*map(int, entry["until"].split("-")))
            except (TypeError, ValueError):
                raise ValueError(
                    "accepted: %s: until: expected a day such as 2027-01-31, found %r"
                    % (entry["check"], entry["until"])
                ) from None
            entries.append(Acceptance(entry["check"], entry["reason"], until))
        return cls(skip, tuple(entries), datetime.now(timezone.utc).date())

    @property
    def checks(self) -> frozenset[str]:
        """The checks that are not repaired today."""
        accepted = {entry.check for entry in self.accepted if entry.until >= self.today}
        return frozenset(self.skip) | accepted

    def applied(self, plan: Plan) -> Plan:
        """The plan with exemptions; an action stays if it also repairs another check."""
        findings = tuple(self._judged(finding) for finding in plan.findings)
        drifting = {finding.check for finding in findings if finding.status == DRIFT}
        actions = tuple(
            action for action in plan.actions if not drifting.isdisjoint(action.repairs)
        )
        return replace(plan, findings=findings, actions=actions)

    def _judged(self, finding: Finding) -> Finding:
        if finding.check in self.skip:
            reason = "not applicable: %s" % self.skip[finding.check]
            return Finding(finding.check, SKIPPED, finding.expected, reason)
        if finding.status not in (DRIFT, BLOCKED):
            return finding
        entries = [entry for entry in self.accepted if entry.check == finding.check]
        if not entries:
            return finding
        entry = max(entries, key=lambda candidate: candidate.until)
        if entry.until >= self.today:
            hint = "Accepted until %s: %s" % (entry.until, entry.reason)
            return replace(finding, status=ACCEPTED, fix="", hint=hint)
        hint = "It was accepted until %s: %s. %s" % (entry.until, entry.reason, finding.hint)
        return replace(finding, hint=hint.rstrip())
