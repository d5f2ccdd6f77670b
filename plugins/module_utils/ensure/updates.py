# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The official update of a node: apt's full upgrade, never a part of it, and its preview.

apt runs as a systemd unit, so that a lost connection, an aborted run or a restart of Docker does
not interrupt an update.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.kernel import BAD_KERNELS
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs import packages
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import Places
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    DRIFT,
    OK,
    SKIPPED,
    WARNING,
    Blocked,
    Finding,
    Plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import (
    later_files,
    read_text,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.apt import (
    PackageChange,
    Upgrade,
    held_lock,
    run_patiently,
    simulate_upgrade,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.driver_packages import (
    SUPPORTED,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.fwupd import Firmware, ask_fwupd
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.kernel import (
    handover_by_default,
    handover_on_command_line,
    overruling_grub,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.version_spec import (
    VersionSpec,
    key,
)

REBOOT_FILE = "/run/reboot-required"
GRUB_FILE = "/etc/default/grub.d/90-dgxspark.cfg"

_SIMULATE_SECONDS = 120.0
_FWUPD_SECONDS = 30.0
_REFRESH_SECONDS = 600.0
_SHOWN = 8
_KERNEL = re.compile(r"linux-image-(?:unsigned-)?(\d\S*)")
_MODULES = re.compile(r"linux-modules-nvidia-\d+-open-(\d\S*)")
# Packages that take effect only after a reboot: kernel, driver, C library, init, firmware.
_NEEDS_REBOOT = re.compile(
    r"linux-(?:image|modules|firmware)\S*|nvidia-(?:driver|kernel|dkms|firmware)\S*|libc6"
    r"|systemd|dbus|libssl3\S*"
)
_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
# Another apt-get, for example an update by the dashboard, may be running.
_PATIENCE = 120
_PATIENT = ("--option", "DPkg::Lock::Timeout=%d" % _PATIENCE)
# Locally changed configuration files are kept, without a question.
_KEEP_CONFIGURATION = (
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
)


@dataclass(frozen=True)
class Wanted:
    """The module's parameters. seconds: how long the upgrade may take; driver: a VersionSpec."""

    allow_removals: bool
    seconds: int
    driver: str = SUPPORTED
    exempt: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Raises ValueError, naming the parameter, for an invalid value."""
        try:
            VersionSpec.parse(self.driver)
        except ValueError as error:
            raise ValueError("driver: %s" % error) from error


@dataclass(frozen=True)
class Observed:
    """The input of the plan. grub: our file that sets kho=off for the next kernel.

    build: the configuration of the kernel that boots next, None if it is not installed yet.
    """

    packages: packages.Observed
    upgrade: Upgrade
    firmware: Firmware
    release: str
    command_line: str
    grub: str
    reboot_file: bool
    root: bool
    systemd_run: str
    build: str | None = None


def observe(
    places: Places | None = None, reboot_file: str = REBOOT_FILE, grub_file: str = GRUB_FILE
) -> Observed:
    """Read the node. Changes nothing, does not wait, downloads nothing."""
    at = places or Places()
    apt_get = find_tool("apt-get", at.tools)
    observed = Observed(
        packages.look(at, apt_get, 0.0),
        simulate_upgrade(apt_get, _SIMULATE_SECONDS) if apt_get else Upgrade(problem=_NO_APT),
        ask_fwupd(find_tool("fwupdmgr", at.tools), _FWUPD_SECONDS),
        (read_text(at.proc + "/sys/kernel/osrelease") or "").strip(),
        (read_text(at.proc + "/cmdline") or "").strip(),
        "" if overruling_grub(later_files(grub_file)) else read_text(grub_file) or "",
        read_text(reboot_file) is not None,
        at.root,
        find_tool("systemd-run", at.tools),
    )
    return replace(observed, build=read_text("/boot/config-%s" % _next(observed)))


_NO_APT = "apt-get is not installed"


def refresh() -> str:
    """Update the package lists; why that failed, or an empty text."""
    argv = [find_tool("apt-get") or "apt-get", *_PATIENT, "--quiet", "--error-on=any", "update"]
    result = run_patiently(argv, _REFRESH_SECONDS, _PATIENCE, _ENVIRONMENT)
    return "" if result.ok else held_lock(result) or result.describe()


@dataclass(frozen=True)
class FullUpgrade:
    """The declared `apt-get dist-upgrade`."""

    systemd_run: str
    apt_get: str
    changes: tuple[PackageChange, ...]
    remove: bool
    seconds: int
    repairs: tuple[str, ...] = ("packages_current",)

    @property
    def subject(self) -> str:
        return "packages"

    @property
    def before(self) -> str:
        return "".join(
            "%s %s\n" % (change.name, change.old) for change in self.changes if change.old
        )

    @property
    def after(self) -> str:
        return "".join(
            "%s %s\n" % (change.name, change.new) for change in self.changes if change.new
        )

    @property
    def argv(self) -> tuple[str, ...]:
        return (
            *(self.systemd_run, "--wait", "--pipe", "--collect", "--quiet"),
            "--unit=dgxspark-updates",
            *("--setenv=%s=%s" % entry for entry in _ENVIRONMENT.items()),
            *(self.apt_get, *_PATIENT, *_KEEP_CONFIGURATION, "--yes", "--quiet"),
            # A package that appeared since the plan was made may not remove others.
            *(() if self.remove else ("--no-remove",)),
            "dist-upgrade",
        )

    def apply(self) -> None:
        """Raises Blocked if the upgrade fails."""
        result = run(self.argv, float(self.seconds))
        if not result.ok:
            raise Blocked(
                "apt-get dist-upgrade: %s" % result.describe(),
                "See `journalctl -u dgxspark-updates`. Repair that, then run again.",
            )


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings and actions for an observation. Pure."""
    lock = packages.judge_lock(observed.packages).finding
    complete = packages.judge_complete(observed.packages).finding
    coming = _judge_coming(observed, wanted)
    kernel = _judge_kernel(observed)
    blocking = [
        result.check
        for result in (lock, complete, coming, kernel)
        if result.status == BLOCKED and result.check not in wanted.exempt
    ]
    current, actions = _judge_current(observed, wanted, blocking)
    findings = (lock, complete, coming, kernel, current, _judge_firmware(observed.firmware))
    return Plan(
        findings, actions, facts=facts(observed), parity={"kernel_to_boot": _next(observed)}
    )


def facts(observed: Observed) -> dict[str, Any]:
    reasons = list(reboot_reasons(observed))
    return {
        "changes": [asdict(change) for change in observed.upgrade.changes],
        "kept_back": list(observed.upgrade.kept),
        "lists_days": _days(observed.packages.lists_age),
        "kernel": observed.release,
        "next_kernel": _next(observed),
        "firmware": [
            {"device": device, "old": old, "new": new}
            for device, old, new in observed.firmware.waiting
        ],
        "reboot_needed": bool(reasons),
        "reboot_reasons": reasons,
    }


def reboot_reasons(observed: Observed) -> Iterator[str]:
    """Why the node has to be rebooted, now or after the upgrade."""
    if observed.reboot_file:
        yield "an earlier update requires it"
    newest = _next(observed)
    if newest and newest != observed.release:
        yield "kernel %s runs, %s is newer" % (observed.release, newest)
    touched = [
        change.name for change in observed.upgrade.changes if _NEEDS_REBOOT.fullmatch(change.name)
    ]
    if touched:
        yield "%s would be updated" % _few(touched)


def _days(age: float | None) -> float | None:
    return None if age is None else round(age / 86400, 1)


def _kernels(names: Mapping[str, Any] | list[str]) -> list[str]:
    matches = [_KERNEL.fullmatch(name) for name in names]
    return [match[1] for match in matches if match]


def _next(observed: Observed) -> str:
    """The kernel that boots next: the newest of the installed and of the coming ones."""
    return max(_kernels(_after(observed)), key=key, default=observed.release)


def _after(observed: Observed) -> list[str]:
    """The names of the packages that are installed after the upgrade."""
    installed = [name for name, entry in observed.packages.packages.items() if entry.installed]
    removed = set(observed.upgrade.removals)
    coming = [entry.name for entry in observed.upgrade.changes if entry.new]
    return [name for name in installed if name not in removed] + coming


def _lacks_modules(observed: Observed, release: str) -> bool:
    """Whether the next kernel comes without the driver's modules, which the running one has.

    Ubuntu has a package of signed modules for each kernel; DKMS builds them for every kernel.
    """
    names = _after(observed)
    built = [match[1] for match in map(_MODULES.fullmatch, names) if match]
    by_dkms = any(name.startswith(("nvidia-dkms-", "nvidia-kernel-open-dkms")) for name in names)
    return observed.release in built and release not in built and not by_dkms


def _judge_coming(observed: Observed, wanted: Wanted) -> Finding:
    """Whether the upgrade would install packages that are not supported on a Spark."""
    finding = Finding(
        "coming_packages", OK, "no unsupported packages would be installed", "as expected"
    )
    if observed.upgrade.problem:
        return replace(finding, status=SKIPPED, actual="not assessed: see packages_current")
    coming = [(change.name, change.new) for change in observed.upgrade.changes if change.new]
    reasons = packages.unsupported(coming, wanted.driver)
    if not reasons:
        return finding
    hint = "Find the apt source that has it (`apt-cache policy`), and remove or pin that source."
    return replace(finding, status=BLOCKED, severity=CRITICAL, actual=reasons, hint=hint)


def _judge_kernel(observed: Observed) -> Finding:
    """The kernel that boots next, and its known problems."""
    release = _next(observed)
    finding = Finding(
        "next_kernel",
        OK,
        "the next kernel has no known problem",
        release if release != observed.release else "%s (running)" % release,
    )
    for start, why in BAD_KERNELS.items():
        if release.startswith(start):
            hint = "Hold it back until a newer one is available: `apt-mark hold linux-image-%s`."
            return replace(
                finding,
                status=BLOCKED,
                severity=CRITICAL,
                actual="%s: %s" % (release, why),
                hint=hint % release,
            )
    if _lacks_modules(observed, release):
        hint = "Hold the kernel back (`apt-mark hold linux-image-%s`), or install its package"
        hint += " linux-modules-nvidia-580-open-%s in the same update."
        return replace(
            finding,
            status=BLOCKED,
            severity=CRITICAL,
            actual="%s would boot without the modules of the NVIDIA driver" % release,
            hint=hint % (release, release),
        )
    off = handover_on_command_line(observed.command_line) is False or "kho=off" in observed.grub
    if handover_by_default(release, observed.build) is not False and not off:
        return replace(
            finding,
            status=BLOCKED,
            severity=CRITICAL,
            actual="%s may have Kexec Handover on: NCCL between nodes fails then" % release,
            hint="Set kho=off on its command line first: a file in /etc/default/grub.d with"
            ' GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX kho=off", then update-grub.',
        )
    return finding


def _judge_current(
    observed: Observed, wanted: Wanted, blocking: list[str]
) -> tuple[Finding, tuple[FullUpgrade, ...]]:
    days = _days(observed.packages.lists_age)
    lists = "package lists of unknown age" if days is None else "package lists %g days old" % days
    expected = "all packages up to date, by %s" % lists
    finding = Finding("packages_current", OK, expected, "as expected")
    if observed.upgrade.problem:
        hint = "Run `apt-get --simulate dist-upgrade` to see the error."
        actual = "apt-get fails: %s" % observed.upgrade.problem
        return replace(finding, status=BLOCKED, severity=WARNING, actual=actual, hint=hint), ()
    if not observed.upgrade.changes:
        return finding, ()
    finding = replace(finding, status=DRIFT, severity=WARNING, actual=_described(observed.upgrade))
    finding = replace(finding, fix="apt-get dist-upgrade, as a systemd unit")
    obstacle = _obstacle(observed, wanted, blocking)
    if obstacle:
        return replace(finding, status=BLOCKED, fix="", hint=obstacle), ()
    apt_get, remove = observed.packages.apt_get, wanted.allow_removals
    act = FullUpgrade(
        observed.systemd_run, apt_get, observed.upgrade.changes, remove, wanted.seconds
    )
    return finding, (act,)


def _obstacle(observed: Observed, wanted: Wanted, blocking: list[str]) -> str:
    if blocking:
        return "Blocked by: %s." % ", ".join(blocking)
    removals = observed.upgrade.removals
    if removals and not wanted.allow_removals:
        return (
            "It would remove %s. Review that; dgxspark_updates_allow_removals=true allows it."
            % _few(list(removals))
        )
    if not observed.systemd_run:
        return (
            "systemd-run is not installed; it keeps the update running if the connection is lost."
        )
    return "" if observed.root else "Run as root (become)."


def _described(upgrade: Upgrade) -> str:
    parts = []
    for change in upgrade.changes:
        new = change.new or "removed"
        parts.append(
            "%s %s -> %s" % (change.name, change.old, new)
            if change.old
            else change.name + " " + new
        )
    rest = len(parts) - _SHOWN
    more = "; and %d more" % rest if rest > 0 else ""
    return "%d packages: %s%s" % (len(parts), "; ".join(parts[:_SHOWN]), more)


def _few(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (" and %d more" % rest if rest > 0 else "")


def _judge_firmware(observed: Firmware) -> Finding:
    """Reported, never applied: firmware may need a manual power cycle."""
    finding = Finding("firmware_current", OK, "no pending firmware update", "as expected")
    if observed.problem:
        return replace(finding, status=SKIPPED, actual="not assessed: %s" % observed.problem)
    if not observed.waiting:
        return finding
    updates = "; ".join("%s %s -> %s" % update for update in observed.waiting)
    return replace(
        finding,
        status=SKIPPED,
        actual="not applied automatically: %s" % updates,
        hint="Run `fwupdmgr refresh`, `fwupdmgr upgrade` and reboot, one node at a time.",
    )
