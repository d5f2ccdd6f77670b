# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Sessions: RemoveIPC of logind, and lingering users, so that workers survive a logout."""

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
    CheckResult,
    Places,
    Wanted,
    blocked_result,
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
    "# Otherwise logind removes a user's shared memory at logout, while workers still use it.\n"
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
class Observed:
    """The configuration of logind, its present behaviour, and the lingering users.

    setting, without_ours and with_ours are (RemoveIPC, the file that sets it): as it is, without
    our file, and with it. removes is the present behaviour of logind, None if it does not run or
    answer. lingering is user -> whether lingering is enabled, None if the user does not exist.
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
) -> Observed:
    files = config_files("logind", at.systemd)
    ours, others = at.logind_file, [entry for entry in files if entry[0] != at.logind_file]
    # The main file comes first, then drop-ins by name.
    later = [entry for entry in others[1:] if os.path.basename(entry[0]) > os.path.basename(ours)]
    earlier = [entry for entry in others if entry not in later]
    runs = units.get(LOGIND, Unit()).runs
    return Observed(
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
    """Whether logind removes IPC objects at logout; None if it does not answer."""
    result = run([busctl, *_QUESTION], _SECONDS) if busctl else None
    answers = {"b true": True, "b false": False}
    return answers.get(result.stdout.strip()) if result and result.ok else None


def _lingers(user: str, folder: str) -> bool | None:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return None
    return os.path.exists(os.path.join(folder, user))


@dataclass(frozen=True)
class LogindReload:
    """Have logind reload its configuration; sessions are not affected."""

    systemctl: str
    busctl: str
    repairs: tuple[str, ...]
    subject: str = LOGIND
    before: str = "RemoveIPC=yes\n"
    after: str = "RemoveIPC=no\n"

    def apply(self) -> None:
        """Raises Blocked."""
        # The unit has no reload before systemd 256, but the signal works on older versions.
        argv = (self.systemctl, "kill", "--signal=HUP", LOGIND)
        result = run(argv, _SECONDS)
        if not result.ok:
            raise Blocked(
                "%s: %s" % (" ".join(argv), result.describe()),
                "It takes effect at the next boot.",
            )
        deadline = time.monotonic() + _RELOAD_SECONDS
        while ask_logind(self.busctl) is not False:
            if time.monotonic() > deadline:
                hint = (
                    "It takes effect at the next boot, or after `systemctl restart systemd-logind`."
                )
                raise Blocked("systemd-logind has not applied it", hint)
            time.sleep(0.05)


def judge(observed: Observed, wanted: Wanted) -> list[CheckResult]:
    file = _file(observed, wanted)
    return [file, _now(observed, wanted, file), _linger(observed)]


def _described(setting: tuple[bool | None, str]) -> str:
    value, path = setting
    if value is None:
        return "not set; the default of systemd is yes"
    return "RemoveIPC=%s in %s" % ("yes" if value else "no", path)


def _file(observed: Observed, wanted: Wanted) -> CheckResult:
    expected = "RemoveIPC=no for logind" if wanted.keep_ipc else "not managed"
    finding = Finding("remove_ipc", OK, expected, _described(observed.setting))
    ours = FILE_TEXT if wanted.keep_ipc else None
    if isinstance(observed.file, Blocked):
        if ours is None or observed.setting[0] is False:
            return CheckResult(finding)
        return blocked_result(
            replace(finding, severity=WARNING, actual=str(observed.file)), observed.file
        )
    differs = observed.file.differs(ours, _MODE)
    # If another file sets it, ours is not needed, but may exist.
    spared = observed.file.text is None and observed.without_ours[0] is False
    if not differs or spared:
        if ours and not spared and observed.setting[0] is not False:
            return _overruled(finding, observed.setting[1], observed.path)
        return CheckResult(finding)
    fix = "write %s" % observed.path if ours else "remove %s" % observed.path
    finding = replace(finding, status=DRIFT, severity=WARNING, fix=fix)
    if observed.file.text is not None:
        finding = replace(finding, actual=differs)
    if ours and observed.with_ours[0] is not False:
        return _overruled(finding, observed.with_ours[1], observed.path)
    if observed.file.obstacle:
        return blocked_result(finding, observed.file.obstacle)
    return CheckResult(finding, (FileWrite(observed.file, ours, _MODE, ("remove_ipc",)),))


def _overruled(finding: Finding, path: str, ours: str) -> CheckResult:
    reason = "%s sets RemoveIPC=yes and is read after %s" % (path, ours)
    obstacle = Blocked(reason, "Change it there.")
    return blocked_result(replace(finding, severity=WARNING), obstacle)


def _now(observed: Observed, wanted: Wanted, file: CheckResult) -> CheckResult:
    finding = Finding(
        "remove_ipc_now", OK, "logind removes no IPC objects at logout", "as expected"
    )
    if not wanted.keep_ipc:
        return CheckResult(replace(finding, expected="not managed", actual="not managed"))
    if observed.removes is None:
        reason = "not assessed: systemd-logind does not run or does not answer"
        return CheckResult(replace(finding, status=SKIPPED, actual=reason))
    if not observed.removes:
        return CheckResult(finding)
    finding = replace(
        finding,
        status=DRIFT,
        severity=WARNING,
        actual="logind removes a user's shared memory at logout",
        fix="reload the configuration of logind",
    )
    if file.finding.status == BLOCKED:
        return blocked_result(
            finding, Blocked("its configuration does not say RemoveIPC=no", "See remove_ipc.")
        )
    if not observed.root:
        return blocked_result(finding, NO_ROOT)
    return CheckResult(
        finding, (LogindReload(observed.systemctl, observed.busctl, ("remove_ipc_now",)),)
    )


def _linger(observed: Observed) -> CheckResult:
    users = sorted(observed.lingering)
    expected = "lingering enabled for %s" % ", ".join(users)
    finding = Finding(
        "linger", OK, expected if users else "no linger users configured", "as expected"
    )
    lacking = [user for user in users if not observed.lingering[user]]
    if not lacking:
        return CheckResult(finding)
    finding = replace(
        finding,
        status=DRIFT,
        severity=WARNING,
        actual="not enabled for %s" % ", ".join(lacking),
        fix="loginctl enable-linger %s" % " ".join(lacking),
    )
    unknown = [user for user in lacking if observed.lingering[user] is None]
    if unknown:
        reason = "users that do not exist on this node: %s" % ", ".join(unknown)
        return blocked_result(finding, Blocked(reason, "Create the user, or correct linger_users."))
    if not observed.loginctl:
        return blocked_result(
            finding, Blocked("loginctl is not installed", "It is part of systemd.")
        )
    if not observed.root:
        return blocked_result(finding, NO_ROOT)
    argv = (observed.loginctl, "enable-linger", *lacking)
    after = "".join("lingering for %s\n" % user for user in lacking)
    return CheckResult(finding, (Command("loginctl", argv, "", after, ("linger",)),))
