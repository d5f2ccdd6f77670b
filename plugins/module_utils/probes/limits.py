# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The limits of login sessions, as pam_limits reads them from its files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_UNLIMITED = ("unlimited", "infinity", "-1")


@dataclass(frozen=True)
class Limit:
    """What holds for everybody who has no line of his own, and the file that says so."""

    value: float
    path: str

    def __str__(self) -> str:
        return "%s in %s" % (shown(self.value), self.path)


def parse_value(text: str) -> float:
    """math.inf for unlimited; raises ValueError for what is no limit."""
    if text in _UNLIMITED:
        return math.inf
    value = int(text)
    if value < 0:
        raise ValueError("expected unlimited or a number, found %r" % text)
    return value


def shown(value: float) -> str:
    return "unlimited" if value == math.inf else "%d" % value


def effective(files: Sequence[tuple[str, str]], item: str) -> dict[str, Limit]:
    """soft and hard, as far as they are set; files: (path, text), limits.conf first.

    Only the lines for everybody (*) count; root is not everybody, and users with lines of their
    own do as those say.
    """
    limits = {}
    for path, text in files:
        for line in text.splitlines():
            words = line.split("#", 1)[0].split()
            if len(words) != 4 or words[0] != "*" or words[2] != item:
                continue
            try:
                value = parse_value(words[3])
            except ValueError:
                continue
            for kind in ("soft", "hard"):
                if words[1] in (kind, "-"):
                    limits[kind] = Limit(value, path)
    return limits
