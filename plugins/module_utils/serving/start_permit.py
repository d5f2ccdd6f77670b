# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The permit to start a service on this node: one at a time, the largest first.

Two engines that measure free memory at once starve each other. A permit is the lock of a file,
which ends with the process that holds it; who waits for it has an entry in a queue, a locked file
as well. All of it is in /run, where nothing is left after a boot.
"""

from __future__ import annotations

import calendar
import errno
import fcntl
import os
import time
import typing as t
from contextlib import suppress

from ansible_collections.dgxspark.suite.plugins.module_utils.host import labels

FOLDER = "/run/dgxspark/starts"
# Seconds after a boot in which nobody starts, so that those who wait are in order.
GATHER = 20.0
READY = 1800.0  # seconds after which a server that has not answered keeps nobody from starting
_MODE = 0o600


def order_of(claim: str, total_bytes: int) -> str:
    """A text that sorts the largest claim first, an unknown one last; both as of labels.gib_of."""
    return "%08.2f" % (9999 - (labels.gib_of(claim, total_bytes) or 0.0))


class Permit:
    """The permit of one service. starting: why another service is not complete yet, empty for none.

    folder: of all permits of the node, made where it is missing. alone: there is no other service
    on this node whose place in the order would have to be waited for after a boot.
    """

    def __init__(
        self,
        service: str,
        order: str,
        starting: t.Callable[[], str],
        folder: str,
        *,
        alone: bool = False,
    ) -> None:
        self.folder = folder
        self._alone = alone
        self.service = service
        self.why = ""
        self._entry = os.path.join(folder, "queue", "%s-%s" % (order, service))
        self._starting = starting
        self._queued = self._held = -1

    def announce(self) -> None:
        """Somebody of this node is going to ask: the seconds after a boot begin. Raises OSError."""
        for name in ("queue", "complete"):
            _make(os.path.join(self.folder, name))
        since = os.path.join(self.folder, "since")
        os.close(os.open(since, os.O_CREAT | os.O_WRONLY, _MODE))

    def take(self) -> bool:
        """Whether this process has the permit; asked again until then. why: what it waits for.

        Raises OSError.
        """
        if self._held >= 0:
            return True
        if self._queued < 0:
            self._enter()
        self.why = self._before() or self._gathering()
        if self.why:
            return False
        lock = _locked(os.path.join(self.folder, "lock"))
        if lock < 0:
            self.why = "another service is starting"
            return False
        self.why = self._starting()
        if self.why:
            os.close(lock)
            return False
        self._held = lock
        # For whoever asks who starts.
        os.ftruncate(lock, 0)
        os.pwrite(lock, self.service.encode(), 0)
        self._leave()
        return True

    def free(self) -> None:
        """Let others start."""
        self._leave()
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def _enter(self) -> None:
        self.announce()
        self._queued = _locked(self._entry)

    def _leave(self) -> None:
        if self._queued >= 0:
            _remove(self._entry)
            os.close(self._queued)
            self._queued = -1

    def _before(self) -> str:
        """Who is before this one in the queue; entries whose process has ended are removed."""
        folder, own = os.path.split(self._entry)
        for name in sorted(os.listdir(folder)):
            if name == own:
                return ""
            path = os.path.join(folder, name)
            lock = _locked(path, create=False)
            if lock < 0:
                return "service %s is before it" % name.partition("-")[2]
            _remove(path)
            os.close(lock)
        # Somebody has taken the own entry for one whose process has ended.
        os.close(self._queued)
        self._queued = -1
        return "its entry in the queue is gone"

    def _gathering(self) -> str:
        if self._alone:
            return ""
        age = time.time() - os.stat(os.path.join(self.folder, "since")).st_mtime
        return "the other services are being counted" if 0 <= age < GATHER else ""


def mark_complete(container: str, folder: str) -> None:
    """The start of a container, by its ID, is complete: others may start. Raises OSError."""
    place = os.path.join(folder, "complete")
    _make(place)
    os.close(os.open(os.path.join(place, container), os.O_CREAT | os.O_WRONLY, _MODE))


def is_complete(container: str, folder: str) -> bool:
    """Whether the present start of a container is complete."""
    return os.path.exists(os.path.join(folder, "complete", container))


def is_starting(container: str, started: str, folder: str) -> bool:
    """Whether a running container keeps others from starting.

    started: when it was, as Docker writes it, 2026-11-22T03:18:32.7Z.
    """
    if is_complete(container, folder):
        return False
    try:
        moment = calendar.timegm(time.strptime(started[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return False
    return time.time() - moment < READY


def waiting(folder: str) -> set[str]:
    """The services that have the permit of this node, or wait for it. Raises OSError."""
    found: set[str] = set()
    path = os.path.join(folder, "lock")
    if _is_locked(path):
        with open(path, encoding="utf-8", errors="replace") as stream:
            found.add(stream.read(64))
    queue = os.path.join(folder, "queue")
    for name in os.listdir(queue) if os.path.isdir(queue) else ():
        if _is_locked(os.path.join(queue, name)):
            found.add(name.partition("-")[2])
    # Whoever has just taken it may not have written its name yet.
    return found - {""}


def _is_locked(path: str) -> bool:
    lock = _locked(path, create=False)
    if lock >= 0:
        os.close(lock)
        return False
    return os.path.exists(path)


def forget(container: str, folder: str) -> None:
    """The container has ended."""
    _remove(os.path.join(folder, "complete", container))


def _make(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    # Whatever the umask: what is starting is no secret, and status.yml shows it without root.
    os.chmod(folder, 0o755)


def _locked(path: str, create: bool = True) -> int:
    """The descriptor of the locked file; -1 where another process has it, or it is missing."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    try:
        descriptor = os.open(path, flags, _MODE)
    except FileNotFoundError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The one who had it may have removed it since it was opened.
        if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES, errno.ENOENT):
            os.close(descriptor)
            raise
    os.close(descriptor)
    return -1


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
