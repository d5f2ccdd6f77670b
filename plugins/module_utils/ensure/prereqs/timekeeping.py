# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Time: a service that keeps the clock right, and a clock that is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import Command
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    NO_ROOT,
    TIME_PACKAGES,
    Judged,
    Wanted,
    stopped,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    DRIFT,
    OK,
    SKIPPED,
    WARNING,
    Blocked,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.clock import Clock, kernel_clock
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import Unit

# Each package's unit has its name. Of several that are there, the first one is started.
UNITS = tuple("%s.service" % name for name in TIME_PACKAGES)

_CLOCK_HINT = (
    "Does the node reach its time servers (UDP port 123)? `timedatectl timesync-status` or"
    " `chronyc sources` tells."
)


@dataclass(frozen=True)
class Seen:
    """units is what systemd says, or why it says nothing; clock is None where nobody can tell."""

    units: Mapping[str, Unit]
    problem: str
    clock: Clock | None
    systemctl: str
    root: bool

    @property
    def service(self) -> str:
        """The unit that keeps the time, or that is to; empty if there is none."""
        there = [unit for unit in UNITS if self.units.get(unit, Unit()).there]
        there.sort(key=lambda unit: (not self.units[unit].runs, not self.units[unit].enabled))
        return there[0] if there else ""


@dataclass(frozen=True)
class WaitForClock:
    """Wait until the time service that was just started has set the clock."""

    timeout: float
    repairs: tuple[str, ...] = ("time_synchronised",)
    subject: str = "clock"
    before: str = "not synchronised\n"
    after: str = "synchronised\n"

    def apply(self) -> None:
        """Raises Blocked."""
        deadline = time.monotonic() + self.timeout
        while True:
            clock = kernel_clock()
            if clock is None or clock.synchronised:
                return
            if time.monotonic() > deadline:
                told = "the clock is not synchronised %g s after the service was started"
                raise Blocked(told % self.timeout, _CLOCK_HINT)
            time.sleep(0.5)


def judge(seen: Seen, wanted: Wanted) -> list[Judged]:
    service = _service(seen, wanted)
    return [service, _synchronised(seen, wanted, service)]


def _service(seen: Seen, wanted: Wanted) -> Judged:
    expected = "a time service runs, and starts with the node"
    finding = Finding("time_service", OK, expected, seen.service)
    if seen.problem:
        reason = "not assessed: %s" % seen.problem
        return Judged(replace(finding, status=SKIPPED, actual=reason))
    if not seen.service:
        masked = [unit for unit in UNITS if seen.units.get(unit, Unit()).load == "masked"]
        finding = replace(
            finding,
            status=DRIFT,
            severity=WARNING,
            actual="%s is masked" % ", ".join(masked) if masked else "there is none",
            fix="install %s and start it" % wanted.time_package,
        )
        if masked:
            hint = "Somebody does not want it: `systemctl unmask` it, or install another."
            return stopped(finding, Blocked("a masked unit cannot be started", hint))
        if not wanted.time_package:
            hint = "Name one in time_package, or install one."
            return stopped(finding, Blocked("none is to be installed", hint))
        start = _start(seen, "%s.service" % wanted.time_package)
        return Judged(finding, (start,), (wanted.time_package,))
    unit = seen.units[seen.service]
    lacking = [
        what
        for what, lacks in (("not running", not unit.runs), ("not enabled", not unit.enabled))
        if lacks
    ]
    if not lacking:
        return Judged(finding)
    finding = replace(
        finding,
        status=DRIFT,
        severity=WARNING,
        actual="%s is %s" % (seen.service, " and ".join(lacking)),
        fix="systemctl enable --now %s" % seen.service,
    )
    if not seen.root:
        return stopped(finding, NO_ROOT)
    return Judged(finding, (_start(seen, seen.service),))


def _start(seen: Seen, unit: str) -> Command:
    return Command(
        unit,
        (seen.systemctl, "enable", "--now", unit),
        "",
        "enabled and running\n",
        ("time_service", "time_synchronised"),
        hint="Look at `journalctl --unit %s`." % unit,
    )


def _synchronised(seen: Seen, wanted: Wanted, service: Judged) -> Judged:
    finding = Finding("time_synchronised", OK, "the kernel's clock is synchronised", "")
    if seen.clock is None:
        reason = "not assessed: the kernel cannot be asked here"
        return Judged(replace(finding, status=SKIPPED, actual=reason))
    if seen.clock.synchronised:
        return Judged(replace(finding, actual="it is, within %.3f s" % seen.clock.error))
    finding = replace(finding, severity=WARNING, actual="nobody has set it for hours, or ever")
    if service.finding.status != DRIFT or "time_service" in wanted.exempt:
        return Judged(replace(finding, status=BLOCKED, hint=_CLOCK_HINT))
    finding = replace(finding, status=DRIFT, fix="wait until the time service has set it")
    return Judged(finding, (WaitForClock(wanted.clock_timeout),), service.packages)
