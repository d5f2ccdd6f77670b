# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether the content of a state file has the expected shape. Pure.

Another version of this collection, or a person with an editor, may have written it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

Fields = Mapping[str, Callable[[Any], bool]]

# In seconds since 1970; the year 9999 is the last that a date can have.
LAST = 253402300000.0


def misfit(content: object, fields: Fields) -> str:
    """The first of the fields that is missing or has another type, in words; empty for none.

    It names the field and not its value, which may be a secret.
    """
    if not isinstance(content, dict):
        return "it is not a JSON object"
    for key, fits in fields.items():
        if not fits(content.get(key)):
            return "%r is missing or has an unexpected value" % key
    return ""


def is_moment(value: object) -> bool:
    """Whether it is a time in seconds since 1970 that can be displayed as a date."""
    return is_number(value) and 0 <= value <= LAST  # type: ignore[operator]


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_text(value: object) -> bool:
    return isinstance(value, str)


def is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def is_map(value: object) -> bool:
    return isinstance(value, dict)
