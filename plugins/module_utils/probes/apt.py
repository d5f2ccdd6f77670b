# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Simulations of apt-get, which write nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import Result, run

LISTS = "/var/lib/apt/lists/partial"

_UNKNOWN = re.compile(
    r"^E: (?:Unable to locate package (\S+)|Package '([^']+)' has no installation candidate)", re.M
)
_STEP = re.compile(r"^(Inst|Remv) (\S+) (\[[^]]*\])?", re.M)
_HELD = re.compile(
    r"^E: Could not get lock (\S+?)(?:\. It is held by (process \d+(?: \([^)\n]*\))?)| - open)",
    re.M,
)
_RETRY_SECONDS = 1.0
# Otherwise it writes its cache and its log.
_NO_FILES = (
    *("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="),
    *("-o", "Dir::Log::Planner=/dev/null", "-o", "Dir::Log::Solver=/dev/null"),
)


@dataclass(frozen=True)
class Simulation:
    """The effect of an installation.

    unknown are the names without a candidate; upgrades and removals concern packages that were not
    requested. problem is why there is no answer.
    """

    installs: tuple[str, ...] = ()
    upgrades: tuple[str, ...] = ()
    removals: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    problem: str = ""


def simulate(apt_get: str, names: Sequence[str], timeout: float) -> Simulation:
    """Ask apt-get, without root and without a lock. timeout is in seconds."""
    options = ("--simulate", "--yes", "--no-install-recommends", *_NO_FILES)
    return parse_simulation(run([apt_get, *options, "install", "--", *names], timeout))


def held_lock(result: Result) -> str:
    """Which lock has ended apt-get, and who holds it; empty if it was none."""
    match = None if result.ok else _HELD.search(result.stderr)
    if not match:
        return ""
    return "%s is held by %s" % (match[1], match[2] or "another process")


def run_patiently(
    argv: Sequence[str], timeout: float, patience: float, env: Mapping[str, str]
) -> Result:
    """Run apt-get, again while another process holds a lock of its lists or its cache.

    Its own option, DPkg::Lock::Timeout, waits for dpkg's lock alone. Both times are in seconds;
    patience is for the lock.
    """
    deadline = time.monotonic() + patience
    while True:
        result = run(argv, timeout, env=env)
        if not held_lock(result) or time.monotonic() + _RETRY_SECONDS > deadline:
            return result
        time.sleep(_RETRY_SECONDS)


@dataclass(frozen=True)
class PackageChange:
    """The change of a package; old is empty if it is new, new if it is removed."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class Upgrade:
    """The effect of a full upgrade.

    kept are packages that are held back. problem is why there is no answer.
    """

    changes: tuple[PackageChange, ...] = ()
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
    """Ask apt-get about `dist-upgrade`, without root and without a lock."""
    options = ("--simulate", "--yes", *_NO_FILES)
    return parse_upgrade(run([apt_get, *options, "dist-upgrade"], timeout, limit=8 << 20))


def parse_upgrade(result: Result) -> Upgrade:
    if not result.ok:
        return Upgrade(problem=result.describe())
    return Upgrade(
        tuple(
            PackageChange(name, old, new if step == "Inst" else "")
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
