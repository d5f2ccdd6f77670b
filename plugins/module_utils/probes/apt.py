# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What apt-get would do, asked of it without leaving anything behind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import Result, run

LISTS = "/var/lib/apt/lists/partial"

_UNKNOWN = re.compile(
    r"^E: (?:Unable to locate package (\S+)|Package '([^']+)' has no installation candidate)", re.M
)
_STEP = re.compile(r"^(Inst|Remv) (\S+) (\[[^]]*\])?", re.M)
# It would keep what it has read in its cache, and what it was asked in its log.
_NOTHING_KEPT = (
    *("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="),
    *("-o", "Dir::Log::Planner=/dev/null", "-o", "Dir::Log::Solver=/dev/null"),
)


@dataclass(frozen=True)
class Simulation:
    """What an installation would come to.

    unknown are the names for which apt has no candidate; upgrades and removals are packages that
    nobody asked for. problem is why there is no answer at all.
    """

    installs: tuple[str, ...] = ()
    upgrades: tuple[str, ...] = ()
    removals: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    problem: str = ""


def simulate(apt_get: str, names: Sequence[str], timeout: float) -> Simulation:
    """Ask apt-get; needs no root and takes no lock. timeout is in seconds."""
    options = ("--simulate", "--yes", "--no-install-recommends", *_NOTHING_KEPT)
    return parse_simulation(run([apt_get, *options, "install", "--", *names], timeout))


@dataclass(frozen=True)
class Change:
    """What becomes of one package; old is empty for a new one, new for one that goes."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class Upgrade:
    """What a full upgrade would come to.

    kept are packages that stay as they are although there are newer ones. problem is why there is
    no answer.
    """

    changes: tuple[Change, ...] = ()
    kept: tuple[str, ...] = ()
    problem: str = ""

    @property
    def removals(self) -> tuple[str, ...]:
        return tuple(change.name for change in self.changes if not change.new)


_CHANGE = re.compile(r"^(Inst|Remv) (\S+)(?: \[([^]]*)\])?(?: \((\S+))?", re.M)
_KEPT = re.compile(
    r"^(?:The following packages have been kept back"
    r"|The following upgrades have been deferred due to phasing):\n((?: .*\n)*)",
    re.M,
)


def simulate_upgrade(apt_get: str, timeout: float) -> Upgrade:
    """Ask apt-get about `dist-upgrade`; needs no root and takes no lock."""
    options = ("--simulate", "--yes", *_NOTHING_KEPT)
    return parse_upgrade(run([apt_get, *options, "dist-upgrade"], timeout, limit=8 << 20))


def parse_upgrade(result: Result) -> Upgrade:
    if not result.ok:
        return Upgrade(problem=result.describe())
    return Upgrade(
        tuple(
            Change(name, old, new if step == "Inst" else "")
            for step, name, old, new in _CHANGE.findall(result.stdout)
        ),
        tuple(" ".join(_KEPT.findall(result.stdout)).split()),
    )


def parse_simulation(result: Result) -> Simulation:
    unknown = tuple(entry or other for entry, other in _UNKNOWN.findall(result.stderr))
    if unknown:
        return Simulation(unknown=unknown)
    if not result.ok:
        return Simulation(problem=result.describe())
    steps = _STEP.findall(result.stdout)
    return Simulation(
        tuple(name for step, name, old in steps if step == "Inst" and not old),
        tuple(name for step, name, old in steps if step == "Inst" and old),
        tuple(name for step, name, _old in steps if step == "Remv"),
    )
