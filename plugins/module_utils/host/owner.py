# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whose a cache is: root would leave files in it that its owner cannot use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

_SETPRIV = "/usr/bin/setpriv"


@dataclass(frozen=True)
class Owner:
    """uid and gid of whoever owns a folder; root_acts: whether it is root who acts for them."""

    uid: int
    gid: int
    root_acts: bool

    @classmethod
    def of(cls, path: str) -> Owner:
        """Of path, or of the nearest folder above it that exists."""
        while not os.path.lexists(path):
            path = os.path.dirname(path)
        status = os.stat(path)
        return cls(status.st_uid, status.st_gid, os.geteuid() == 0)

    def command(self, argv: Sequence[str]) -> list[str]:
        """argv, so that it is the owner who runs it."""
        if not self.root_acts or self.uid == 0:
            return list(argv)
        who = ["--reuid=%d" % self.uid, "--regid=%d" % self.gid, "--clear-groups"]
        return [_SETPRIV, *who, "--", *argv]

    def give(self, path: str) -> None:
        """Make a file, a folder or a link itself theirs."""
        if self.root_acts:
            os.lchown(path, self.uid, self.gid)

    def make_folders(self, path: str) -> None:
        """Make path, and what is missing above it, theirs and readable by everybody."""
        if os.path.isdir(path):
            return
        self.make_folders(os.path.dirname(path))
        os.mkdir(path, 0o755)
        self.give(path)
