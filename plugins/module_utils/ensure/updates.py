# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The official update of a node: apt's full upgrade, never a part of it, and what it would bring.

apt runs as a unit of systemd: whatever becomes of the run, of its connection or of Docker, no
update is torn by it.
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
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import read_text
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
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.apt import (
    Change,
    Upgrade,
    simulate_upgrade,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.fwupd import Firmware, ask_fwupd
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.kernel import (
    handover_is_default,
    handover_is_off,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.version_spec import key

REBOOT_FILE = "/run/reboot-required"
GRUB_FILE = "/etc/default/grub.d/90-dgxspark.cfg"

_SIMULATE_SECONDS = 120.0
_FWUPD_SECONDS = 30.0
_REFRESH_SECONDS = 600.0
_TOLD = 8
_KERNEL = re.compile(r"linux-image-(?:unsigned-)?(\d\S*)")
# What does its work only after a reboot: kernel, driver, C library, init, firmware.
_NEEDS_REBOOT = re.compile(
    r"linux-(?:image|modules|firmware)\S*|nvidia-(?:driver|kernel|dkms|firmware)\S*|libc6"
    r"|systemd|dbus|libssl3\S*"
)
_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
# Another apt-get, the dashboard's updates perhaps, may be at work.
_PATIENT = ("--option", "DPkg::Lock::Timeout=120")
# A person's changes to a file of configuration stay, without a question.
_KEEP = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")


@dataclass(frozen=True)
class Wanted:
    """The module's parameters. seconds: how long the upgrade may take."""

    allow_removals: bool
    seconds: int
    exempt: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Observed:
    """Everything the plan depends on. grub: our own file, by which the next kernel gets kho=off."""

    packages: packages.Seen
    upgrade: Upgrade
    firmware: Firmware
    release: str
    command_line: str
    grub: str
    reboot_file: bool
    root: bool
    systemd_run: str


def observe(
    places: Places | None = None, reboot_file: str = REBOOT_FILE, grub_file: str = GRUB_FILE
) -> Observed:
    """Read the node. Changes nothing, waits for nobody, fetches nothing."""
    at = places or Places()
    apt_get = find_tool("apt-get", at.tools)
    return Observed(
        packages.look(at, apt_get, 0.0),
        simulate_upgrade(apt_get, _SIMULATE_SECONDS) if apt_get else Upgrade(problem=_NO_APT),
        ask_fwupd(find_tool("fwupdmgr", at.tools), _FWUPD_SECONDS),
        (read_text(at.proc + "/sys/kernel/osrelease") or "").strip(),
        (read_text(at.proc + "/cmdline") or "").strip(),
        read_text(grub_file) or "",
        read_text(reboot_file) is not None,
        at.root,
        find_tool("systemd-run", at.tools),
    )


_NO_APT = "there is no apt-get"


def refresh() -> str:
    """Fetch apt's lists; why that failed, or nothing."""
    argv = [find_tool("apt-get") or "apt-get", *_PATIENT, "--quiet", "--error-on=any", "update"]
    result = run(argv, _REFRESH_SECONDS, env=_ENVIRONMENT)
    return "" if result.ok else result.describe()


@dataclass(frozen=True)
class FullUpgrade:
    """The declared `apt-get dist-upgrade`."""

    systemd_run: str
    apt_get: str
    changes: tuple[Change, ...]
    remove: bool
    seconds: int
    repairs: tuple[str, ...] = ("packages_current",)

    @property
    def subject(self) -> str:
        return "packages"

    @property
    def before(self) -> str:
        return "".join("%s %s\n" % (one.name, one.old) for one in self.changes if one.old)

    @property
    def after(self) -> str:
        return "".join("%s %s\n" % (one.name, one.new) for one in self.changes if one.new)

    @property
    def argv(self) -> tuple[str, ...]:
        return (
            *(self.systemd_run, "--wait", "--pipe", "--collect", "--quiet"),
            "--unit=dgxspark-updates",
            *("--setenv=%s=%s" % one for one in _ENVIRONMENT.items()),
            *(self.apt_get, *_PATIENT, *_KEEP, "--yes", "--quiet"),
            # The plan was made a moment ago; what has come since may not take more away.
            *(() if self.remove else ("--no-remove",)),
            "dist-upgrade",
        )

    def apply(self) -> None:
        """Raises Blocked where it does not end well."""
        result = run(self.argv, float(self.seconds))
        if not result.ok:
            raise Blocked(
                "apt-get dist-upgrade: %s" % result.describe(),
                "`journalctl -u dgxspark-updates` tells the rest. Repair that, then run again.",
            )


def plan(seen: Observed, wanted: Wanted) -> Plan:
    """What to say, and what to do, about one observation. Pure."""
    lock = packages.judge_lock(seen.packages).finding
    whole = packages.judge_whole(seen.packages).finding
    coming = _judge_coming(seen)
    kernel = _judge_kernel(seen)
    against = [
        one.check
        for one in (lock, whole, coming, kernel)
        if one.status == BLOCKED and one.check not in wanted.exempt
    ]
    current, actions = _judge_current(seen, wanted, against)
    findings = (lock, whole, coming, kernel, current, _judge_firmware(seen.firmware))
    return Plan(findings, actions, facts=facts(seen), parity={"kernel_to_boot": _next(seen)})


def facts(seen: Observed) -> dict[str, Any]:
    why = list(reboot_reasons(seen))
    return {
        "changes": [asdict(one) for one in seen.upgrade.changes],
        "kept_back": list(seen.upgrade.kept),
        "lists_days": _days(seen.packages.lists_age),
        "kernel": seen.release,
        "next_kernel": _next(seen),
        "firmware": [
            {"device": device, "old": old, "new": new} for device, old, new in seen.firmware.waiting
        ],
        "reboot_needed": bool(why),
        "reboot_reasons": why,
    }


def reboot_reasons(seen: Observed) -> Iterator[str]:
    """Why the node has to be rebooted now, or once the upgrade is done."""
    if seen.reboot_file:
        yield "an earlier update waits for it"
    newest = _next(seen)
    if newest and newest != seen.release:
        yield "kernel %s runs, %s is newer" % (seen.release, newest)
    touched = [one.name for one in seen.upgrade.changes if _NEEDS_REBOOT.fullmatch(one.name)]
    if touched:
        yield "%s would be updated" % _few(touched)


def _days(age: float | None) -> float | None:
    return None if age is None else round(age / 86400, 1)


def _kernels(names: Mapping[str, Any] | list[str]) -> list[str]:
    found = [_KERNEL.fullmatch(name) for name in names]
    return [match[1] for match in found if match]


def _next(seen: Observed) -> str:
    """The kernel that boots next: the newest of what is there and of what comes."""
    there = [name for name, one in seen.packages.packages.items() if one.installed]
    gone = set(seen.upgrade.removals)
    coming = [one.name for one in seen.upgrade.changes if one.new]
    kernels = _kernels([name for name in there if name not in gone] + coming)
    return max(kernels, key=key, default=seen.release)


def _judge_coming(seen: Observed) -> Finding:
    """What the upgrade would put there may not be what a Spark cannot use."""
    finding = Finding(
        "coming_packages", OK, "nothing comes that does not belong on a Spark", "as expected"
    )
    if seen.upgrade.problem:
        return replace(finding, status=SKIPPED, actual="not assessed: see packages_current")
    told = [
        "%s %s: %s" % (one.name, one.new, reason)
        for one in seen.upgrade.changes
        for reason in packages.why_unsupported(one.name)
        if one.new
    ]
    if not told:
        return finding
    hint = "See which source of apt it comes from, and remove that source or pin it down."
    return replace(finding, status=BLOCKED, severity=CRITICAL, actual="; ".join(told), hint=hint)


def _judge_kernel(seen: Observed) -> Finding:
    """The kernel that boots next, and the traps that are known of it."""
    release = _next(seen)
    finding = Finding(
        "next_kernel",
        OK,
        "a kernel without known trap boots next",
        release if release != seen.release else "%s, which runs already" % release,
    )
    for start, why in BAD_KERNELS.items():
        if release.startswith(start):
            hint = "Hold it back: `apt-mark hold linux-image-%s`, until a newer one is there."
            return replace(
                finding,
                status=BLOCKED,
                severity=CRITICAL,
                actual="%s: %s" % (release, why),
                hint=hint % release,
            )
    off = handover_is_off(seen.command_line) or "kho=off" in seen.grub
    if handover_is_default(release) and not off:
        return replace(
            finding,
            status=BLOCKED,
            severity=CRITICAL,
            actual="%s, on which Kexec Handover keeps 9.5 GiB apart and NCCL over two nodes fails"
            % release,
            hint="Put kho=off on its command line first: a file in /etc/default/grub.d with"
            ' GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX kho=off", then update-grub.',
        )
    return finding


def _judge_current(
    seen: Observed, wanted: Wanted, against: list[str]
) -> tuple[Finding, tuple[FullUpgrade, ...]]:
    days = _days(seen.packages.lists_age)
    lists = "lists of which nobody knows the age" if days is None else "lists %g days old" % days
    expected = "all packages as new as their sources have them, by %s" % lists
    finding = Finding("packages_current", OK, expected, "they are")
    if seen.upgrade.problem:
        hint = "Run `apt-get --simulate dist-upgrade` to see what it says."
        actual = "apt-get gives no answer: %s" % seen.upgrade.problem
        return replace(finding, status=BLOCKED, severity=WARNING, actual=actual, hint=hint), ()
    if not seen.upgrade.changes:
        return finding, ()
    finding = replace(finding, status=DRIFT, severity=WARNING, actual=_told(seen.upgrade))
    finding = replace(finding, fix="apt-get dist-upgrade, as a unit of systemd")
    obstacle = _obstacle(seen, wanted, against)
    if obstacle:
        return replace(finding, status=BLOCKED, fix="", hint=obstacle), ()
    apt_get, remove = seen.packages.apt_get, wanted.allow_removals
    act = FullUpgrade(seen.systemd_run, apt_get, seen.upgrade.changes, remove, wanted.seconds)
    return finding, (act,)


def _obstacle(seen: Observed, wanted: Wanted, against: list[str]) -> str:
    if against:
        return "Not while this is as it is: %s." % ", ".join(against)
    removals = seen.upgrade.removals
    if removals and not wanted.allow_removals:
        return (
            "It would remove %s. Look at that; dgxspark_updates_allow_removals=true allows it."
            % _few(list(removals))
        )
    if not seen.systemd_run:
        return "There is no systemd-run, by which the update survives a lost connection."
    return "" if seen.root else "Run as root (become)."


def _told(upgrade: Upgrade) -> str:
    parts = []
    for one in upgrade.changes:
        new = one.new or "removed"
        parts.append("%s %s -> %s" % (one.name, one.old, new) if one.old else one.name + " " + new)
    rest = len(parts) - _TOLD
    more = "; and %d more" % rest if rest > 0 else ""
    return "%d packages: %s%s" % (len(parts), "; ".join(parts[:_TOLD]), more)


def _few(names: list[str]) -> str:
    rest = len(names) - _TOLD
    return ", ".join(names[:_TOLD]) + (" and %d more" % rest if rest > 0 else "")


def _judge_firmware(seen: Firmware) -> Finding:
    """Told and never done: firmware may want a power cycle by hand."""
    finding = Finding("firmware_current", OK, "no firmware update waits", "none does")
    if seen.problem:
        return replace(finding, status=SKIPPED, actual="not assessed: %s" % seen.problem)
    if not seen.waiting:
        return finding
    told = "; ".join("%s %s -> %s" % one for one in seen.waiting)
    return replace(
        finding,
        status=SKIPPED,
        actual="left to a person: %s" % told,
        hint="`fwupdmgr refresh`, `fwupdmgr upgrade`, reboot; one node at a time.",
    )
