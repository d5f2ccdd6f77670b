# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""That workers outlive the login that started them: RemoveIPC of logind, and lingering users."""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import Command
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.file_findings import (
    own_file,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    NO_ROOT,
    Judged,
    Places,
    Wanted,
    stopped,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    COMMENT,
    FileWrite,
    OwnFile,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    DRIFT,
    OK,
    SKIPPED,
    WARNING,
    Blocked,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import (
    Unit,
    config_files,
    switch,
)

LOGIND = "systemd-logind.service"
FILE_TEXT = COMMENT + (
    "# Otherwise a user's shared memory is removed when he logs out, under his workers.\n"
    "[Login]\n"
    "RemoveIPC=no\n"
)

_MODE = 0o644
_SECONDS = 20.0
_RELOAD_SECONDS = 5.0
_QUESTION = (
    *("get-property", "org.freedesktop.login1", "/org/freedesktop/login1"),
    *("org.freedesktop.login1.Manager", "RemoveIPC"),
)


@dataclass(frozen=True)
class Seen:
    """What logind is told, what it does, and who lingers.

    others are (path, text) of logind's files but ours; with_ours what they come to once ours is
    there. removes is what logind does at present, None where it does not run or does not tell.
    lingering is user -> whether he does, None for one who does not exist.
    """

    file: OwnFile | Blocked
    path: str
    setting: tuple[bool | None, str]
    without_ours: tuple[bool | None, str]
    with_ours: tuple[bool | None, str]
    removes: bool | None
    lingering: Mapping[str, bool | None]
    systemctl: str
    busctl: str
    loginctl: str
    root: bool


def look(
    wanted: Wanted, at: Places, units: Mapping[str, Unit], tools: Mapping[str, str], root: bool
) -> Seen:
    files = config_files("logind", at.systemd)
    ours, others = at.logind_file, [one for one in files if one[0] != at.logind_file]
    # The main file comes first, then drop-ins by name.
    later = [one for one in others[1:] if os.path.basename(one[0]) > os.path.basename(ours)]
    earlier = [one for one in others if one not in later]
    runs = units.get(LOGIND, Unit()).runs
    return Seen(
        own_file(ours),
        ours,
        switch(files, "Login", "RemoveIPC"),
        switch(others, "Login", "RemoveIPC"),
        switch([*earlier, (ours, FILE_TEXT), *later], "Login", "RemoveIPC"),
        ask_logind(tools["busctl"]) if runs else None,
        {user: _lingers(user, at.linger) for user in wanted.linger_users},
        tools["systemctl"],
        tools["busctl"],
        tools["loginctl"],
        root,
    )


def ask_logind(busctl: str) -> bool | None:
    """Whether logind removes what users leave behind; None where it does not tell."""
    told = run([busctl, *_QUESTION], _SECONDS) if busctl else None
    answers = {"b true": True, "b false": False}
    return answers.get(told.stdout.strip()) if told and told.ok else None


def _lingers(user: str, folder: str) -> bool | None:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return None
    return os.path.exists(os.path.join(folder, user))


@dataclass(frozen=True)
class LogindReload:
    """Have logind read its files again; sessions stay as they are."""

    systemctl: str
    busctl: str
    repairs: tuple[str, ...]
    subject: str = LOGIND
    before: str = "RemoveIPC=yes\n"
    after: str = "RemoveIPC=no\n"

    def apply(self) -> None:
        """Raises Blocked."""
        # Its unit has no reload before systemd 256, but the signal is understood since long.
        argv = (self.systemctl, "kill", "--signal=HUP", LOGIND)
        told = run(argv, _SECONDS)
        if not told.ok:
            raise Blocked(
                "%s: %s" % (" ".join(argv), told.describe()),
                "It is in force after the next boot.",
            )
        deadline = time.monotonic() + _RELOAD_SECONDS
        while ask_logind(self.busctl) is not False:
            if time.monotonic() > deadline:
                hint = "It is in force after the next boot, or `systemctl restart systemd-logind`."
                raise Blocked("systemd-logind has not taken it over", hint)
            time.sleep(0.05)


def judge(seen: Seen, wanted: Wanted) -> list[Judged]:
    file = _file(seen, wanted)
    return [file, _now(seen, wanted, file), _linger(seen)]


def _told(setting: tuple[bool | None, str]) -> str:
    value, path = setting
    if value is None:
        return "nothing says so, and systemd's own default is yes"
    return "RemoveIPC=%s in %s" % ("yes" if value else "no", path)


def _file(seen: Seen, wanted: Wanted) -> Judged:
    expected = "RemoveIPC=no in what logind reads" if wanted.keep_ipc else "none of ours"
    finding = Finding("remove_ipc", OK, expected, _told(seen.setting))
    ours = FILE_TEXT if wanted.keep_ipc else None
    if isinstance(seen.file, Blocked):
        if ours is None or seen.setting[0] is False:
            return Judged(finding)
        return stopped(replace(finding, severity=WARNING, actual=str(seen.file)), seen.file)
    differs = seen.file.differs(ours, _MODE)
    # Where others say so, ours is not needed; one that is there is as it should be.
    spared = seen.file.text is None and seen.without_ours[0] is False
    if not differs or spared:
        if ours and not spared and seen.setting[0] is not False:
            return _overruled(finding, seen.setting[1])
        return Judged(finding)
    fix = "write %s" % seen.path if ours else "remove %s" % seen.path
    finding = replace(finding, status=DRIFT, severity=WARNING, fix=fix)
    if seen.file.text is not None:
        finding = replace(finding, actual=differs)
    if ours and seen.with_ours[0] is not False:
        return _overruled(finding, seen.with_ours[1])
    if seen.file.obstacle:
        return stopped(finding, seen.file.obstacle)
    return Judged(finding, (FileWrite(seen.file, ours, _MODE, ("remove_ipc",)),))


def _overruled(finding: Finding, path: str) -> Judged:
    obstacle = Blocked("%s says RemoveIPC=yes, and comes later" % path, "Change it there.")
    return stopped(replace(finding, severity=WARNING), obstacle)


def _now(seen: Seen, wanted: Wanted, file: Judged) -> Judged:
    finding = Finding("remove_ipc_now", OK, "logind removes nothing at a logout", "it does not")
    if not wanted.keep_ipc:
        return Judged(replace(finding, expected="whatever it does", actual="nothing is wanted"))
    if seen.removes is None:
        reason = "not assessed: systemd-logind does not run, or does not tell"
        return Judged(replace(finding, status=SKIPPED, actual=reason))
    if not seen.removes:
        return Judged(finding)
    finding = replace(
        finding,
        status=DRIFT,
        severity=WARNING,
        actual="it removes a user's shared memory when he logs out",
        fix="have it read its files again",
    )
    if file.finding.status == BLOCKED:
        return stopped(finding, Blocked("its files do not say so", "See remove_ipc."))
    if not seen.root:
        return stopped(finding, NO_ROOT)
    return Judged(finding, (LogindReload(seen.systemctl, seen.busctl, ("remove_ipc_now",)),))


def _linger(seen: Seen) -> Judged:
    users = sorted(seen.lingering)
    expected = "systemd keeps the services of %s without a login" % ", ".join(users)
    finding = Finding("linger", OK, expected if users else "nobody has to linger", "as expected")
    lacking = [user for user in users if not seen.lingering[user]]
    if not lacking:
        return Judged(finding)
    finding = replace(
        finding,
        status=DRIFT,
        severity=WARNING,
        actual="not those of %s" % ", ".join(lacking),
        fix="loginctl enable-linger %s" % " ".join(lacking),
    )
    strangers = [user for user in lacking if seen.lingering[user] is None]
    if strangers:
        found = "no user %s on this node" % ", ".join(strangers)
        return stopped(finding, Blocked(found, "Make the user, or correct linger_users."))
    if not seen.loginctl:
        return stopped(finding, Blocked("there is no loginctl here", "It is part of systemd."))
    if not seen.root:
        return stopped(finding, NO_ROOT)
    argv = (seen.loginctl, "enable-linger", *lacking)
    after = "".join("%s lingers\n" % user for user in lacking)
    return Judged(finding, (Command("loginctl", argv, "", after, ("linger",)),))
