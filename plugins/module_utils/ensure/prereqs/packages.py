# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Packages: missing ones, unsupported ones, and whether dpkg has finished its work."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    CheckResult,
    Places,
    Wanted,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.file_lock import Holder, holder
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    DRIFT,
    OK,
    SKIPPED,
    WARNING,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import list_folder
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import (
    Package,
    available,
    interrupted,
    read_packages,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.driver_packages import (
    why_unsupported,
)

_REPAIR_HINT = (
    "If an update is running, wait for it. Otherwise run `dpkg --configure -a`, then"
    " `apt-get --fix-broken install`, then the official update."
)


@dataclass(frozen=True)
class Observed:
    """The packages, whether dpkg was interrupted, and which process holds its lock.

    lock is a text if the holder cannot be determined: the reason. lists_age is the age of apt's
    package lists in seconds; None if unknown.
    """

    packages: Mapping[str, Package]
    interrupted: bool
    lock: Holder | str | None
    lists_age: float | None
    apt_get: str


def look(at: Places, apt_get: str, patience: float) -> Observed:
    """Waits up to patience seconds for the holder of dpkg's lock. Changes nothing."""
    deadline = time.monotonic() + patience
    lock = _holder(at)
    while isinstance(lock, Holder) and time.monotonic() < deadline:
        time.sleep(0.2)
        lock = _holder(at)
    return Observed(
        read_packages(at.dpkg_status),
        interrupted(list_folder(at.dpkg_updates)),
        lock,
        _age(at.apt_lists),
        apt_get,
    )


def _holder(at: Places) -> Holder | str | None:
    try:
        holders = [holder(path, at.proc) for path in at.dpkg_locks]
    except PermissionError:
        return "this user may not read dpkg's locks"
    return next((entry for entry in holders if entry), None)


def _age(path: str) -> float | None:
    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:
        return None


def judge(observed: Observed, wanted: Wanted) -> list[CheckResult]:
    return [
        judge_lock(observed),
        judge_complete(observed),
        _packages(observed, wanted),
        _unsupported(observed, wanted),
    ]


def judge_lock(observed: Observed) -> CheckResult:
    """Whether another process holds dpkg's lock."""
    finding = Finding("dpkg_lock", OK, "no process holds the dpkg lock", "as expected")
    if isinstance(observed.lock, str):
        return CheckResult(
            replace(finding, status=SKIPPED, actual="not assessed: %s" % observed.lock)
        )
    if observed.lock is None:
        return CheckResult(finding)
    return CheckResult(
        replace(
            finding,
            status=BLOCKED,
            severity=WARNING,
            actual="%s holds it" % observed.lock,
            hint="Wait for it to end, then run again. Nothing is installed until then.",
        )
    )


def judge_complete(observed: Observed) -> CheckResult:
    """Whether an installation or update was interrupted."""
    finding = Finding(
        "dpkg_whole", OK, "every package is completely installed or not at all", "as expected"
    )
    if isinstance(observed.lock, Holder):
        reason = "not assessed: another process is using dpkg, see dpkg_lock"
        return CheckResult(replace(finding, status=SKIPPED, actual=reason))
    torn = incomplete_packages(observed)
    if not torn:
        return CheckResult(finding)
    actual = "; ".join(torn)
    return CheckResult(
        replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=_REPAIR_HINT)
    )


def incomplete_packages(observed: Observed) -> list[str]:
    """Packages that an interrupted installation or update has left, as texts."""
    torn = sorted(
        (package for package in observed.packages.values() if package.torn),
        key=lambda item: item.name,
    )
    problems = [
        "%s is %s" % (package.name, package.state) for package in torn if package.error == "ok"
    ]
    problems += [
        "%s must be reinstalled" % package.name for package in torn if package.error != "ok"
    ]
    return [*problems, "dpkg was interrupted"] if observed.interrupted else problems


def _packages(observed: Observed, wanted: Wanted) -> CheckResult:
    names = tuple(sorted({*wanted.packages, *wanted.extra_packages}))
    installed = available(observed.packages)
    missing = tuple(name for name in names if name not in installed)
    expected = "%d packages installed: %s" % (len(names), ", ".join(names))
    if not missing:
        return CheckResult(Finding("packages", OK, expected, "as expected"))
    return CheckResult(
        Finding(
            "packages",
            DRIFT,
            expected,
            "missing: %s" % ", ".join(missing),
            WARNING,
            "install %s" % ", ".join(missing),
        ),
        packages=missing,
    )


def _unsupported(observed: Observed, wanted: Wanted) -> CheckResult:
    finding = Finding("unsupported_packages", OK, "no unsupported packages", "none")
    present = [entry for entry in observed.packages.values() if entry.installed or entry.torn]
    reasons = unsupported(((entry.name, entry.version) for entry in present), wanted.driver)
    if not reasons:
        return CheckResult(finding)
    hint = (
        "Remove them before the next reboot, and install a supported driver by the official"
        " update (nvidia-driver-580-open)."
    )
    return CheckResult(
        replace(finding, status=BLOCKED, severity=WARNING, actual=reasons, hint=hint)
    )


def unsupported(packages: Iterable[tuple[str, str]], driver: str) -> str:
    """The packages, (name, version), that a Spark does not support, by the reason; empty if none.

    driver is the VersionSpec of the driver.
    """
    names: dict[str, list[str]] = {}
    for name, version in sorted(packages):
        reason = why_unsupported(name, version, driver)
        if reason:
            names.setdefault(reason, []).append(("%s %s" % (name, version)).strip())
    return "; ".join("%s: %s" % (", ".join(some), reason) for reason, some in names.items())
