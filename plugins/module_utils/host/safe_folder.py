# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Folders opened so that no other user decides which folder is changed.

A path is opened one component at a time, without following links, and what has been opened is what
is checked and changed. "Trusted" are root and the user of this process. A link is followed only if
a trusted user owns it in a folder that only trusted users may write.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.foreign import shown

FOLDER_MODE = 0o755

# Folders that are never storage: changing their owner or mode breaks the system, or gives it away.
_SYSTEM = (
    *("/", "/dev", "/dev/shm", "/home", "/opt", "/root", "/run", "/snap", "/tmp", "/usr"),
    *(
        "/usr/local",
        "/var",
        "/var/backups",
        "/var/cache",
        "/var/lib",
        "/var/lib/dgxspark",
        "/var/log",
    ),
    *("/var/mail", "/var/spool", "/var/tmp"),
)
# The same, with everything below them.
_SYSTEM_TREES = (
    *("/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys"),
    *("/usr/bin", "/usr/include", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec"),
    *("/usr/libx32", "/usr/sbin", "/usr/share", "/usr/src", "/usr/local/bin", "/usr/local/sbin"),
    *("/run/dgxspark", "/run/systemd", "/var/lib/apt", "/var/lib/containerd", "/var/lib/docker"),
    *("/var/lib/dpkg", "/var/lib/systemd"),
)

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# For what this user may not read, and for links themselves. The node is Linux.
_HANDLE = getattr(os, "O_PATH", 0) | os.O_NOFOLLOW | os.O_CLOEXEC
_ACL = "system.posix_acl_access"
_MOST_LINKS = 40
_FIRST_USER = 1000  # the first id of a person; lower ones are services
_USERS = 100  # the group that people may have, whatever its members
# No write of a file of ours takes longer.
_DRAFT_SECONDS = 3600.0


@dataclass(frozen=True)
class _Step:
    """One open component. doubt: why another user could have put it there, empty if nobody."""

    path: str
    descriptor: int
    status: os.stat_result
    doubt: str = ""


class SafeFolder:
    """An open folder; close it, or use it in a with statement.

    path is where it really is, without links. links are those that were followed, each as
    "link -> target". doubt is why another user could have put this folder there or exchanged it;
    empty if nobody could.
    """

    def __init__(self, step: _Step, links: tuple[str, ...] = ()) -> None:
        self.path = step.path
        self.descriptor = step.descriptor
        self.status = step.status
        self.doubt = step.doubt
        self.links = links

    @classmethod
    def open(cls, path: str) -> SafeFolder:
        """Raises Blocked for a link that is not followed, FileNotFoundError, and OSError."""
        folder, missing = cls.nearest(path)
        if missing:
            folder.close()
            raise FileNotFoundError(2, "No such folder", path)
        return folder

    @classmethod
    def nearest(cls, path: str) -> tuple[SafeFolder, tuple[str, ...]]:
        """The folder, or the nearest one above it, and the names that are missing below that.

        Raises Blocked for a link that is not followed, or leads to nothing, and for what is no
        folder; and OSError.
        """
        if not path.startswith("/"):
            raise ValueError("expected an absolute path, found %r" % path)
        return _Walk().to(path)

    @classmethod
    def make_all(cls, path: str, mode: int = FOLDER_MODE) -> SafeFolder:
        """Open a folder, and create what is missing of it. Raises Blocked and OSError."""
        folder, missing = cls.nearest(path)
        for name in missing:
            with folder:
                folder = folder.make(name, mode)
        return folder

    def __enter__(self) -> SafeFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1

    @property
    def private(self) -> bool:
        """Whether only trusted users can change what is in it, and could put it there."""
        return not self.doubt and _closed(self.descriptor, self.status)

    def objection(self, private: bool = False) -> Blocked | None:
        """Why it must not be changed: another user could have put it there.

        private: or because another user may write in it.
        """
        if self.doubt:
            return Blocked(self.doubt, _DOUBT_HINT)
        if private and not self.private:
            return Blocked(
                "%s may be written by other users (%s)" % (shown(self.path), _rights(self.status)),
                "Inspect what is in it, then `chown root:root` and `chmod go-w`.",
            )
        return None

    def require(self, private: bool = False) -> None:
        """Raises the objection, a Blocked."""
        objection = self.objection(private)
        if objection:
            raise objection

    def system_objection(self, missing: Sequence[str] = ()) -> Blocked | None:
        """Why it, or a missing folder below it, is no storage: the system's, or a home."""
        path = os.path.join(self.path, *missing)
        name = system_folder(path, None if missing else self.status)
        if not name:
            return None
        via = ", by the link %s" % shown("; ".join(self.links)) if self.links else ""
        return Blocked(
            "%s is a folder of the system or a home%s" % (shown(name), via),
            "Choose another folder, and remove the link if there is one.",
        )

    def child(self, name: str) -> SafeFolder:
        """Open a folder in it. A link is never followed. Raises Blocked and OSError."""
        above = _Step(self.path, self.descriptor, self.status, self.doubt)
        step = _enter(above, name)
        if not stat.S_ISDIR(step.status.st_mode):
            os.close(step.descriptor)
            raise _not_a_folder(step)
        return SafeFolder(step, self.links)

    def make(self, name: str, mode: int = FOLDER_MODE) -> SafeFolder:
        """Create a folder in it, or open the one that is there; mode is for a new one.

        Raises Blocked and OSError.
        """
        self.require()
        try:
            os.mkdir(name, 0o700, dir_fd=self.descriptor)
        except FileExistsError:
            return self.child(name)
        made = self.child(name)
        try:
            # Another user who may write here may have exchanged it: only an empty one is taken.
            if made.status.st_uid != os.geteuid() or os.listdir(made.descriptor):
                raise Blocked("%s was exchanged meanwhile" % shown(made.path), _DOUBT_HINT)
            made.doubt = ""
            made.set_mode(mode)
        except BaseException:
            made.close()
            raise
        return made

    def give(self, uid: int, gid: int) -> None:
        """Set its owner and group; -1 leaves one as it is. Raises Blocked and OSError."""
        self.require()
        os.fchown(self.descriptor, uid, gid)
        self.status = os.fstat(self.descriptor)

    def set_mode(self, mode: int) -> None:
        """Raises Blocked and OSError."""
        self.require()
        os.fchmod(self.descriptor, mode)
        self.status = os.fstat(self.descriptor)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.descriptor))

    def stat(self, name: str) -> os.stat_result | None:
        """The state of an entry itself, never of what a link leads to; None if there is none."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open_file(self, name: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
        """A descriptor of a regular file in it. Raises Blocked for anything else, and OSError."""
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(name, flags, mode, dir_fd=self.descriptor)
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return descriptor
        os.close(descriptor)
        path = os.path.join(self.path, name)
        raise Blocked(
            "%s is %s" % (shown(path), kind_of(status.st_mode)),
            "Check what it is, and move it away.",
        )

    def replace(self, name: str, data: bytes, mode: int, owner: int) -> None:
        """Replace a file atomically; raises OSError, and then the old file is unchanged."""
        self._clear(name)
        with self._draft(name) as draft:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(draft, flags, 0o600, dir_fd=self.descriptor)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                os.fchmod(stream.fileno(), mode)
                if os.geteuid() == 0:
                    os.fchown(stream.fileno(), owner, 0)
                stream.flush()
                os.fsync(stream.fileno())
            self.rename(draft, self, name)
        os.fsync(self.descriptor)

    def _clear(self, name: str) -> None:
        """Remove the drafts of a file that killed writers have left: they may have secrets."""
        pattern = re.compile(r"\.%s\.[a-z0-9_]{8}" % re.escape(name))
        for draft in filter(pattern.fullmatch, os.listdir(self.descriptor)):
            status = self.stat(draft)
            if status and stat.S_ISREG(status.st_mode) and _age(status) > _DRAFT_SECONDS:
                with suppress(FileNotFoundError):
                    self.unlink(draft)

    def link(self, name: str, target: str) -> None:
        """Replace a symbolic link, or create it. Raises OSError."""
        with self._draft(name) as draft:
            os.symlink(target, draft, dir_fd=self.descriptor)
            self.rename(draft, self, name)

    @contextmanager
    def _draft(self, name: str) -> Iterator[str]:
        """A name for a new entry, which is removed if it is still there at the end."""
        draft = ".%s.%s" % (name, os.urandom(4).hex())
        try:
            yield draft
        finally:
            with suppress(OSError):
                self.unlink(draft)

    def unlink(self, name: str) -> None:
        os.unlink(name, dir_fd=self.descriptor)

    def rename(self, name: str, into: SafeFolder, new: str) -> None:
        """Move an entry, as it is, into a folder; replaces a file or a link there."""
        os.rename(name, new, src_dir_fd=self.descriptor, dst_dir_fd=into.descriptor)

    def remove_tree(self, name: str) -> None:
        """Remove a folder in it with everything below; links are removed, never followed."""
        for _path, folders, files, descriptor in os.fwalk(
            name, topdown=False, dir_fd=self.descriptor
        ):
            for entry in files:
                os.unlink(entry, dir_fd=descriptor)
            for entry in folders:
                _remove_folder(entry, descriptor)
        _remove_folder(name, self.descriptor)


_DOUBT_HINT = (
    "Inspect it as root. If it is what it should be, give it the owner of the folder above it, or "
    "make the folder above it root's and not writable by others (or sticky)."
)
_LINK_HINT = (
    "Replace it by a folder, or by a link that root owns in a folder that only root may write."
)


class _Walk:
    """One walk along a path; it knows the way back, for links with .. in them."""

    def __init__(self) -> None:
        root = os.open("/", _OPEN)
        self.steps = [_Step("/", root, os.fstat(root))]
        self.links: list[str] = []

    def to(self, path: str) -> tuple[SafeFolder, tuple[str, ...]]:
        """See SafeFolder.nearest."""
        try:
            missing = self._go(path)
            last = self.steps.pop()
        finally:
            for step in self.steps:
                os.close(step.descriptor)
        return SafeFolder(last, tuple(self.links)), missing

    def _go(self, path: str) -> tuple[str, ...]:
        pending = _names(path)
        outside = len(pending)  # more than that are names of a link's target
        while pending:
            name = pending.pop()
            if name == "..":
                if len(self.steps) > 1:
                    os.close(self.steps.pop().descriptor)
                continue
            try:
                step = _enter(self.steps[-1], name)
            except FileNotFoundError:
                if len(pending) >= outside:
                    raise Blocked(
                        "a link to nothing: %s" % shown("; ".join(self.links)),
                        "Mount what it leads to, or remove it.",
                    ) from None
                return (name, *reversed(pending))
            if stat.S_ISLNK(step.status.st_mode):
                outside = min(outside, len(pending))
                pending += self._target(step)
                continue
            self.steps.append(step)
            if not stat.S_ISDIR(step.status.st_mode):
                raise _not_a_folder(step)
        return ()

    def _target(self, link: _Step) -> list[str]:
        """The names to which an open link leads, last one first. Raises Blocked."""
        try:
            target = os.readlink("", dir_fd=link.descriptor)
        finally:
            os.close(link.descriptor)
        above = self.steps[-1]
        owned = link.status.st_uid in _trusted()
        if not owned or above.doubt or not _closed(above.descriptor, above.status):
            raise Blocked(
                "%s is a link to %s, which another user than root could have put there (%s)"
                % (shown(link.path), shown(target), _rights(link.status)),
                _LINK_HINT,
            )
        self.links.append("%s -> %s" % (link.path, target))
        if len(self.links) > _MOST_LINKS:
            raise Blocked("%s has too many links" % shown(link.path), "Remove the loop of links.")
        if target.startswith("/"):
            for step in self.steps[1:]:
                os.close(step.descriptor)
            del self.steps[1:]
        return _names(target)


def _not_a_folder(step: _Step) -> Blocked:
    link = stat.S_ISLNK(step.status.st_mode)
    text = "%s is a link, not a folder" if link else "%s is not a folder"
    return Blocked(text % shown(step.path), "Check what it is, and move it away.")


def _names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _enter(above: _Step, name: str) -> _Step:
    """Open an entry itself: a folder, a link or anything else. Raises OSError."""
    try:
        descriptor = os.open(name, _OPEN, dir_fd=above.descriptor)
    except FileNotFoundError:
        raise
    except OSError:
        descriptor = os.open(name, _HANDLE, dir_fd=above.descriptor)
    status = os.fstat(descriptor)
    path = os.path.join(above.path, name)
    doubt = above.doubt or _doubt(above, path, status)
    return _Step(path, descriptor, status, doubt)


def _doubt(above: _Step, path: str, status: os.stat_result) -> str:
    """Why another user could have put this entry into the folder above it; empty if nobody."""
    owner = above.status.st_uid
    if owner not in _trusted():
        # The owner can put anything there: what is the owner's own has nothing to lose.
        if status.st_uid == owner:
            return ""
    elif _closed(above.descriptor, above.status) or above.status.st_mode & stat.S_ISVTX:
        return ""
    return "%s (%s) could have been put into %s (%s) by another user" % (
        shown(path),
        _rights(status),
        shown(above.path),
        _rights(above.status),
    )


def _trusted() -> set[int]:
    return {0, os.geteuid()}


def _closed(descriptor: int, status: os.stat_result) -> bool:
    """Whether only trusted users may create, rename and remove entries of an open folder."""
    if status.st_uid not in _trusted() or status.st_mode & stat.S_IWOTH:
        return False
    if not status.st_mode & stat.S_IWGRP:
        return True
    # A user's own group is the user's; an access list may name others.
    ours = status.st_gid in {0, os.getegid()} or _is_of_services(status.st_gid)
    return ours and not _has_list(descriptor)


def _is_of_services(gid: int) -> bool:
    """Whether a group has services of the system as members at most: /var/log is syslog's."""
    try:
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return False
    users = {user.pw_name: user for user in pwd.getpwall()}
    if gid >= _FIRST_USER or gid == _USERS or not members <= users.keys():
        return False
    inside = [user for user in users.values() if user.pw_gid == gid or user.pw_name in members]
    return all(user.pw_uid < _FIRST_USER for user in inside)


def _has_list(descriptor: int) -> bool:
    try:
        os.getxattr("/proc/self/fd/%d" % descriptor, _ACL)
    except OSError:
        return False
    return True


def _rights(status: os.stat_result) -> str:
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    return "%s %04o" % (owner, stat.S_IMODE(status.st_mode))


def _age(status: os.stat_result) -> float:
    return time.time() - status.st_mtime


def kind_of(mode: int) -> str:
    """In words, what a file is that should be something else."""
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a link" if stat.S_ISLNK(mode) else "not a regular file"


def _remove_folder(name: str, above: int) -> None:
    try:
        os.rmdir(name, dir_fd=above)
    except NotADirectoryError:  # a link to a folder
        os.unlink(name, dir_fd=above)


def system_folder(path: str, status: os.stat_result | None) -> str:
    """The folder of the system or the home that a real path or its inode is; empty if none."""
    if any((path + "/").startswith(tree + "/") for tree in _SYSTEM_TREES):
        return path
    if os.path.dirname(path) == "/home":
        return path
    homes = [
        user.pw_dir for user in pwd.getpwall() if user.pw_uid == 0 or user.pw_uid >= _FIRST_USER
    ]
    for folder in (*_SYSTEM, *_SYSTEM_TREES, *homes):
        if path == folder or (status and _is_folder(folder, status)):
            return folder
    return ""


def _is_folder(path: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(path), status)
    except OSError:
        return False
