# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only what has become worse is told."""

from __future__ import annotations

from ansible_collections.dgxspark.suite.plugins.filter.worse_findings import worse_findings


def finding(check: str, status: str) -> dict[str, str]:
    texts = {"severity": "info", "expected": "this", "actual": "that", "fix": "", "hint": ""}
    return {"check": check, "status": status, **texts}


def test_what_has_become_worse() -> None:
    before = [finding("a", "ok"), finding("b", "drift"), finding("c", "skipped")]
    now = [finding("a", "blocked"), finding("b", "blocked"), finding("c", "ok")]
    now.append(finding("d", "drift"))
    assert worse_findings(now, before) == [
        "a: expected this, found that.",
        "d: expected this, found that.",
    ]
    assert worse_findings(before, before) == []


def test_what_is_no_finding_is_worse() -> None:
    (text,) = worse_findings([{"check": "a", "status": "fine"}], [finding("a", "ok")])
    assert text.startswith("a: ")
