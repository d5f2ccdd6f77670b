# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""System tools by absolute path."""

from __future__ import annotations

import os

# PATH may be anything, and lacks the sbin folders for most users.
TOOL_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def find_tool(name: str, folders: tuple[str, ...] = TOOL_FOLDERS) -> str:
    """The absolute path of a system tool; empty if it is not installed."""
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""
