# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Shared by the specs that write unit files: states of units, and the reload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import Command
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.file_findings import (
    Judged,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    DRIFT,
    OK,
    SKIPPED,
    WARNING,
    Blocked,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import Unit, ask_units


def ask(systemctl: str, names: Sequence[str]) -> Mapping[str, Unit] | Blocked:
    """Name, as asked for, -> state of the unit; or why systemd does not answer."""
    units, problem = ask_units(systemctl, names)
    if problem:
        return Blocked(problem, "systemd has to be process 1.")
    return units


def masked_units(names: Sequence[str]) -> Blocked:
    """Why these units are neither enabled nor started."""
    hint = "Somebody has forbidden every start. If that may end, run `systemctl unmask %s`."
    return Blocked("%s: masked" % ", ".join(names), hint % " ".join(names))


def judge_loaded(
    check: str, units: Mapping[str, Unit] | Blocked, systemctl: str, written: Sequence[str]
) -> Judged:
    """Whether systemd has read the current unit files, and its reload if not.

    written are the checks whose repair writes a unit file.
    """
    expected = "systemd has read the current unit files"
    if isinstance(units, Blocked):
        return Finding(check, SKIPPED, expected, str(units)), ()
    stale = sorted(name for name, unit in units.items() if unit.stale)
    finding = Finding(check, OK, expected, ", ".join(stale) or "as expected")
    repairs = tuple(written)
    if stale:
        finding = replace(finding, status=DRIFT, severity=WARNING, fix="systemctl daemon-reload")
        repairs = (*repairs, check)
    if not repairs:
        return finding, ()
    argv = (systemctl, "daemon-reload")
    return finding, (Command("systemd", argv, "", "reloaded\n", repairs),)
