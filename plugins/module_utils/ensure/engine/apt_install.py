# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The installation of Debian packages with apt-get.

Nothing is upgraded or removed. It does not start while dpkg is in use or packages are incomplete,
and downloads everything before dpkg runs. A running dpkg is never interrupted.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import Result, last_line
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.apt import (
    Simulation,
    held_lock,
    run_patiently,
    simulate,
)

SIMULATE_SECONDS = 120.0

_FETCH_SECONDS = 1800.0
_DPKG_SECONDS = 7200.0
_ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    # No restart of services that use an updated library: a model may be running.
    "NEEDRESTART_SUSPEND": "1",
}
_KEEP_CONFIGURATION = (
    *("-o", "Dpkg::Options::=--force-confdef"),
    *("-o", "Dpkg::Options::=--force-confold"),
)
_TRY = "Run `apt-get update` and `apt-get --simulate install %s` to see the error."
_NETWORK = "Check that the node reaches its package sources (network, proxy, /etc/apt). " + _TRY


@dataclass(frozen=True)
class Installation:
    """Install packages and their dependencies by one call.

    refresh: some names are unknown to apt, so its lists are updated first.
    """

    apt_get: str
    names: tuple[str, ...]
    refresh: bool
    lock_timeout: float
    repairs: tuple[str, ...]

    @property
    def subject(self) -> str:
        return "packages"

    @property
    def before(self) -> str:
        return ""

    @property
    def after(self) -> str:
        return "".join("%s installed\n" % name for name in self.names)

    def apply(self) -> None:
        """Raises Blocked; nothing has changed if the download fails."""
        if self.refresh:
            update = self._run(("update", "-o", "APT::Update::Error-Mode=any"), _FETCH_SECONDS)
            planned = simulate(self.apt_get, self.names, SIMULATE_SECONDS)
            if planned.unknown and not update.ok:
                raise self._failed("no package lists", update, _NETWORK)
            obstacle = objection(planned, self.names)
            if obstacle:
                raise obstacle
        fetched = self._run((*self._install, "--download-only"), _FETCH_SECONDS)
        if not fetched.ok:
            raise self._failed("the download failed", fetched, _NETWORK)
        with _undisturbed():
            done = self._run((*self._install, "--no-download"), _DPKG_SECONDS)
        if not done.ok:
            raise self._failed("apt-get", done, "See /var/log/apt/term.log. " + _TRY)

    def _failed(self, what: str, result: Result, hint: str) -> Blocked:
        held = held_lock(result)
        if held:
            return Blocked("%s: %s" % (what, held), "Wait for it to end, then run again.")
        return Blocked("%s: %s" % (what, error_of(result)), hint % " ".join(self.names))

    @property
    def _install(self) -> tuple[str, ...]:
        return (
            *("install", "--yes", "--no-install-recommends", "--no-upgrade", "--no-remove"),
            *_KEEP_CONFIGURATION,
        )

    def _run(self, words: Sequence[str], timeout: float) -> Result:
        lock = ("-o", "DPkg::Lock::Timeout=%d" % self.lock_timeout)
        names = ("--", *self.names) if words[0] == "install" else ()
        argv = [self.apt_get, *lock, *words, *names]
        return run_patiently(argv, timeout, self.lock_timeout, _ENVIRONMENT)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore the signals that would also end dpkg and leave packages incomplete."""
    ending = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ending}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def error_of(result: Result) -> str:
    """The error of apt-get: its first one is the cause, its last one a summary."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("E: ")]
    return last_line(errors[0]) if errors and not result.ok else result.describe()


def objection(planned: Simulation, names: Sequence[str]) -> Blocked | None:
    """Why an installation must not be done, according to apt's simulation."""
    if planned.unknown:
        return Blocked(
            "apt has no candidate for %s" % ", ".join(planned.unknown),
            "Correct the name, or add the source of the package. " + _TRY % " ".join(names),
        )
    if planned.problem:
        return Blocked("apt-get: %s" % planned.problem, _TRY % " ".join(names))
    if planned.upgrades or planned.removals:
        effects = [
            "%s %s" % (verb, ", ".join(some))
            for verb, some in (("upgrade", planned.upgrades), ("remove", planned.removals))
            if some
        ]
        return Blocked(
            "apt would also %s" % " and ".join(effects),
            "Run the official update first, or install the packages manually.",
        )
    return None
