# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What the kernel has reported since it started, from the journal.

The texts are those of the kernel (mm/oom_kill.c, drivers/net/ethernet/mellanox/mlx5, fs) and of
NVIDIA's open kernel modules (NVRM: Xid, NV_ERR_NO_MEMORY).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import Result, run

GPU, MEMORY, CUDA = "gpu", "gpu_memory", "gpu_start"
LINK, CARD, THERMAL, OOM, STORAGE = "link", "card", "thermal", "oom", "storage"

# Systemd writes it where it runs in a container.
CONTAINER = "/run/systemd/container"

# Kind of an event -> its text. The first that matches counts.
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (GPU, re.compile(r"NVRM: Xid \([^)]*\): (?P<what>\d+)")),
    (MEMORY, re.compile(r"NVRM: .*(?:NV_ERR_NO_MEMORY|_memdescAllocInternal)")),
    (CUDA, re.compile(r"NVRM: .*0xbadf5600")),
    (CARD, re.compile(r"mlx5_pci_slot_reset|mlx5_core .*(?:device's health compromised|fatal)")),
    (CARD, re.compile(r"AER: .*(?:Uncorrect\w+ \(Fatal\)|severity=Uncorrect\w+ \(Fatal\))")),
    (LINK, re.compile(r"mlx5_core \S+ (?P<what>[A-Za-z]\S*): Link down")),
    (THERMAL, re.compile(r"critical temperature reached|[Tt]emperature above threshold")),
    (OOM, re.compile(r"[Oo]ut of memory: Killed process \d+ \((?P<what>[^)]*)\)")),
    (STORAGE, re.compile(r"EXT4-fs error|Remounting filesystem read-only|nvme\S* .*is down")),
    (
        STORAGE,
        re.compile(r"XFS \S+: .*(?:Corruption|I/O error)|critical medium error|I/O error, dev"),
    ),
)

_LINE = re.compile(r"^(\d{9,11})(?:\.\d+)? \S+ \S+: (.*)$")
# The newest lines of this boot, which end after this many.
_LINES = 20000
_SECONDS = 15.0
_LIMIT = 8 << 20


@dataclass(frozen=True)
class KernelEvent:
    """A message of the kernel: its kind, seconds since 1970, and what it names."""

    kind: str
    time: int
    what: str = ""


def ask_kernel_log(
    journalctl: str, timeout: float = _SECONDS, container: str = CONTAINER
) -> tuple[tuple[KernelEvent, ...], str]:
    """(events since the start of this kernel, why there is no answer). timeout is in seconds."""
    if os.path.exists(container):
        return (), "this is a container, and the kernel is that of its host"
    if not journalctl:
        return (), "journalctl is not installed"
    options = ("--dmesg", "--boot", "--output=short-unix", "--no-pager", "--quiet")
    lines = "--lines=%d" % _LINES
    return parse_kernel_log(run([journalctl, *options, lines], timeout, limit=_LIMIT))


def parse_kernel_log(result: Result) -> tuple[tuple[KernelEvent, ...], str]:
    """Each boot has first lines: an empty answer is that of a user who may not read."""
    lines = [match for match in map(_LINE.match, result.stdout.splitlines()) if match]
    if not lines:
        if result.ok or "permission" in result.stderr:
            return (), "the journal has nothing for this user (groups adm, systemd-journal)"
        return (), result.describe()
    events = (_event(int(match[1]), match[2]) for match in lines)
    return tuple(event for event in events if event), ""


def _event(time: int, text: str) -> KernelEvent | None:
    for kind, pattern in PATTERNS:
        match = pattern.search(text)
        if match:
            what = match.groupdict().get("what") or ""
            return KernelEvent(kind, time, foreign.line(what))
    return None


def of_kind(events: Sequence[KernelEvent], kind: str) -> tuple[KernelEvent, ...]:
    return tuple(event for event in events if event.kind == kind)
