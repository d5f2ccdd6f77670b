# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Who decides what a program does: whoever may write it, a file that it loads, or a folder above.

Root runs a program of another user as that user only, and none that several users may write.
"""

from __future__ import annotations

import glob
import grp
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner, group_of
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text

# Which packages of a virtual environment count.
ALL, FOLDERS, NONE = "all", "folders", "none"

# As the kernel: more links than this are a loop.
_LINKS = 40
_ACL = "system.posix_acl_access"


def code_owner(paths: Iterable[str]) -> Owner:
    """The user as whom programs that consist of these paths run. What does not exist is ignored.

    Raises Blocked if several users besides root may write them. Any other user than root runs
    everything as itself.
    """
    if os.geteuid() != 0:
        return Owner(os.geteuid(), os.getegid(), root_acts=False)
    writers: dict[int, str] = {}
    for path in dict.fromkeys(paths):
        for uid, part in _writers(path):
            writers.setdefault(uid, part)
    writers.pop(0, None)
    if not writers:
        return Owner(0, 0, root_acts=True)
    (uid, part), *others = writers.items()
    if others or uid < 0:
        raise _several(writers)
    return Owner(uid, group_of(uid), root_acts=True)


def _several(writers: dict[int, str]) -> Blocked:
    parts = ["%s (%s)" % (part, _name(uid)) for uid, part in sorted(writers.items())[:3]]
    return Blocked(
        "it is not run as root, since other users may write %s" % " and ".join(parts),
        "Give it and the folders above it to one user (chown), and to no group or others (chmod"
        " go-w).",
    )


def venv_parts(venv: str, packages: str = ALL) -> Iterator[str]:
    """The paths that decide what the Python of a virtual environment runs.

    packages: ALL of their files, their FOLDERS only, or NONE if it is started without them (-I -S).
    """
    python = os.path.join(venv, "bin", "python")
    yield from (venv, os.path.join(venv, "pyvenv.cfg"), python)
    bases = {os.path.dirname(os.path.dirname(os.path.realpath(python)))}
    for line in _lines(os.path.join(venv, "pyvenv.cfg")):
        key, _equals, value = (word.strip() for word in line.partition("="))
        if key.lower() == "home" and os.path.isabs(value):
            yield value
            bases.add(os.path.dirname(value))
    for base in sorted(bases):
        yield from _library(base)
    if packages != NONE:
        for site in glob.glob(os.path.join(glob.escape(venv), "lib*", "python3*", "site-packages")):
            yield from _tree(site) if packages == ALL else _entries(site)
            yield from _added(site)


def python_parts(python: str, packages: str = NONE) -> Iterator[str]:
    """The same for any Python; packages are those of its virtual environment if it is in one."""
    folder = os.path.dirname(os.path.dirname(python))
    if os.path.isfile(os.path.join(folder, "pyvenv.cfg")):
        yield from venv_parts(folder, packages)
    yield python
    yield from _library(os.path.dirname(os.path.dirname(os.path.realpath(python))))


def _library(base: str) -> Iterator[str]:
    """The standard libraries of an installation: their folders and what is directly in them."""
    for library in glob.glob(os.path.join(glob.escape(base), "lib*", "python3*")):
        yield from _entries(library)


def _entries(folder: str) -> Iterator[str]:
    """A folder and what is directly in it."""
    yield folder
    with suppress(OSError):
        yield from (os.path.join(folder, name) for name in os.listdir(folder))


def _tree(folder: str) -> Iterator[str]:
    """A folder and, below it, the first path of each user, which is enough to know the users."""
    yield folder
    known = set()
    waiting = [folder]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                link = stat.S_ISLNK(status.st_mode)
                kind = (status.st_uid, status.st_gid, 0 if link else status.st_mode & 0o022)
                if link or kind not in known:
                    known.add(kind)
                    yield entry.path
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(entry.path)


def _added(site: str) -> Iterator[str]:
    """The folders that .pth files add."""
    for path in glob.glob(os.path.join(glob.escape(site), "*.pth")):
        for line in _lines(path):
            if line.strip() and not line.startswith(("import", "#")):
                yield os.path.join(site, line.strip())


def _lines(path: str) -> list[str]:
    # A pipe of another user's would never end.
    return (read_text(path, errors="replace") or "").splitlines() if os.path.isfile(path) else []


def _writers(path: str) -> Iterator[tuple[int, str]]:
    """(user id, path) for each part of a path that a user may write; -1 for everybody."""
    followed = 0
    waiting = [part for part in path.split("/") if part]
    at = "/"
    yield from _writers_of(at)
    while waiting:
        part = waiting.pop(0)
        if part in (".", ".."):
            at = os.path.dirname(at) if part == ".." else at
            continue
        entry = os.path.join(at, part)
        try:
            yield from _writers_of(entry)
            target = os.readlink(entry) if os.path.islink(entry) else None
        except OSError:
            return
        if target is None:
            at = entry
            continue
        followed += 1
        if followed > _LINKS:
            return
        at = "/" if os.path.isabs(target) else at
        waiting = [word for word in target.split("/") if word] + waiting


def _writers_of(path: str) -> Iterator[tuple[int, str]]:
    status = os.lstat(path)
    mode = status.st_mode
    yield status.st_uid, path
    # Nobody else may replace an entry of a folder with the sticky bit, such as /tmp.
    if stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return
    if mode & stat.S_IWOTH:
        yield -1, path
    if mode & stat.S_IWGRP:
        # With an access list these bits are its mask, and it may name anybody.
        listed = _ACL in os.listxattr(path)
        yield from ((uid, path) for uid in ([-1] if listed else _members(status.st_gid)))


def _members(gid: int) -> set[int]:
    """The users of a group, but for root."""
    users = {user.pw_uid for user in pwd.getpwall() if user.pw_gid == gid}
    with suppress(KeyError):
        for name in grp.getgrgid(gid).gr_mem:
            with suppress(KeyError):
                users.add(pwd.getpwnam(name).pw_uid)
    return users - {0}


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name if uid >= 0 else "several users"
    except KeyError:
        return "user %d" % uid
