# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The owner of a cache: root must not leave files in it that the owner cannot use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

_SETPRIV = "/usr/bin/setpriv"


@dataclass(frozen=True)
class Owner:
    """uid and gid of the owner of a directory; root_acts: whether root acts for the owner."""

    uid: int
    gid: int
    root_acts: bool

    @classmethod
    def of(cls, path: str) -> Owner:
        """The owner of path, or of the nearest existing directory above it."""
        while not os.path.lexists(path):
            path = os.path.dirname(path)
        status = os.stat(path)
        return cls(status.st_uid, status.st_gid, os.geteuid() == 0)

    def command(self, argv: Sequence[str]) -> list[str]:
        """argv, to be run as the owner."""
        if not self.root_acts or self.uid == 0:
            return list(argv)
        who = ["--reuid=%d" % self.uid, "--regid=%d" % self.gid, "--clear-groups"]
        return [_SETPRIV, *who, "--", *argv]

    def give(self, path: str) -> None:
        """Make a file, a directory or a link itself the owner's."""
        if self.root_acts:
            os.lchown(path, self.uid, self.gid)

    def make_folders(self, path: str) -> None:
        """Create path and missing directories above it, the owner's and readable by everybody."""
        if os.path.isdir(path):
            return
        self.make_folders(os.path.dirname(path))
        os.mkdir(path, 0o755)
        self.give(path)
