# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What the kernel's messages mean for a node that serves, and what ends each of them. Pure."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    OK,
    SKIPPED,
    WARNING,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.kernel_log import (
    CARD,
    CUDA,
    GPU,
    LINK,
    MEMORY,
    OOM,
    STORAGE,
    THERMAL,
    KernelEvent,
    of_kind,
)

# Events that are older than this are reported, and are no fault any more: in seconds.
RECENT_SECONDS = 24 * 3600
# A cable that is plugged takes the link down a few times.
_FLAPS = 5
# Errors that NVIDIA's Xid catalogue ascribes to a program: the GPU goes on.
_OF_PROGRAMS = ("13", "31", "43", "45", "94")


@dataclass(frozen=True)
class Meaning:
    """What a kind of event means. lasts: its effect stays until a reboot, however old it is."""

    kind: str
    check: str
    name: str
    hint: str
    severity: str = WARNING
    lasts: bool = False
    fewest: int = 1


MEANINGS = (
    Meaning(
        GPU,
        "kernel_log_gpu",
        "errors of the GPU or its driver (Xid)",
        "Reboot the node. If it comes again, see the number in NVIDIA's list of Xid errors.",
        CRITICAL,
        lasts=True,
    ),
    Meaning(
        MEMORY,
        "kernel_log_gpu_memory",
        "allocations of the driver that failed (NV_ERR_NO_MEMORY)",
        "The node may hang: stop the model, give it less memory (gpu_memory_utilization). Memory"
        " that stays lost after the stop returns with a reboot.",
        CRITICAL,
        lasts=True,
    ),
    Meaning(
        CUDA,
        "kernel_log_gpu_start",
        "a GPU that does not start (0xbadf5600)",
        "Reboot the node; it need not be powered off.",
        CRITICAL,
        lasts=True,
    ),
    Meaning(
        CARD,
        "kernel_log_card",
        "fatal errors of a PCIe device (AER) or of the ConnectX-7",
        "Reboot the node, and not the engine alone: the card does not recover.",
        CRITICAL,
        lasts=True,
    ),
    Meaning(
        LINK,
        "kernel_log_link",
        "lost links of the ConnectX-7",
        "Check the cable and that it is fully plugged in, at both nodes.",
        fewest=_FLAPS,
    ),
    Meaning(
        THERMAL,
        "kernel_log_thermal",
        "temperatures above the limit",
        "Check the air flow and the room, and that nothing covers the node.",
    ),
    Meaning(
        OOM,
        "kernel_log_oom",
        "processes that the kernel has killed for memory",
        "Give the model less memory, or stop what runs beside it. See oom_daemon: it should act"
        " before the kernel does.",
    ),
    Meaning(
        STORAGE,
        "kernel_log_storage",
        "errors of a disk or a file system",
        "Save what matters, then check the disk: `smartctl -a`, `nvme smart-log`, fsck at boot.",
        CRITICAL,
        lasts=True,
    ),
)


def judge_log(events: Sequence[KernelEvent], problem: str, now: float) -> tuple[Finding, ...]:
    """A finding for each kind; problem is why the kernel's messages are not known."""
    return tuple(_judge(of_kind(events, each.kind), problem, now, each) for each in MEANINGS)


def complaints(events: Sequence[KernelEvent], now: float) -> list[dict[str, str]]:
    """check, message and hint of what is a fault, for people; empty for a healthy node."""
    findings = judge_log(events, "", now)
    return [
        {
            "check": finding.check,
            "message": "%s: %s" % (meaning.name, finding.actual),
            "hint": finding.hint,
        }
        for meaning, finding in zip(MEANINGS, findings)
        if finding.status == BLOCKED
    ]


def recent(events: Sequence[KernelEvent], since: float) -> list[str]:
    """What was reported since that time, of every kind, for a failure of that time."""
    late = [event for event in events if event.time >= since]
    found = [(meaning, of_kind(late, meaning.kind)) for meaning in MEANINGS]
    return [
        "%s: %s, last %s" % (meaning.name, _counted(some), _utc(max(event.time for event in some)))
        for meaning, some in found
        if some
    ]


def _judge(events: Sequence[KernelEvent], problem: str, now: float, meaning: Meaning) -> Finding:
    finding = Finding(meaning.check, OK, "no %s since the node started" % meaning.name, "none")
    if problem:
        return replace(finding, status=SKIPPED, actual="not assessed: %s" % problem)
    if not events:
        return finding
    last = max(event.time for event in events)
    finding = replace(finding, actual="%s, last %s" % (_counted(events), _utc(last)))
    of_programs = meaning.kind == GPU and all(event.what in _OF_PROGRAMS for event in events)
    if of_programs:
        return replace(finding, actual="%s: errors of a program" % finding.actual)
    over = not meaning.lasts and now - last > RECENT_SECONDS
    if over or len(events) < meaning.fewest:
        return finding
    return replace(finding, status=BLOCKED, severity=meaning.severity, hint=meaning.hint)


def _counted(events: Sequence[KernelEvent]) -> str:
    """3 (79: 2, 119: 1), with what they name."""
    names = Counter(event.what for event in events if event.what)
    shown = ", ".join("%s: %d" % pair for pair in names.most_common(4))
    return "%d%s" % (len(events), " (%s)" % shown if shown else "")


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
