# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Findings about files of this collection, shared by the specs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import FileWrite, OwnFile
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    DRIFT,
    OK,
    WARNING,
    Action,
    Blocked,
    Finding,
    explained,
)

# A finding, and the actions that repair it.
Judged = tuple[Finding, tuple[Action, ...]]


def own_file(path: str) -> OwnFile | Blocked:
    """The state of one of our files, or why it cannot be used."""
    try:
        return OwnFile.read(path)
    except Blocked as blocked:
        return blocked


def blocked_by(finding: Finding, obstacle: Blocked, **changes: Any) -> Finding:
    """The finding as blocked, for that reason."""
    hint = explained(obstacle)
    return replace(finding, status=BLOCKED, fix="", hint=hint, **changes)


def judge_file(
    check: str,
    file: OwnFile | Blocked,
    path: str,
    text: str | None,
    mode: int = 0o644,
    severity: str = WARNING,
) -> Judged:
    """Compare one of our files with text; text is None if it should not exist."""
    expected = "%s up to date" % path if text is not None else "no %s" % path
    if isinstance(file, Blocked):
        # A file of somebody else does not matter if we do not want one there.
        status = BLOCKED if text is not None else OK
        hint = file.hint if text is not None else ""
        return Finding(check, status, expected, str(file), severity, hint=hint), ()
    differs = file.differs(text, mode)
    finding = Finding(check, OK, expected, "as expected" if text is not None else "not present")
    if not differs:
        return finding, ()
    fix = "write %s" % path if text is not None else "remove %s" % path
    finding = replace(finding, status=DRIFT, severity=severity, actual=differs, fix=fix)
    if file.obstacle:
        return blocked_by(finding, file.obstacle), ()
    return finding, (FileWrite(file, text, mode, (check,)),)
