# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""/proc/meminfo. On a GB10 memory that the GPU holds counts as used there."""

from __future__ import annotations

import re

from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text

_LINE = re.compile(r"(\S+):\s+(\d{1,18})(?: kB)?", re.ASCII)


def parse_meminfo(text: str) -> dict[str, int]:
    """Name -> KiB (a plain number for HugePages_*)."""
    matches = (_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return {match[1]: int(match[2]) for match in matches if match}


def memory_bytes(name: str, path: str = "/proc/meminfo") -> int:
    """A line such as MemTotal or MemAvailable, in bytes; 0 if it is missing."""
    return parse_meminfo(read_text(path) or "").get(name, 0) * 1024
