# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Time: a running time service, and a synchronised clock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import Command
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.unit_findings import (
    masked_units,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    NO_ROOT,
    TIME_PACKAGES,
    CheckResult,
    Wanted,
    blocked_result,
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

# Each package's unit has its name. If several exist, the first is started.
UNITS = tuple("%s.service" % name for name in TIME_PACKAGES)

_CLOCK_HINT = (
    "Check that the node reaches its time servers (UDP port 123): `timedatectl timesync-status`"
    " or `chronyc sources`."
)


@dataclass(frozen=True)
class Observed:
    """problem: why systemd does not answer; clock is None if the kernel cannot be asked."""

    units: Mapping[str, Unit]
    problem: str
    clock: Clock | None
    systemctl: str
    root: bool

    @property
    def service(self) -> str:
        """The time service to use, preferably one that runs; empty if there is none."""
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
                message = "the clock is not synchronised %g s after the service was started"
                raise Blocked(message % self.timeout, _CLOCK_HINT)
            time.sleep(0.5)


def judge(observed: Observed, wanted: Wanted) -> list[CheckResult]:
    service = _service(observed, wanted)
    return [service, _synchronised(observed, wanted, service)]


def _service(observed: Observed, wanted: Wanted) -> CheckResult:
    expected = "a time service runs and is enabled at boot"
    finding = Finding("time_service", OK, expected, observed.service)
    if observed.problem:
        reason = "not assessed: %s" % observed.problem
        return CheckResult(replace(finding, status=SKIPPED, actual=reason))
    if not observed.service:
        masked = [unit for unit in UNITS if observed.units.get(unit, Unit()).masked]
        finding = replace(
            finding,
            status=DRIFT,
            severity=WARNING,
            actual="%s is masked" % ", ".join(masked) if masked else "none is installed",
            fix="install %s and start it" % wanted.time_package,
        )
        if masked:
            return blocked_result(finding, masked_units(masked))
        if not wanted.time_package:
            hint = "Set time_package, or install a time service."
            return blocked_result(finding, Blocked("time_package is empty", hint))
        start = _start(observed, "%s.service" % wanted.time_package)
        return CheckResult(finding, (start,), (wanted.time_package,))
    unit = observed.units[observed.service]
    lacking = [
        what
        for what, lacks in (("not running", not unit.runs), ("not enabled", not unit.enabled))
        if lacks
    ]
    if not lacking:
        return CheckResult(finding)
    finding = replace(
        finding,
        status=DRIFT,
        severity=WARNING,
        actual="%s is %s" % (observed.service, " and ".join(lacking)),
        fix="systemctl enable --now %s" % observed.service,
    )
    if not observed.root:
        return blocked_result(finding, NO_ROOT)
    return CheckResult(finding, (_start(observed, observed.service),))


def _start(observed: Observed, unit: str) -> Command:
    return Command(
        unit,
        (observed.systemctl, "enable", "--now", unit),
        "",
        "enabled and running\n",
        ("time_service", "time_synchronised"),
        hint="See `journalctl --unit %s`." % unit,
    )


def _synchronised(observed: Observed, wanted: Wanted, service: CheckResult) -> CheckResult:
    finding = Finding("time_synchronised", OK, "the kernel clock is synchronised", "")
    if observed.clock is None:
        reason = "not assessed: the kernel does not answer here"
        return CheckResult(replace(finding, status=SKIPPED, actual=reason))
    if observed.clock.synchronised:
        return CheckResult(
            replace(finding, actual="synchronised, within %.3f s" % observed.clock.error)
        )
    finding = replace(finding, severity=WARNING, actual="not synchronised for hours, or ever")
    if service.finding.status != DRIFT or "time_service" in wanted.exempt:
        return CheckResult(replace(finding, status=BLOCKED, hint=_CLOCK_HINT))
    finding = replace(finding, status=DRIFT, fix="wait for the time service to set it")
    return CheckResult(finding, (WaitForClock(wanted.clock_timeout),), service.packages)
