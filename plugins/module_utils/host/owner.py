# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The owner of a cache, as whom root acts in it.

Whoever may write in a folder decides where its paths lead. What root does there is therefore done
in a process that has the rights of the folder's owner, and no others.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import signal
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.safe_folder import SafeFolder

_SETPRIV = "/usr/bin/setpriv"
_NO_GROUP = 65534
_PR_SET_NO_NEW_PRIVS = 38

Say = Callable[[Any], None]


@dataclass(frozen=True)
class Owner:
    """uid and gid of the owner of a directory; root_acts: whether root acts for the owner."""

    uid: int
    gid: int
    root_acts: bool

    @classmethod
    def of(cls, path: str) -> Owner:
        """As whom this process writes in path: as itself, but root as the owner of path.

        Where it does not exist, the nearest directory above it counts. Raises Blocked where a link
        or a directory of another user could lead root there, for one of root's in which others may
        write, and for a link to a folder of the system; and OSError.
        """
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), False)
        folder, missing = SafeFolder.nearest(path)
        with folder:
            refuse_link_to_system(folder)
            uid = folder.status.st_uid
            # Nobody else can move away what root creates in a sticky directory.
            kept = bool(missing) and bool(folder.status.st_mode & stat.S_ISVTX)
            folder.require(private=uid == 0 and not kept)
            return cls(uid, group_of(uid, folder.status.st_gid), True)

    @classmethod
    def reader_of(cls, path: str) -> Owner:
        """As whom this process reads in path: root as the first other owner on the way there.

        That user can lead the way elsewhere, and reads there as well what root has left in a
        directory of the user's. Raises Blocked for a link of another user, and OSError.
        """
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), False)
        with SafeFolder.open(path) as folder:
            names = folder.path.split("/")
            for count in range(2, len(names) + 1):
                status = os.lstat("/".join(names[:count]))
                if status.st_uid != 0:
                    return cls(status.st_uid, group_of(status.st_uid, status.st_gid), True)
            folder.require()
            return cls(0, 0, True)

    @property
    def is_another(self) -> bool:
        """Whether this process is root, and the owner is not."""
        return self.root_acts and self.uid != 0

    def command(self, argv: Sequence[str]) -> list[str]:
        """argv, to be run as the owner."""
        if not self.is_another:
            return list(argv)
        who = ["--reuid=%d" % self.uid, "--regid=%d" % self.gid, "--clear-groups"]
        return [_SETPRIV, *who, "--no-new-privs", "--", *argv]

    def give(self, path: str) -> None:
        """Make a scratch file or folder of this process, in which nobody else may write, theirs."""
        if self.is_another:
            os.lchown(path, self.uid, self.gid)

    def do(self, act: Callable[[], Any]) -> Any:
        """What act returns, a JSON value, from a process of the owner. Raises ChildProcessError.

        Where this process is the owner's already, act is called in it, and raises what it raises.
        """
        delegate = self.delegate(lambda _say: act())
        return delegate.result() if delegate else act()

    def delegate(self, act: Callable[[Say], Any]) -> Delegate | None:
        """A process of the owner that acts; None where this process is the owner's already."""
        return Delegate(self, act) if self.is_another else None


def group_of(uid: int, gid: int | None = None) -> int:
    """The group of a path if its owner is in it, else the owner's own; nobody's if there is none.

    A path of a user may well have the group of root, whose rights are not the user's.
    """
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return gid or _NO_GROUP
    if gid is not None and gid in os.getgrouplist(user.pw_name, user.pw_gid):
        return gid
    return user.pw_gid


def refuse_link_to_system(folder: SafeFolder) -> None:
    """Raises Blocked where links, of whoever they are, lead to a folder of the system or a home."""
    objection = folder.system_objection() if folder.links else None
    if objection:
        raise objection


class Delegate:
    """A process that has the rights of an owner, and what it says.

    act(say) runs in it; say takes JSON values. It has no other process's memory to give away: it
    cannot be traced by the owner, and what it starts gets no descriptors. Start it before threads.
    """

    def __init__(self, whose: Owner, act: Callable[[Say], Any]) -> None:
        self._reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _be(whose, act, writing)
        os.close(writing)

    def result(self, heard: Say = lambda _value: None) -> Any:
        """What act returns; heard is called with what it says until then.

        Raises ChildProcessError, an OSError, where act raised something, or its process was killed.
        """
        end: dict[str, Any] = {}
        try:
            with open(self._reading, encoding="utf-8") as stream:
                for line in stream:
                    end = foreign.json_of(line)
                    if "said" not in end:
                        break
                    heard(end["said"])
        finally:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        if "result" in end:
            return end["result"]
        text = "the process of the owner ended without a result"
        raise ChildProcessError(end.get("failed", text))


def _be(whose: Owner, act: Callable[[Say], Any], writing: int) -> NoReturn:
    """In the new process: become the owner, act, report, end."""
    try:
        with open(writing, "w", encoding="utf-8", closefd=False) as stream:

            def say(**line: Any) -> None:
                stream.write(json.dumps(line) + "\n")
                stream.flush()

            try:
                os.chdir("/")
                os.setgroups([])
                os.setresgid(whose.gid, whose.gid, whose.gid)
                os.setresuid(whose.uid, whose.uid, whose.uid)
                _forbid_new_privileges()
                say(result=act(lambda value: say(said=value)))
            except Exception as error:  # a traceback might show the request
                say(failed="unexpected: %s: %s" % (type(error).__name__, error))
    finally:
        os._exit(0)


def _forbid_new_privileges() -> None:
    """Of this process and all that it starts, as setpriv does."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl: no new privileges")
