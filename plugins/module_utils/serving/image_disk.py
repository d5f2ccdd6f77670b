# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What an image takes on the disk of the Docker engine, and whether there is room for it."""

from __future__ import annotations

import os

from ansible_collections.dgxspark.suite.plugins.module_utils.host import command, foreign


def size_of(docker: str, image: str) -> int:
    """Bytes of an image; 0 where Docker does not say."""
    asked = command.run([docker, "image", "inspect", "--format", "{{.Size}}", "--", image], 30)
    text = asked.stdout.strip()
    return int(text) if asked.ok and foreign.is_whole(text) else 0


def lacks_space(docker: str, need: int) -> str:
    """Why the engine has no room for so many bytes; empty where it has, or where nobody knows."""
    asked = command.run([docker, "info", "--format", "{{.DockerRootDir}}"], 30)
    root = asked.stdout.strip() if asked.ok else ""
    if not os.path.isdir(root):
        return ""
    system = os.statvfs(root)
    free = system.f_bavail * system.f_frsize
    return "" if need <= free else "%d bytes are needed, %d are free in %s" % (need, free, root)
