# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Packages: what is missing, what does not belong on a Spark, and whether dpkg is whole."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    Judged,
    Places,
    Wanted,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.file_lock import Holder, holder
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    list_folder,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    DRIFT,
    OK,
    SKIPPED,
    WARNING,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import (
    Package,
    available,
    interrupted,
    read_packages,
)

# Packages that do not belong on a Spark, by the whole of their name, and why. First match tells.
UNSUPPORTED: tuple[tuple[str, str], ...] = (
    (
        r"(nvidia-(driver|dkms|headless)|linux-modules-nvidia)-\d+-server(-.*)?",
        "a driver series for data centre GPUs, which DGX OS does not support on a Spark",
    ),
    (
        r"(nvidia-(driver|dkms|kernel-source|headless)-\d+|nvidia-headless-no-dkms-\d+)",
        "proprietary kernel modules: the GB10 needs the open ones (RmInitAdapter failed, Xid 169)",
    ),
    (
        r"linux-modules-nvidia-\d+-(?!open-).*",
        "proprietary kernel modules: the GB10 needs the open ones (RmInitAdapter failed, Xid 169)",
    ),
    (
        r"nvidia-(driver|dkms|headless|headless-no-dkms|kernel-source)-59\d-open",
        "an unsupported driver series: 590 has a deadlock with CUDA graphs; 580 is the supported",
    ),
    (
        r"(nvidia-|cuda-drivers-)?fabric-?manager.*|nvidia-fabricmanager.*|cuda-drivers-fabric.*",
        "for machines with NVSwitch: a Spark has none, and its service fails at every boot",
    ),
    (r"lib(nvidia-)?nscq.*|nvlsm|.*nvswitch.*", "for machines with NVSwitch: a Spark has none"),
)
_UNSUPPORTED = tuple((re.compile(pattern), reason) for pattern, reason in UNSUPPORTED)

_REPAIR_HINT = (
    "Let an update that is at work end. Otherwise, run `dpkg --configure -a`, then"
    " `apt-get --fix-broken install`, and bring the node to one state by the official update."
)


@dataclass(frozen=True)
class Seen:
    """What dpkg has, whether it was interrupted, and who is at work with it.

    lock is why nobody can be told where that is so. lists_age is how long ago apt last looked for
    new lists, in seconds; None where that cannot be told.
    """

    packages: Mapping[str, Package]
    interrupted: bool
    lock: Holder | str | None
    lists_age: float | None
    apt_get: str


def look(at: Places, apt_get: str, patience: float) -> Seen:
    """Waits up to patience seconds for whoever is at work with dpkg. Changes nothing."""
    deadline = time.monotonic() + patience
    lock = _holder(at)
    while isinstance(lock, Holder) and time.monotonic() < deadline:
        time.sleep(0.2)
        lock = _holder(at)
    return Seen(
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
        return "this user may not look at dpkg's locks"
    return next((one for one in holders if one), None)


def _age(path: str) -> float | None:
    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:
        return None


def judge(seen: Seen, wanted: Wanted) -> list[Judged]:
    return [judge_lock(seen), judge_whole(seen), _packages(seen, wanted), _unsupported(seen)]


def judge_lock(seen: Seen) -> Judged:
    """Whether somebody is at work with dpkg."""
    finding = Finding("dpkg_lock", OK, "nobody is at work with dpkg", "nobody is")
    if isinstance(seen.lock, str):
        return Judged(replace(finding, status=SKIPPED, actual="not assessed: %s" % seen.lock))
    if seen.lock is None:
        return Judged(finding)
    return Judged(
        replace(
            finding,
            status=BLOCKED,
            severity=WARNING,
            actual="%s holds its lock" % seen.lock,
            hint="Wait until it has ended, then run again; nothing is installed meanwhile.",
        )
    )


def judge_whole(seen: Seen) -> Judged:
    """Whether an installation or an update was begun and not finished."""
    finding = Finding(
        "dpkg_whole", OK, "every package is wholly installed, or not at all", "as expected"
    )
    if isinstance(seen.lock, Holder):
        reason = "not assessed: dpkg is at work, see dpkg_lock"
        return Judged(replace(finding, status=SKIPPED, actual=reason))
    torn = torn_packages(seen)
    if not torn:
        return Judged(finding)
    actual = "; ".join(torn)
    return Judged(
        replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=_REPAIR_HINT)
    )


def torn_packages(seen: Seen) -> list[str]:
    """What an interrupted installation or update has left, in words."""
    torn = sorted((one for one in seen.packages.values() if one.torn), key=lambda one: one.name)
    told = ["%s is %s" % (one.name, one.state) for one in torn if one.error == "ok"]
    told += ["%s has to be installed again" % one.name for one in torn if one.error != "ok"]
    return [*told, "dpkg was stopped in the midst of its work"] if seen.interrupted else told


def _packages(seen: Seen, wanted: Wanted) -> Judged:
    names = tuple(sorted({*wanted.packages, *wanted.extra_packages}))
    there = available(seen.packages)
    missing = tuple(name for name in names if name not in there)
    expected = "%d packages are installed: %s" % (len(names), ", ".join(names))
    if not missing:
        return Judged(Finding("packages", OK, expected, "all of them are"))
    return Judged(
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


def _unsupported(seen: Seen) -> Judged:
    expected = "no package that does not belong on a Spark"
    found = [
        "%s %s: %s" % (one.name, one.version, reason)
        for one in sorted(seen.packages.values(), key=lambda one: one.name)
        for reason in why_unsupported(one.name)
        if one.installed or one.torn
    ]
    if not found:
        return Judged(Finding("unsupported_packages", OK, expected, "none"))
    return Judged(
        Finding(
            "unsupported_packages",
            BLOCKED,
            expected,
            "; ".join(found),
            WARNING,
            hint="Remove them, and bring the node to a supported driver by the official update.",
        )
    )


def why_unsupported(name: str) -> Sequence[str]:
    """The reason against a package, if there is one."""
    return [reason for pattern, reason in _UNSUPPORTED if pattern.fullmatch(name)][:1]
