# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts as they are compared: without case, accents, invisible characters and line breaks. Pure."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache

# In place of what is not compared any more: half of a character, which no text has.
MASK = "\ud800"
# From so many characters on a value is found inside longer words, too.
INSIDE = 5
# Left out: invisible characters, and accents once they are apart from their letters.
_DROPPED = frozenset({"Cf", "Mn", "Me"})


@lru_cache(maxsize=4096)
def _folded(letter: str) -> str:
    apart = unicodedata.normalize("NFKD", letter).casefold()
    # What casefold makes may have accents again, as of a dotted capital I.
    again = unicodedata.normalize("NFKD", apart)
    return "".join(one for one in again if unicodedata.category(one) not in _DROPPED)


class Folded:
    """A text, and from each place in its folded form the place in it."""

    def __init__(self, text: str) -> None:
        self._size = len(text)
        parts: list[str] = []
        self._places: list[int] = []
        blank = False
        for place, letter in enumerate(text):
            folded = _folded(letter)
            is_blank = letter.isspace() or folded.isspace()
            if is_blank:
                folded = "" if blank else " "
            elif not folded:
                continue
            blank = is_blank
            parts.append(folded)
            self._places += [place] * len(folded)
        self.text = "".join(parts)

    def find(self, value: str) -> Iterator[tuple[int, int]]:
        """Where a folded value is, as (start, end) in the text; occurrences do not overlap."""
        at = self.text.find(value)
        while value and at >= 0:
            end = at + len(value)
            if len(value) >= INSIDE or self._is_word(at, end):
                yield self._span(at, end)
                at = self.text.find(value, end)
            else:
                at = self.text.find(value, at + 1)

    def _is_word(self, at: int, end: int) -> bool:
        before, after = self.text[at - 1 : at] if at else "", self.text[end : end + 1]
        return not (_in_word(before) or _in_word(after))

    def _span(self, at: int, end: int) -> tuple[int, int]:
        """All of the characters of which something is in the folded part, and the dropped ones."""
        start = self._places[at]
        last = self._places[end - 1]
        # A letter may fold into several, of which the value ends in the middle.
        after = bisect_left(self._places, last + 1)
        return start, self._places[after] if after < len(self._places) else self._size


def _in_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def folded(text: str) -> str:
    return Folded(text.strip()).text.strip()
