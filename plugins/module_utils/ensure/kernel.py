# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Kernel, boot command line, swap and sysctl settings, and known problems of the GB10 there."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import Command
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.file_findings import (
    Judged,
    blocked_by,
    own_file,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import Spec
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.kernel_log import judge_log
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    COMMENT,
    FileWrite,
    OwnFile,
    locked,
    obstacle_to,
    real_file,
    replace_file,
)
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
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.boot_module import (
    newest_release,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.kernel import (
    Swap,
    boots_without_handover,
    fstab_swaps,
    handover_by_default,
    handover_memory,
    handover_on_command_line,
    overruling_grub,
    parse_swaps,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.kernel_log import (
    CONTAINER,
    KernelEvent,
    ask_kernel_log,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.meminfo import parse_meminfo
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.swap_units import (
    GENERATORS,
    SwapSource,
    swap_sources,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.sysctl import (
    SYSCTL_FOLDERS,
    SYSCTL_MAIN,
    last_words,
    later_sysctl_files,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import ROOTS, UNIT_ROOTS
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.version_spec import VersionSpec

# Kernels that are known to fail on a GB10: start of the release -> reason.
BAD_KERNELS: Mapping[str, str] = {
    "6.17.0-1008-": "panics when it starts the GPU (Failed to query NVIDIA devices)",
}

GRUB_TEXT = COMMENT + (
    "# Kexec Handover reserves 9.5 GiB, and no memory can be pinned for RDMA: NCCL fails\n"
    "# between nodes with `ibv_reg_mr_iova2 failed with error Cannot allocate memory`.\n"
    'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX kho=off"\n'
)

_FSTAB_MARK = "# off by dgxspark.suite: "
_KEY = re.compile(r"[a-z0-9_-]+(\.[A-Za-z0-9_:@-]+)+")
_UPDATE_SECONDS = 300.0


@dataclass(frozen=True)
class Wanted:
    """The module's parameters. kernel is a version spec; swap is any, off or present."""

    kernel: str
    swap: str
    sysctls: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Raises ValueError, naming the parameter, for an invalid value."""
        try:
            VersionSpec.parse(self.kernel)
        except ValueError as error:
            raise ValueError("kernel: %s" % error) from error
        for name, value in self.sysctls.items():
            if not _KEY.fullmatch(name):
                raise ValueError("sysctls: expected a name such as vm.swappiness, found %r" % name)
            if not isinstance(value, (str, int)) or "\n" in str(value) or not str(value).strip():
                raise ValueError("sysctls: %s: expected a value, found %r" % (name, value))

    @property
    def sysctl_text(self) -> str | None:
        """The file for sysctl.d; None if it should not exist."""
        if not self.sysctls:
            return None
        lines = ["%s = %s\n" % (key, value) for key, value in sorted(self.sysctls.items())]
        return COMMENT + "".join(lines)


@dataclass(frozen=True)
class Places:
    """The paths that are read."""

    proc: str = "/proc"
    fstab: str = "/etc/fstab"
    grub_file: str = "/etc/default/grub.d/90-dgxspark.cfg"
    generated_grub: str = "/boot/grub/grub.cfg"
    sysctl_file: str = "/etc/sysctl.d/90-dgxspark.conf"
    reboot_file: str = "/run/reboot-required.pkgs"
    update_grub: str | None = None  # searched if None
    sysctl: str | None = None
    swapoff: str | None = None
    journalctl: str | None = None
    container: str = CONTAINER
    boot: str = "/boot"
    sysctl_folders: tuple[str, ...] = SYSCTL_FOLDERS
    sysctl_main: str = SYSCTL_MAIN
    units: tuple[str, ...] = UNIT_ROOTS
    systemd: tuple[str, ...] = ROOTS
    generators: tuple[str, ...] = GENERATORS


@dataclass(frozen=True)
class SysctlSetting:
    """A kernel setting; value is None if the kernel does not know it."""

    value: str | None
    writable: bool = True


@dataclass(frozen=True)
class Observed:
    """The input of the plan. generated_grub is None if it cannot be read.

    handover: installed kernel -> whether it has Kexec Handover on by default, None if unknown; the
    running kernel first, then the newest one, which boots next. later_sysctls and later_grub are
    (path, text) of the files that are read after ours. swap_sources are those beside fstab.
    log is (the kernel's messages, why they are not known), now the time in seconds since 1970.
    """

    places: Places
    release: str
    command_line: str
    meminfo: Mapping[str, int]
    swaps: tuple[Swap, ...]
    fstab: str | None
    grub_file: OwnFile | Blocked
    generated_grub: str | None
    sysctl_file: OwnFile | Blocked
    settings: Mapping[str, SysctlSetting] = field(default_factory=dict)
    reboot_packages: tuple[str, ...] = ()
    fstab_obstacle: Blocked | None = None
    handover: Mapping[str, bool | None] = field(default_factory=dict)
    later_sysctls: tuple[tuple[str, str], ...] = ()
    later_grub: tuple[tuple[str, str], ...] = ()
    swap_sources: tuple[SwapSource, ...] = ()
    log: tuple[tuple[KernelEvent, ...], str] = ((), "")
    now: float = 0.0


def observe(wanted: Wanted, places: Places | None = None) -> Observed:
    """Read the node. Changes nothing."""
    at = places or Places()
    at = replace(
        at,
        update_grub=find_tool("update-grub") if at.update_grub is None else at.update_grub,
        sysctl=find_tool("sysctl") if at.sysctl is None else at.sysctl,
        swapoff=find_tool("swapoff") if at.swapoff is None else at.swapoff,
    )
    release = (read_text(at.proc + "/sys/kernel/osrelease") or "").strip()
    return Observed(
        at,
        release,
        (read_text(at.proc + "/cmdline") or "").strip(),
        parse_meminfo(read_text(at.proc + "/meminfo") or ""),
        parse_swaps(read_text(at.proc + "/swaps") or ""),
        read_text(at.fstab, errors="surrogateescape"),
        own_file(at.grub_file),
        read_text(at.generated_grub),
        own_file(at.sysctl_file),
        {key: _setting(at.proc, key) for key in wanted.sysctls},
        tuple(sorted(set((read_text(at.reboot_file) or "").split()))),
        obstacle_to(at.fstab),
        {name: _handover(at.boot, name) for name in (release, newest_release(at.boot) or release)},
        later_sysctl_files(at.sysctl_file, at.sysctl_folders, at.sysctl_main),
        later_files(at.grub_file),
        swap_sources(at.units, at.systemd, at.generators),
        ask_kernel_log(
            find_tool("journalctl") if at.journalctl is None else at.journalctl,
            container=at.container,
        ),
        time.time(),
    )


def _handover(boot: str, release: str) -> bool | None:
    return handover_by_default(release, read_text(os.path.join(boot, "config-" + release)))


def _setting(proc: str, key: str) -> SysctlSetting:
    path = os.path.join(proc, "sys", *key.split("."))
    value = read_text(path)
    return SysctlSetting(
        None if value is None else " ".join(value.split()), os.access(path, os.W_OK)
    )


@dataclass(frozen=True)
class FstabEdit:
    """Comment out the swap lines of an fstab; all other lines stay unchanged."""

    path: str
    text: str
    repairs: tuple[str, ...] = ("swap_at_boot",)

    @property
    def subject(self) -> str:
        return self.path

    @property
    def before(self) -> str:
        return "".join(line + "\n" for _number, line in fstab_swaps(self.text))

    @property
    def after(self) -> str:
        return "".join("%s%s\n" % (_FSTAB_MARK, line) for _number, line in fstab_swaps(self.text))

    def apply(self) -> None:
        """Raises OSError, and then nothing has changed."""
        with locked(os.path.dirname(self.path)):
            text = read_text(self.path, errors="surrogateescape") or ""
            lines = text.splitlines(True)
            for number, _line in fstab_swaps(text):
                lines[number - 1] = _FSTAB_MARK + lines[number - 1]
            path = real_file(self.path)
            status = os.stat(path)
            data = "".join(lines).encode("utf-8", "surrogateescape")
            replace_file(path, data, status.st_mode & 0o7777, status.st_uid)


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings and actions for an observation. Pure."""
    judged = [
        _version(observed, wanted),
        _handover_at_boot(observed),
        _handover_now(observed),
        _swap_now(observed, wanted),
        _swap_at_boot(observed, wanted),
        _swap_units(observed, wanted),
        _sysctl_file(observed, wanted),
        _sysctl_values(observed, wanted),
        _sysctl_at_boot(observed, wanted),
    ]
    log = judge_log(*observed.log, observed.now)
    findings = (*(finding for finding, _actions in judged), *log)
    actions = tuple(action for _finding, some in judged for action in some)
    return Plan(findings, actions, facts=_facts(observed), parity={"kernel": observed.release})


def _facts(observed: Observed) -> dict[str, Any]:
    return {
        "kernel": observed.release,
        "command_line": observed.command_line,
        "memory_kib": dict(sorted(observed.meminfo.items())),
        "swaps": [
            {"path": swap.path, "kind": swap.kind, "kib": swap.size} for swap in observed.swaps
        ],
        "reboot_packages": list(observed.reboot_packages),
    }


def _version(observed: Observed, wanted: Wanted) -> Judged:
    spec = VersionSpec.parse(wanted.kernel)
    expected = "a kernel without known problems on a GB10"
    if spec.clauses:
        expected += ", version %s" % spec
    finding = Finding("kernel_version", OK, expected, observed.release or "unknown")
    hint = "Install another kernel by the official update, reboot, and run again."
    reason = next(
        (why for name, why in BAD_KERNELS.items() if observed.release.startswith(name)), ""
    )
    if reason:
        actual = "%s: %s" % (observed.release, reason)
        return replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=hint), ()
    if not spec.matches(observed.release):
        return replace(finding, status=BLOCKED, severity=WARNING, hint=hint), ()
    return finding, ()


def _handover_at_boot(observed: Observed) -> Judged:
    """The next boot: judged by kernel, build and boot loader; memory only adds certainty."""
    expected = "kho=off on the command line of a kernel with Kexec Handover on by default"
    trapped = _trapped(observed)
    unknown = [name for name, state in observed.handover.items() if state is None]
    names = ", ".join(observed.handover)
    finding = Finding("kho_at_boot", OK, expected, "%s: off by default" % names)
    generated, path = observed.generated_grub, observed.places.grub_file
    rival = overruling_grub(observed.later_grub) if trapped else ""
    if rival:
        actual = "%s is read after %s and takes kho=off away at the next update-grub"
        hint = "Let it add to $GRUB_CMDLINE_LINUX, or set kho=off there; then run again."
        finding = replace(finding, severity=CRITICAL, actual=actual % (rival, path))
        return replace(finding, status=BLOCKED, hint=hint), ()
    if generated is not None and boots_without_handover(generated):
        return replace(finding, actual="kho=off in %s" % observed.places.generated_grub), ()
    if not trapped:
        return _unknown(finding, unknown) if unknown else finding, ()
    file = observed.grub_file
    written = isinstance(file, OwnFile) and not file.differs(GRUB_TEXT, 0o644)
    if written and generated is None:
        return replace(finding, actual="kho=off in %s" % path), ()
    finding = replace(
        finding,
        status=DRIFT,
        severity=CRITICAL,
        actual="%s: on by default, and the boot loader does not set kho=off" % ", ".join(trapped),
        fix="write %s and run update-grub (effective at the next boot)" % path,
        hint="Reboot afterwards.",
    )
    if isinstance(file, Blocked):
        return blocked_by(finding, file), ()
    if file.obstacle:
        return blocked_by(finding, file.obstacle), ()
    tool = observed.places.update_grub
    if not tool:
        hint = "Add kho=off to the kernel command line in the configuration of this boot loader."
        return blocked_by(finding, Blocked("update-grub is not installed", hint)), ()
    repairs = ("kho_at_boot",)
    update = Command(
        observed.places.generated_grub,
        (tool,),
        "",
        "generated by update-grub, with kho=off\n",
        repairs,
        timeout=_UPDATE_SECONDS,
    )
    write = () if written else (FileWrite(file, GRUB_TEXT, 0o644, repairs),)
    return finding, (*write, update)


def _trapped(observed: Observed) -> list[str]:
    """The kernels whose next boot has Kexec Handover on, unless the boot loader turns it off."""
    running = observed.release
    # Memory that is reserved now proves it for the running kernel, whatever is known of its build.
    proven = bool(handover_memory(observed.meminfo)) and _may_hand_over(observed)
    return [
        name
        for name, state in observed.handover.items()
        if state or (name == running and proven and state is None)
    ]


def _may_hand_over(observed: Observed) -> bool:
    """Whether the running kernel can have Kexec Handover on."""
    said = handover_on_command_line(observed.command_line)
    default = observed.handover.get(observed.release)
    return default is not False if said is None else said


def _unknown(finding: Finding, releases: list[str]) -> Finding:
    reason = "not known of %s: its /boot/config file cannot be read" % ", ".join(releases)
    hint = "Look for CONFIG_KEXEC_HANDOVER_ENABLE_DEFAULT in the kernel's configuration."
    return replace(finding, status=SKIPPED, actual=reason, hint=hint)


def _handover_now(observed: Observed) -> Judged:
    expected = "no memory reserved by Kexec Handover, which could not be pinned for RDMA"
    finding = Finding("kho_now", OK, expected, "as expected")
    if not _may_hand_over(observed):
        return finding, ()
    visible = handover_memory(observed.meminfo)
    if not visible:
        reason = "no reserved memory is free at the moment, which proves nothing: see kho_at_boot"
        return replace(finding, status=SKIPPED, actual=reason), ()
    actual = "memory is reserved, %.1f GiB of it free: NCCL between nodes fails with %s"
    return replace(
        finding,
        status=BLOCKED,
        severity=CRITICAL,
        actual=actual % (visible / (1 << 20), "Cannot allocate memory"),
        hint="Reboot with kho=off (see kho_at_boot), or boot the installed 6.17 kernel.",
    ), ()


def _swap_now(observed: Observed, wanted: Wanted) -> Judged:
    areas = ["%s (%.1f GiB)" % (swap.path, swap.size / (1 << 20)) for swap in observed.swaps]
    actual = ", ".join(areas) or "no swap"
    finding = Finding("swap_now", OK, _SWAP[wanted.swap], actual)
    if wanted.swap == "present" and not observed.swaps:
        hint = "Create one: fallocate -l 16G /swapfile, chmod 600, mkswap, swapon, a line in fstab."
        return replace(finding, status=BLOCKED, severity=WARNING, hint=hint), ()
    if wanted.swap != "off" or not observed.swaps:
        return finding, ()
    tool = observed.places.swapoff
    if not tool:
        return blocked_by(finding, Blocked("swapoff is not installed", "Install util-linux.")), ()
    actions = tuple(
        Command(
            "swap %s" % swap.path,
            (tool, swap.path),
            "in use, %d KiB\n" % swap.size,
            "not in use\n",
            ("swap_now",),
            timeout=_UPDATE_SECONDS,
            hint="Stop the running model, so that the swapped pages fit into memory.",
        )
        for swap in observed.swaps
    )
    return replace(finding, status=DRIFT, severity=WARNING, fix="swapoff"), actions


_SWAP = {"any": "with or without swap", "off": "no swap", "present": "a swap area"}


def _swap_at_boot(observed: Observed, wanted: Wanted) -> Judged:
    lines = fstab_swaps(observed.fstab or "")
    path = observed.places.fstab
    expected = "no swap in %s" % path if wanted.swap == "off" else "with or without swap"
    actual = "; ".join("line %d: %s" % line for line in lines) or "no swap in %s" % path
    finding = Finding("swap_at_boot", OK, expected, actual)
    if wanted.swap != "off" or not lines:
        return finding, ()
    fix = "comment out these lines of %s" % path
    finding = replace(finding, status=DRIFT, severity=WARNING, fix=fix)
    if observed.fstab_obstacle:
        return blocked_by(finding, observed.fstab_obstacle), ()
    return finding, (FstabEdit(path, observed.fstab or ""),)


def _swap_units(observed: Observed, wanted: Wanted) -> Judged:
    """Swap at the next boot beside fstab: a unit or a generator of systemd."""
    sources = observed.swap_sources
    expected = _SWAP[wanted.swap] + " by a unit or generator of systemd"
    actual = "; ".join(str(source) for source in sources) or "none"
    finding = Finding("swap_units", OK, expected, actual)
    if wanted.swap == "off" and sources:
        hint = "Run %s: it brings swap up at the next boot."
        hint %= " and ".join("`%s`" % source.remedy for source in sources)
        return replace(finding, status=BLOCKED, severity=WARNING, hint=hint), ()
    if wanted.swap != "present":
        return finding, ()
    finding = replace(finding, expected="a line of %s or a unit" % observed.places.fstab)
    if sources or fstab_swaps(observed.fstab or "") or not observed.swaps:
        return finding, ()
    areas = " and ".join(swap.path for swap in observed.swaps)
    actual = "%s is in use now, and nothing brings it up at the next boot" % areas
    hint = "Add to %s: %s none swap sw 0 0" % (observed.places.fstab, observed.swaps[0].path)
    return replace(finding, status=BLOCKED, severity=WARNING, actual=actual, hint=hint), ()


def _sysctl_file(observed: Observed, wanted: Wanted) -> Judged:
    path, text, file = observed.places.sysctl_file, wanted.sysctl_text, observed.sysctl_file
    expected = "%s with the configured settings" % path if text else "no %s" % path
    if isinstance(file, Blocked):
        if text is None:
            return Finding("sysctl_file", OK, expected, str(file)), ()
        return blocked_by(Finding("sysctl_file", BLOCKED, expected, str(file), WARNING), file), ()
    differs = file.differs(text, 0o644)
    finding = Finding("sysctl_file", OK, expected, "as expected")
    if not differs:
        return finding, ()
    fix = "write %s" % path if text else "remove %s" % path
    finding = replace(finding, status=DRIFT, severity=WARNING, actual=differs, fix=fix)
    if file.obstacle:
        return blocked_by(finding, file.obstacle), ()
    return finding, (FileWrite(file, text, 0o644, ("sysctl_file",)),)


def _sysctl_values(observed: Observed, wanted: Wanted) -> Judged:
    wants = {key: " ".join(str(value).split()) for key, value in sorted(wanted.sysctls.items())}
    expected = ", ".join("%s = %s" % pair for pair in wants.items()) or "not managed"
    settings = observed.settings
    wrong = {key: settings[key] for key in wants if settings[key].value != wants[key]}
    finding = Finding("sysctl_values", OK, expected, "as expected" if wants else "not managed")
    if not wrong:
        return finding, ()
    actual = ", ".join(
        "%s = %s" % (key, "unknown to this kernel" if pair.value is None else pair.value)
        for key, pair in wrong.items()
    )
    finding = replace(finding, status=DRIFT, severity=WARNING, actual=actual, fix="set them now")
    stuck = [key for key, pair in wrong.items() if pair.value is None or not pair.writable]
    obstacle = None
    if stuck:
        obstacle = Blocked(
            "%s cannot be set here" % ", ".join(stuck),
            "Unknown to this kernel, or not permitted: run as root (become), not in a container.",
        )
    elif not observed.places.sysctl:
        obstacle = Blocked("sysctl is not installed", "Install procps.")
    if obstacle:
        return blocked_by(finding, obstacle), ()
    argv = (observed.places.sysctl or "", "-w", *("%s=%s" % (key, wants[key]) for key in wrong))
    before = "".join("%s = %s\n" % (key, pair.value) for key, pair in wrong.items())
    after = "".join("%s = %s\n" % (key, wants[key]) for key in wrong)
    return finding, (Command("sysctl", argv, before, after, ("sysctl_values",)),)


def _sysctl_at_boot(observed: Observed, wanted: Wanted) -> Judged:
    """The next boot: a file that is read after ours wins, whatever holds now."""
    path = observed.places.sysctl_file
    wants = {key: " ".join(str(value).split()) for key, value in sorted(wanted.sysctls.items())}
    expected = "no file that is read after %s sets another value" % path
    finding = Finding("sysctl_at_boot", OK, expected, "as expected")
    if not wants:
        return replace(finding, expected="not managed", actual="not managed"), ()
    rivals = {
        key: word
        for key, word in last_words(observed.later_sysctls).items()
        if key in wants and word[0] != wants[key]
    }
    if not rivals:
        return finding, ()
    actual = "; ".join(
        "%s sets %s = %s and is read after %s" % (by, key, value, path)
        for key, (value, by) in rivals.items()
    )
    hint = "Change it there, or set the value that holds in sysctls (dgxspark_kernel_sysctls)."
    return replace(finding, status=BLOCKED, severity=WARNING, actual=actual, hint=hint), ()


SPEC = Spec(
    name="kernel",
    options={
        "kernel": {"type": "str", "default": ""},
        "swap": {"type": "str", "choices": ["any", "off", "present"], "default": "any"},
        "sysctls": {"type": "dict", "default": {}},
    },
    wanted=Wanted,
    observe=observe,
    plan=plan,
)
