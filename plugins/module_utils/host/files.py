# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Files and links that this collection owns, and their atomic replacement.

A file of ours has MARK in its first lines. A file without it belongs to somebody else, and is never
written.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked

# In the first lines of each of our files, in a comment.
MARK = "Managed by dgxspark.suite"
COMMENT = "# %s: changes made here are overwritten.\n" % MARK

# Seconds that an edit waits for another one in the same directory.
LOCK_SECONDS = 10.0

_MARKED_LINES = 5
_LIMIT = 1 << 20
_DIRECTORY_MODE = 0o755


@dataclass(frozen=True)
class OwnFile:
    """The state of a file that should be ours.

    text is None if there is no file. mode is its permissions, owner its user id. writable: whether
    this user could replace it, or create it together with its directory.
    """

    path: str
    text: str | None = None
    mode: int = 0
    owner: int = 0
    writable: bool = True

    @classmethod
    def read(cls, path: str) -> OwnFile:
        """Raises Blocked if it is not a readable text file, or is not ours."""
        writable = can_replace(path)
        try:
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode):
                raise Blocked("%s is %s" % (path, _kind(status.st_mode)), _MOVE % path)
            with open(path, "rb") as stream:
                data = stream.read(_LIMIT + 1)
        except FileNotFoundError:
            return cls(path, writable=writable)
        except OSError as error:
            raise Blocked(
                "%s cannot be read: %s" % (path, error.strerror),
                "Run as root (become), and check that every part of the path is a directory.",
            ) from error
        text = data.decode("utf-8", "replace")
        # A crash may leave an empty file, which may be replaced.
        if text.strip("\0 \n") and MARK not in "".join(text.splitlines(True)[:_MARKED_LINES]):
            raise Blocked("%s does not belong to this collection" % path, _MOVE % path)
        return cls(path, text, stat.S_IMODE(status.st_mode), status.st_uid, writable)

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

    @property
    def obstacle(self) -> Blocked | None:
        """Why the file cannot be replaced; None if it can."""
        if self.writable:
            return None
        return Blocked(
            "%s cannot be written by this user" % self.path,
            "Run as root (become), on a file system that is not read-only.",
        )


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
        directory = os.path.dirname(self.file.path)
        make_directories(directory)
        with locked(directory):
            current = OwnFile.read(self.file.path)
            if current.obstacle:
                raise current.obstacle
            if self.text is not None:
                replace_file(
                    current.path, self.text.encode(), self.mode, rightful_owner(current.owner)
                )
            elif current.text is not None:
                os.unlink(current.path)


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
        make_directories(directory)
        if os.path.lexists(self.path) and not os.path.islink(self.path):
            raise Blocked("%s is not a link" % self.path, _MOVE % self.path)
        with tempfile.TemporaryDirectory(prefix=".%s." % name, dir=directory) as scratch:
            link = os.path.join(scratch, name)
            os.symlink(self.target, link)
            os.replace(link, self.path)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a link" if stat.S_ISLNK(mode) else "not a regular file"


def _shown(text: str | None, mode: int, other: int) -> str:
    if text is None:
        return ""
    return text + ("# mode %04o\n" % mode if other and mode != other else "")


def rightful_owner(owner: int) -> int:
    """Root; for any other user the present owner, since only root can change owners."""
    return 0 if os.geteuid() == 0 else owner


def can_replace(path: str) -> bool:
    """Whether this user could replace the file, or create it together with its directory."""
    directory = os.path.dirname(path)
    while not os.path.lexists(directory):
        directory = os.path.dirname(directory)
    return os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)


def make_directories(path: str) -> None:
    """Create a folder and its missing parents, readable by everybody whatever the umask."""
    if os.path.isdir(path):
        return
    make_directories(os.path.dirname(path))
    with suppress(FileExistsError):
        os.mkdir(path)
        os.chmod(path, _DIRECTORY_MODE)


@contextmanager
def locked(directory: str, seconds: float | None = None) -> Iterator[None]:
    """Lock a directory, since a lock file would remain.

    Raises Blocked if another run still holds it after that many seconds, or LOCK_SECONDS.
    """
    seconds = LOCK_SECONDS if seconds is None else seconds
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Blocked(
                        "%s has been locked by another run for %g s" % (directory, seconds),
                        "Wait until the other run has ended, then run again.",
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def replace_file(path: str, data: bytes, mode: int, owner: int) -> None:
    """Replace a file atomically; raises OSError, and then the old file is unchanged."""
    directory, name = os.path.split(path)
    descriptor, temporary = tempfile.mkstemp(prefix=".%s." % name, dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            os.fchmod(stream.fileno(), mode)
            if os.geteuid() == 0:
                os.fchown(stream.fileno(), owner, 0)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
