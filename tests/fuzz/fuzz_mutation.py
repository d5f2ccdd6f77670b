# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged copies of valid text and valid documents, the same for the same random numbers."""

from __future__ import annotations

import copy
import random
import re
from typing import Any

# What parsers are likely to mistake for something else.
FRAGMENTS = (
    *("\0", "\r", "\r\n", "\n\n", "\t", "\x0b", "\x1b[2J", "\x1c", "\x85", "\u2028", "\ufeff"),
    *("0", "-1", "1e999", "NaN", "Infinity", "0x", "1_0", "9" * 25, "1" * 5000, "0" * 300 + "1"),
    *("²", "\u0661", "\u2162", "\U0001d7d8", "é", "ß", "\u0130", "\U0001f600"),
    *("{", "}", "[", "]", "<", ">", "(", ")", '"', "'", "\\", "`", "$", "%", "%s", "%%", "*", "?"),
    *(":", "::", ",", ";", "=", "==", "#", "~", "&a", "*a", "|", "!", "@", "^", "-", "--", "---"),
    *("..", "../..", "/", "//", "{x}", "{{x}}", "$(id)", "null", "true", "none", "yes"),
    *("a" * 4000, " " * 2000, "[" * 2500, '{"a":' * 900, "(" * 500, "\\" * 301),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 10**30, -(10**30), 2**63, 10**400, 0.5, 1e308, -0.0),
    *(float("nan"), float("inf"), "", " ", "x", "0", "-1", "9" * 40, "²", "1e999", "\0", "\n"),
    *("auto", "..", "/", "a/b", "\x1b[2J", "\ud800"),
    *([], {}, [None], [[]], [{}], {"": None}, {"a": 1}, ["x", 1], {"a": {"a": {"a": []}}}),
)
_NUMBER = re.compile(r"\d+")
_MOST = 20_000


class Mutator:
    """Both functions make up to a handful of changes."""

    def __init__(self, numbers: random.Random) -> None:
        self._random = numbers

    def text(self, seed: str) -> str:
        """A damaged copy of a text."""
        text = seed[:_MOST]
        changes = (self._insert, self._remove, self._repeat, self._replace, self._cut, self._lines)
        changes += (self._numbers,)
        for _change in range(self._random.randint(1, 5)):
            text = self._random.choice(changes)(text)
        return text

    def document(self, seed: Any) -> Any:
        """A damaged copy of what JSON or YAML can hold."""
        document = [copy.deepcopy(seed)]
        for _change in range(self._random.randint(1, 4)):
            self._damage(document)
        return document[0]

    def _place(self, text: str) -> int:
        return self._random.randint(0, len(text))

    def _insert(self, text: str) -> str:
        at = self._place(text)
        return text[:at] + self._random.choice(FRAGMENTS) + text[at:]

    def _remove(self, text: str) -> str:
        at = self._place(text)
        return text[:at] + text[at + self._random.randint(1, 30) :]

    def _repeat(self, text: str) -> str:
        at, start = self._place(text), self._place(text)
        return text[:at] + text[start : start + self._random.randint(1, 80)] + text[at:]

    def _replace(self, text: str) -> str:
        at = self._place(text)
        char = chr(self._random.randrange(self._random.choice((256, 0xD800))))
        return text[:at] + char + text[at + 1 :]

    def _cut(self, text: str) -> str:
        return text[: self._place(text)]

    def _lines(self, text: str) -> str:
        lines = text.splitlines(keepends=True)
        self._random.shuffle(lines)
        return "".join(lines)

    def _numbers(self, text: str) -> str:
        others = ("0", "-1", "1.5", "²", "9" * 30, "", "x")
        return _NUMBER.sub(
            lambda match: match[0] if self._random.random() < 0.5 else self._random.choice(others),
            text,
            count=8,
        )

    def _damage(self, document: list[Any]) -> None:
        """Change one value, key or item, at any level."""
        inside: Any = document
        key: Any = 0
        for _level in range(self._random.randint(0, 6)):
            value = inside[key]
            if not isinstance(value, (dict, list)) or not value:
                break
            keys = list(value) if isinstance(value, dict) else range(len(value))
            inside, key = value, self._random.choice(list(keys))
        change = self._random.random()
        if change < 0.6 or inside is document:
            inside[key] = copy.deepcopy(self._random.choice(VALUES))
        elif change < 0.75:
            del inside[key]
        elif change < 0.85 and isinstance(inside[key], str):
            inside[key] = self.text(inside[key])
        elif isinstance(inside, dict):
            inside[self._random.choice(("x", "name", "type", " "))] = inside[key]
        else:
            inside.append(copy.deepcopy(inside[key]))
