# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Kernel, boot command line, memory and swap, from /proc. Needs no root."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

# Kernels 7 and newer have Kexec Handover; whether it is on by default is a choice of their build.
# These builds reserve 9.3 GiB for it (NVIDIA/NV-Kernels PR 590).
_HANDOVER_KERNELS = ("7.0.0-1019-",)
_FIRST_MAJOR = 7
_BUILD = re.compile(r"^CONFIG_KEXEC_HANDOVER_ENABLE_DEFAULT=y$", re.MULTILINE)


@dataclass(frozen=True)
class Swap:
    """A swap area in use; size in KiB."""

    path: str
    kind: str
    size: int


def parse_swaps(text: str) -> tuple[Swap, ...]:
    """The lines of /proc/swaps after its heading; \\040 stands for a space there."""
    swaps = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) >= 3 and foreign.is_whole(words[2]):
            path = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), words[0])
            swaps.append(Swap(path, words[1], int(words[2])))
    return tuple(swaps)


def handover_by_default(release: str, build: str | None) -> bool | None:
    """Whether this kernel has Kexec Handover on unless its command line says `kho=off`.

    build: the text of /boot/config-RELEASE, None if it cannot be read. None: it is not known.
    """
    if build:
        return bool(_BUILD.search(build))
    if release.startswith(_HANDOVER_KERNELS):
        return True
    major = release.partition(".")[0]
    known = foreign.is_whole(major)
    return None if not known or int(major) >= _FIRST_MAJOR else False


def handover_on_command_line(command_line: str) -> bool | None:
    """What `kho=` says there; the last one counts, as for every kernel parameter. None: nothing."""
    values = [word[len("kho=") :] for word in command_line.split() if word.startswith("kho=")]
    return values[-1] not in ("off", "0", "n", "N") if values else None


def boots_without_handover(grub: str) -> bool:
    """Whether every entry of a generated grub.cfg starts its kernel with `kho=off`."""
    entries = [line for line in grub.splitlines() if line.split()[:1] == ["linux"]]
    return bool(entries) and all(handover_on_command_line(line) is False for line in entries)


_COMMAND_LINES = ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT")


def overruling_grub(later: Sequence[tuple[str, str]]) -> str:
    """The file of these that takes `kho=off` from a command line set before; empty for none.

    later is (path, text) in the order in which the shell of grub-mkconfig reads them. Of its lines
    the assignments count: a value without the former one replaces it, and one of
    GRUB_CMDLINE_LINUX_DEFAULT comes after that of GRUB_CMDLINE_LINUX.
    """
    by = {}
    for path, text in later:
        for name, value in _assigned(text):
            said = handover_on_command_line(value)
            extends = re.search(r"\$\{?%s\b" % name, value) is not None
            lost = said if said is not None else name == "GRUB_CMDLINE_LINUX" and not extends
            if lost:
                by[name] = path
            elif said is False or not extends:
                by.pop(name, None)
    return next((by[name] for name in reversed(_COMMAND_LINES) if name in by), "")


def _assigned(text: str) -> list[tuple[str, str]]:
    """The assignments of the command lines in a piece of shell; others are left out."""
    pairs = []
    for line in text.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        for word in words:
            name, equals, value = word.partition("=")
            added = name.endswith("+")
            if equals and name.rstrip("+") in _COMMAND_LINES:
                name = name.rstrip("+")
                pairs.append((name, "$%s %s" % (name, value) if added else value))
    return pairs


def handover_memory(meminfo: Mapping[str, int]) -> int:
    """KiB of the handover's memory that are free at this moment; 0 if none is visible.

    The kernel releases it as contiguous memory that it never counted in CmaTotal. What is in use
    is not visible at all: 0 proves nothing.
    """
    return max(0, meminfo.get("CmaFree", 0) - meminfo.get("CmaTotal", 0))


def fstab_swaps(text: str) -> list[tuple[int, str]]:
    """(1-based number, line) of the lines of an fstab that bring swap up at boot."""
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if len(words) < 3 or words[0].startswith("#") or words[2] != "swap":
            continue
        if "noauto" not in (words[3] if len(words) > 3 else "").split(","):
            lines.append((number, line))
    return lines
