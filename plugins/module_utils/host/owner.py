# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The owner of a cache: files of root in it would not be usable for its owner."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

_SETPRIV = "/usr/bin/setpriv"


@dataclass(frozen=True)
class Owner:
    """uid and gid of a folder's owner; root_acts: whether this process is root."""

    uid: int
    gid: int
    root_acts: bool

    @classmethod
    def of(cls, path: str) -> Owner:
        """The owner of path, or of its nearest existing parent."""
        while not os.path.lexists(path):
            path = os.path.dirname(path)
        status = os.stat(path)
        return cls(status.st_uid, status.st_gid, os.geteuid() == 0)

    def command(self, argv: Sequence[str]) -> list[str]:
        """argv, run as the owner."""
        if not self.root_acts or self.uid == 0:
            return list(argv)
        who = ["--reuid=%d" % self.uid, "--regid=%d" % self.gid, "--clear-groups"]
        return [_SETPRIV, *who, "--", *argv]

    def give(self, path: str) -> None:
        """Give a file, a folder or a link itself to the owner."""
        if self.root_acts:
            os.lchown(path, self.uid, self.gid)

    def make_folders(self, path: str) -> None:
        """Create path and its missing parents, owned by the owner, readable by everybody."""
        if os.path.isdir(path):
            return
        self.make_folders(os.path.dirname(path))
        os.mkdir(path, 0o755)
        self.give(path)
