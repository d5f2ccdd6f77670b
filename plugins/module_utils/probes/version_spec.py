# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Version specifications: `13.0`, `>=13.0`, `>=12.9,<14`, `!=6.17.0-1008`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

_CLAUSE = re.compile(r"\s*(?P<sign>>=|<=|==|!=|>|<|)\s*(?P<version>[0-9][0-9A-Za-z.+~_-]*)\s*")


@dataclass(frozen=True)
class VersionSpec:
    """One or several conditions that all have to hold; text is the original.

    A version alone, or after ==, means that one and everything more precise: 13.0 takes 13.0.88.
    """

    text: str
    clauses: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> VersionSpec:
        """Raises ValueError for an invalid text. An empty one accepts every version."""
        clauses = []
        for part in text.split(",") if text.strip() else ():
            match = _CLAUSE.fullmatch(part)
            if not match:
                raise ValueError("expected versions as 13.0, >=13.0 or >=12.9,<14, found %r" % text)
            clauses.append((match["sign"] or "==", match["version"]))
        return cls(text.strip(), tuple(clauses))

    def matches(self, version: str) -> bool:
        """Whether a version matches; an empty (unknown) version does not."""
        if not version:
            return not self.clauses
        return all(_holds(sign, version, wanted) for sign, wanted in self.clauses)

    def __str__(self) -> str:
        return self.text or "any"


def key(version: str) -> tuple[tuple[int, str], ...]:
    """For comparing: the numbers of a version in order, text between them after any number."""
    parts = re.findall(r"\d+|[A-Za-z]+", version)
    return tuple((int(part), "") if foreign.is_whole(part) else (-1, part) for part in parts)


def _holds(sign: str, version: str, wanted: str) -> bool:
    have, want = key(version), key(wanted)
    # 13.0 and 13.0.0 are the same; 13 is less than 13.0.1.
    width = max(len(have), len(want))
    padded_have, padded_want = _padded(have, width), _padded(want, width)
    if sign in ("==", "!="):
        return (_padded(have, len(want))[: len(want)] == want) == (sign == "==")
    if sign == ">=":
        return padded_have >= padded_want
    if sign == "<":
        return padded_have < padded_want
    more_precise = _padded(have, len(want))[: len(want)] == want
    if sign == "<=":
        return padded_have <= padded_want or more_precise
    return padded_have > padded_want and not more_precise


def _padded(parts: tuple[tuple[int, str], ...], width: int) -> tuple[tuple[int, str], ...]:
    return parts + ((0, ""),) * (width - len(parts))
