# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The installation of Debian packages, by the system's package manager.

It upgrades and removes nothing, is not begun while anybody else is at work or while packages are
torn, and fetches everything before dpkg is started. Once dpkg works nothing of ours ends it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import (
    Result,
    last_line,
    run,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.apt import Simulation, simulate

SIMULATE_SECONDS = 120.0

_FETCH_SECONDS = 1800.0
_DPKG_SECONDS = 7200.0
_ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    # Services that happen to use a library are not restarted: a model may be served.
    "NEEDRESTART_SUSPEND": "1",
}
_KEEP_THEIR_FILES = (
    *("-o", "Dpkg::Options::=--force-confdef"),
    *("-o", "Dpkg::Options::=--force-confold"),
)
_ASK = "Run `apt-get update` and `apt-get --simulate install %s`, and look at what they say."
_NETWORK = "Does the node reach its package sources (network, proxy, /etc/apt)? " + _ASK


@dataclass(frozen=True)
class Installation:
    """Install packages by one call, and nothing but those and what they need.

    refresh: apt knows some of the names only after it has looked for new lists, if at all.
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
        """Raises Blocked; until everything has been fetched, nothing has changed then."""
        if self.refresh:
            looked = self._run(("update", "-o", "APT::Update::Error-Mode=any"), _FETCH_SECONDS)
            planned = simulate(self.apt_get, self.names, SIMULATE_SECONDS)
            if planned.unknown and not looked.ok:
                hint = _NETWORK % " ".join(self.names)
                raise Blocked("no package lists: %s" % complaint(looked), hint)
            against = objection(planned, self.names)
            if against:
                raise against
        fetched = self._run((*self._install, "--download-only"), _FETCH_SECONDS)
        if not fetched.ok:
            hint = _NETWORK % " ".join(self.names)
            raise Blocked("nothing could be fetched: %s" % complaint(fetched), hint)
        with _undisturbed():
            done = self._run((*self._install, "--no-download"), _DPKG_SECONDS)
        if not done.ok:
            hint = "Look into /var/log/apt/term.log. " + _ASK % " ".join(self.names)
            raise Blocked("apt-get: %s" % complaint(done), hint)

    @property
    def _install(self) -> tuple[str, ...]:
        return (
            *("install", "--yes", "--no-install-recommends", "--no-upgrade", "--no-remove"),
            *_KEEP_THEIR_FILES,
        )

    def _run(self, words: Sequence[str], timeout: float) -> Result:
        lock = ("-o", "DPkg::Lock::Timeout=%d" % self.lock_timeout)
        names = ("--", *self.names) if words[0] == "install" else ()
        return run([self.apt_get, *lock, *words, *names], timeout, env=_ENVIRONMENT)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Have nothing that ends this process end dpkg, which would leave packages torn."""
    ending = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ending}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def complaint(result: Result) -> str:
    """What apt-get says is wrong: its first error is the cause, its last one a summary."""
    errors = [line for line in result.stderr.splitlines() if line.startswith("E: ")]
    return last_line(errors[0]) if errors and not result.ok else result.describe()


def objection(planned: Simulation, names: Sequence[str]) -> Blocked | None:
    """What speaks against an installation by what apt would do."""
    if planned.unknown:
        return Blocked(
            "apt has no candidate for %s" % ", ".join(planned.unknown),
            "Correct the name, or add the source that has it. " + _ASK % " ".join(names),
        )
    if planned.problem:
        return Blocked("apt-get: %s" % planned.problem, _ASK % " ".join(names))
    if planned.upgrades or planned.removals:
        effects = [
            "%s %s" % (verb, ", ".join(some))
            for verb, some in (("upgrade", planned.upgrades), ("remove", planned.removals))
            if some
        ]
        return Blocked(
            "apt would also %s" % " and ".join(effects),
            "Bring the node to one state by the official update first, or install them by hand.",
        )
    return None
