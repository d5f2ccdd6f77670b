# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What /proc tells of kernel, boot command line, memory and swap. Needs no root."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Kexec Handover keeps some 9.5 GiB apart on the kernels that have it on by default; what else is
# contiguous memory is counted in CmaTotal, so a few MiB of slack tell the two apart.
_HANDOVER_KERNEL = re.compile(r"7\.0\.0-")
_HANDOVER_KIB = 1 << 20


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
        if len(words) >= 3 and words[2].isdigit():
            path = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), words[0])
            swaps.append(Swap(path, words[1], int(words[2])))
    return tuple(swaps)


def handover_is_default(release: str) -> bool:
    """Whether this kernel hands memory over to its successor unless told not to (`kho=off`)."""
    return bool(_HANDOVER_KERNEL.match(release))


def handover_is_off(command_line: str) -> bool:
    """The last word on it counts, as for every kernel parameter."""
    said = [word for word in command_line.split() if word.startswith("kho=")]
    return bool(said) and said[-1] in ("kho=off", "kho=0", "kho=n")


def handover_holds_memory(meminfo: Mapping[str, int]) -> int:
    """KiB that the handover keeps, by which pinning memory for RDMA fails; 0 if it keeps none.

    Its scratch memory is freed as contiguous memory that was never counted as such.
    """
    excess = meminfo.get("CmaFree", 0) - meminfo.get("CmaTotal", 0)
    return excess if excess > _HANDOVER_KIB else 0


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
