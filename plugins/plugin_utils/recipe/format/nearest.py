# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The known name that a misspelt one resembles."""

from __future__ import annotations

import difflib
import itertools
import typing as t

# Comparing takes time by the product of the lengths; names of people are shorter and fewer.
_LONGEST = 64
_MOST = 500


def nearest(name: str, known: t.Iterable[str], n: int = 1, cutoff: float = 0.6) -> list[str]:
    """Up to n of the known names, most similar first; none for a name of more than 64 characters.

    cutoff: how similar they are at least, 0 to 1.
    """
    if len(name) > _LONGEST:
        return []
    short = itertools.islice((other for other in known if len(other) <= _LONGEST), _MOST)
    return difflib.get_close_matches(name, list(short), n=n, cutoff=cutoff)
