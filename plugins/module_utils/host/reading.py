# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Files and folders that are read, and that may be missing or unreadable."""

from __future__ import annotations

import os


def read_text(path: str, limit: int = 1 << 20, errors: str = "replace") -> str | None:
    """At most limit characters of a file; None if it does not exist or cannot be read.

    errors is that of bytes.decode; "surrogateescape" for text that is written back.
    """
    try:
        with open(path, encoding="utf-8", errors=errors) as stream:
            return stream.read(limit)
    except (OSError, ValueError):  # a path with a NUL
        return None


def list_folder(path: str) -> list[str]:
    """The sorted names in a folder; none if it cannot be read."""
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def later_files(path: str) -> tuple[tuple[str, str], ...]:
    """(path, text) of the files beside this one, of its ending, whose names sort after its name.

    So login shells read profile.d (.sh), and grub-mkconfig grub.d (.cfg): the last one wins.
    """
    folder, own = os.path.split(path)
    ending = os.path.splitext(own)[1]
    paths = [
        os.path.join(folder, name)
        for name in list_folder(folder)
        if name.endswith(ending) and name > own
    ]
    return tuple((other, read_text(other) or "") for other in paths)
