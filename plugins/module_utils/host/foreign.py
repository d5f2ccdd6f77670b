# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Text that others have written: a peer, a container, an image, any user of a node.

One function each for JSON, numbers, and text that is displayed. Whatever the text is, they return
what their docstring says, or raise Foreign, which is a ValueError.
"""

from __future__ import annotations

import json
import math
import typing as t

# Bytes or characters of a document. The largest that is read is the index of a large model: 10 MB.
LIMIT = 64 << 20
# Levels of lists and objects within each other. Docker's answers have 8.
DEPTH = 64

_DIGITS = 18  # fits into 64 bits
_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\t"), ord("\n")}
# These change the direction of the text around them, or are line ends to some terminals.
_INVISIBLE = {0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_ESCAPES = {
    code: ("\\x%02x" if code < 0x100 else "\\u%04x") % code for code in _CONTROLS | _INVISIBLE
}


class Foreign(ValueError):
    """Text that cannot be used, and why."""


def json_of(text: str | bytes, limit: int = LIMIT, depth: int = DEPTH) -> t.Any:
    """The value of a JSON document.

    Raises Foreign if it is none, is longer than limit, has more than depth levels, or has a number
    that is not finite.
    """
    if len(text) > limit:
        raise Foreign("it is JSON of more than %d bytes" % limit)
    try:
        value = json.loads(text, parse_constant=_constant, parse_float=real)
    except Foreign:
        raise
    except (ValueError, RecursionError, MemoryError) as error:
        raise Foreign(
            "it is not JSON: %s" % shown(str(error) or type(error).__name__)[:100]
        ) from None
    opening = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    if sum(map(text.count, opening)) > depth:  # type: ignore[arg-type]
        _measure(value, depth)
    return value


def _constant(name: str) -> t.NoReturn:
    raise Foreign("it is not JSON: %s is not a number" % name)


def _measure(value: object, depth: int) -> None:
    level = [value]
    for _level in range(depth + 1):
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        if not inner:
            return
        level = inner
    raise Foreign("it is JSON of more than %d levels" % depth)


def is_whole(text: str) -> bool:
    """Whether the text is a whole number of ASCII digits that fits into 64 bits: "0", "17"."""
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def whole(text: str) -> int:
    """The number that the text is; surrounding blanks are allowed. Raises Foreign."""
    text = text.strip()
    if not is_whole(text):
        raise Foreign("%s is not a whole number" % shown(text[:40]))
    return int(text)


def real(text: str) -> float:
    """The finite number that the text is. Raises Foreign."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Foreign("%s is not a number" % shown(text[:40]))
    return value


def shown(text: str) -> str:
    """The text as it may be displayed in a terminal or a page.

    All control characters but tab and newline, and those that are invisible or reorder text, become
    escapes: "\\x1b[2J". Lone surrogates become a replacement character.
    """
    return text.translate(_ESCAPES).encode("utf-8", "replace").decode("utf-8")


def line(text: str) -> str:
    """The same in one line: line ends become escapes, too."""
    return shown(text).replace("\n", "\\n")
