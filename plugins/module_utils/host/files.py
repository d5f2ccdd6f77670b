# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Files and links that this collection owns, and their atomic replacement.

A file of ours has MARK in its first lines. A file without it belongs to somebody else, and is never
written. Nor is anything written in a folder that other users may write, or could have put there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.safe_folder import (
    SafeFolder,
    kind_of,
)

# In the first lines of each of our files, in a comment.
MARK = "Managed by dgxspark.suite"
COMMENT = "# %s: changes made here are overwritten.\n" % MARK

# Seconds that an edit waits for another one in the same directory.
LOCK_SECONDS = 10.0
# Root's locks: nobody else can open a file here, and so nobody else can hold one.
LOCKS = "/run/dgxspark/locks"

_MARKED_LINES = 5
_LIMIT = 1 << 20
_MOST_LINKS = 40


@dataclass(frozen=True)
class OwnFile:
    """The state of a file that should be ours.

    text is None if there is no file. mode is its permissions, owner its user id. obstacle: why it
    cannot be replaced, or created together with its directory; None if it can.
    """

    path: str
    text: str | None = None
    mode: int = 0
    owner: int = 0
    obstacle: Blocked | None = None

    @classmethod
    def read(cls, path: str) -> OwnFile:
        """Raises Blocked if it is not a readable text file, is not ours, or a link leads to it."""
        obstacle = obstacle_to(path)
        try:
            data, status = read_regular(path, _LIMIT)
        except FileNotFoundError:
            return cls(path, obstacle=obstacle)
        except OSError as error:
            raise Blocked(
                "%s cannot be read: %s" % (path, error.strerror),
                "Run as root (become), and check that every part of the path is a directory.",
            ) from error
        text = data.decode("utf-8", "replace")
        # A crash may leave an empty file, which may be replaced.
        if text.strip("\0 \n") and MARK not in "".join(text.splitlines(True)[:_MARKED_LINES]):
            raise Blocked("%s does not belong to this collection" % path, _MOVE % path)
        return cls(path, text, stat.S_IMODE(status.st_mode), status.st_uid, obstacle)

    def differs(self, text: str | None, mode: int) -> str:
        """How the file differs from text and mode; empty if it does not."""
        if text is None:
            return "" if self.text is None else "%s exists" % self.path
        if self.text is None:
            return "%s does not exist" % self.path
        if self.text != text:
            return "%s has different contents" % self.path
        if self.mode != mode:
            return "%s has mode %04o" % (self.path, self.mode)
        if self.owner != rightful_owner(self.owner):
            return "%s belongs to user %d" % (self.path, self.owner)
        return ""


_MOVE = "Check what %s is, and move it away: this collection writes a file there."


@dataclass(frozen=True)
class FileWrite:
    """The planned replacement of one of our files, or its removal if text is None."""

    file: OwnFile
    text: str | None
    mode: int
    repairs: tuple[str, ...]

    @property
    def subject(self) -> str:
        return self.file.path

    @property
    def before(self) -> str:
        return _shown(self.file.text, self.file.mode, self.mode)

    @property
    def after(self) -> str:
        return _shown(self.text, self.mode, self.file.mode)

    def apply(self) -> None:
        """Raises OSError or Blocked, and then nothing has changed."""
        directory, name = os.path.split(self.file.path)
        with locked(directory), own_folder(directory) as folder:
            current = OwnFile.read(self.file.path)
            if self.text is not None:
                owner = rightful_owner(current.owner)
                folder.replace(name, self.text.encode(), self.mode, owner)
            elif current.text is not None:
                folder.unlink(name)


@dataclass(frozen=True)
class LinkWrite:
    """The planned symbolic link. Anything there that is not a link stays: Blocked."""

    path: str
    target: str
    current: str  # its present target; empty if there is no link
    repairs: tuple[str, ...]

    @property
    def subject(self) -> str:
        return self.path

    @property
    def before(self) -> str:
        return "%s -> %s\n" % (self.path, self.current) if self.current else ""

    @property
    def after(self) -> str:
        return "%s -> %s\n" % (self.path, self.target)

    def apply(self) -> None:
        directory, name = os.path.split(self.path)
        with own_folder(directory) as folder:
            status = folder.stat(name)
            if status and not stat.S_ISLNK(status.st_mode):
                raise Blocked("%s is not a link" % self.path, _MOVE % self.path)
            folder.link(name, self.target)


def _shown(text: str | None, mode: int, other: int) -> str:
    if text is None:
        return ""
    return text + ("# mode %04o\n" % mode if other and mode != other else "")


def rightful_owner(owner: int) -> int:
    """Root; for any other user the present owner, since only root can change owners."""
    return 0 if os.geteuid() == 0 else owner


def read_regular(path: str, limit: int) -> tuple[bytes, os.stat_result]:
    """Up to limit + 1 bytes of a regular file, and its state. Raises Blocked and OSError.

    Blocked: it is something else, or a link of another user leads to it.
    """
    directory, name = os.path.split(path)
    with SafeFolder.open(directory) as folder:
        status = folder.stat(name)
        if status and not stat.S_ISREG(status.st_mode):
            raise Blocked("%s is %s" % (path, kind_of(status.st_mode)), _MOVE % path)
        descriptor = folder.open_file(name)
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(limit + 1), os.fstat(stream.fileno())


def real_file(path: str) -> str:
    """The path of a file behind links; raises Blocked for a link of another user, and OSError."""
    for _link in range(_MOST_LINKS):
        directory, name = os.path.split(path)
        folder, missing = SafeFolder.nearest(directory)
        with folder:
            status = None if missing else folder.stat(name)
            if not status or not stat.S_ISLNK(status.st_mode):
                return os.path.join(folder.path, *missing, name)
            folder.require(private=True)
            path = os.path.join(folder.path, os.readlink(name, dir_fd=folder.descriptor))
    raise Blocked("%s leads to too many links" % path, _MOVE % path)


def obstacle_to(path: str) -> Blocked | None:
    """Why a file cannot be replaced, or created with its directory; None if it can."""
    try:
        folder, _missing = SafeFolder.nearest(os.path.dirname(path))
    except Blocked as blocked:
        return blocked
    except OSError as error:
        return Blocked("%s: %s" % (path, error.strerror), _AS_ROOT)
    with folder:
        if os.access(".", os.W_OK | os.X_OK, dir_fd=folder.descriptor):
            return folder.objection(private=True)
    return Blocked("%s cannot be written by this user" % path, _AS_ROOT)


_AS_ROOT = "Run as root (become), on a file system that is not read-only."


def can_replace(path: str) -> bool:
    """Whether this user has the rights to replace a file, or create it with its directory."""
    directory = os.path.dirname(path)
    while not os.path.lexists(directory):
        directory = os.path.dirname(directory)
    return os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)


def own_folder(path: str) -> SafeFolder:
    """Open a folder for files of ours, and create what is missing, readable by everybody.

    Only this user and root can change what is in it or exchange it, so its path is safe as well.
    Raises Blocked if another user can, and OSError.
    """
    nearest, _missing = SafeFolder.nearest(path)
    with nearest:
        nearest.require(private=True)
    return SafeFolder.make_all(path)


def make_directories(path: str) -> None:
    """Create a folder and its missing parents; as own_folder."""
    own_folder(path).close()


def lock_file(path: str) -> str:
    """The file that is locked for a path by this user; it need not exist."""
    real = os.path.realpath(path)
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", real)[-60:].strip("-")
    return os.path.join(_lock_folder(), "%s-%s" % (readable or "node", digest))


def _lock_folder() -> str:
    user = os.geteuid()
    if user == 0:
        return LOCKS
    runtime = "/run/user/%d" % user
    return runtime + "/dgxspark" if os.path.isdir(runtime) else "/tmp/dgxspark-%d" % user


def _open_lock(path: str) -> int:
    """Raises Blocked if the folder of locks is not this user's alone."""
    path = lock_file(path)
    directory, name = os.path.split(path)
    above, last = os.path.split(directory)
    try:
        with SafeFolder.make_all(above) as parent, parent.make(last, 0o700) as folder:
            status = folder.status
            if status.st_uid != os.geteuid() or status.st_mode & 0o077 or not folder.private:
                raise Blocked(
                    "%s is not a folder of this user alone" % folder.path, "Remove it, as root."
                )
            return folder.open_file(name, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise Blocked("%s: %s" % (path, error.strerror), _AS_ROOT) from error


@contextmanager
def locked(path: str, seconds: float | None = None) -> Iterator[None]:
    """Let no other run of this user work on a path meanwhile, by a lock file of this user's alone.

    The path itself is not opened: whoever may open it could hold its lock. Raises Blocked if
    another run still holds it after that many seconds, or LOCK_SECONDS.
    """
    seconds = LOCK_SECONDS if seconds is None else seconds
    descriptor = _open_lock(path)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Blocked(
                        "%s has been locked by another run for %g s" % (path, seconds),
                        "Wait until the other run has ended, then run again.",
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def replace_file(path: str, data: bytes, mode: int, owner: int) -> None:
    """Replace a file of ours atomically; raises OSError or Blocked, and then it is unchanged."""
    directory, name = os.path.split(path)
    with SafeFolder.open(directory) as folder:
        folder.require(private=True)
        folder.replace(name, data, mode, owner)
