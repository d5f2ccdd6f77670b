# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Variables that the files of /etc/profile.d set for login shells, which read them by name."""

from __future__ import annotations

import re


def last_assignment(files: tuple[tuple[str, str], ...], name: str) -> tuple[str, str]:
    """(value, file) of the last of these files that sets a variable; empty if none does.

    Values that depend on other variables are left out: what they are is not known here.
    """
    value, by = "", ""
    pattern = re.compile(
        r"""^\s*(?:export\s+)?%s=(?:"([^"$`\n]*)"|'([^'\n]*)'|([^\s"'$`;#]*))\s*(?:;|\#|$)"""
        % re.escape(name),
        re.MULTILINE,
    )
    for path, text in files:
        for match in pattern.finditer(text):
            value, by = match[1] or match[2] or match[3] or "", path
    return value, by
