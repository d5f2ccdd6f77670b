# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The user of the launchers, and the token that Ray requires of its nodes."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import re
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import Command
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.file_findings import (
    Judged,
    blocked_by,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.launcher_texts import STATE
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    make_directories,
    obstacle_to,
    replace_file,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    DRIFT,
    OK,
    WARNING,
    Blocked,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.distributions import (
    site_packages,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.ptxas import version_key

# The user that is created; any other has to exist.
USER = "dgxspark"
# Groups of the GPU's device files on some systems.
_GROUPS = ("video", "render")
# From this version on Ray can require a token.
_ASKS = (2, 52)
_TOKEN_MODE = 0o600
_TOGETHER = (
    "Run ansible-playbook dgxspark.suite.site --tags launchers for the head and the workers of Ray"
    " together."
)


@dataclass(frozen=True)
class Account:
    """A user. uid is -1 if there is none; missing are groups of the GPU that lack the user."""

    name: str
    uid: int = -1
    missing: tuple[str, ...] = ()
    own_group: bool = False  # whether a group of that name exists
    useradd: str = ""
    usermod: str = ""
    is_root: bool = True  # whether this process may change users

    @classmethod
    def read(cls, name: str) -> Account:
        """The user as it is. Changes nothing."""
        missing = []
        for group in _GROUPS:
            with suppress(KeyError):
                if name not in grp.getgrnam(group).gr_mem:
                    missing.append(group)
        try:
            uid = pwd.getpwnam(name).pw_uid
        except KeyError:
            uid = -1
        try:
            own_group = bool(grp.getgrnam(name))
        except KeyError:
            own_group = False
        tools = find_tool("useradd"), find_tool("usermod")
        return cls(name, uid, tuple(missing), own_group, *tools, os.geteuid() == 0)

    @property
    def creation(self) -> tuple[str, ...]:
        """The command that creates the user."""
        group = ("--gid", self.name) if self.own_group else ("--user-group",)
        groups = ("--groups", ",".join(self.missing)) if self.missing else ()
        home = ("--home-dir", "/var/lib/%s" % STATE, "--no-create-home")
        shell = ("--shell", "/usr/sbin/nologin")
        return (self.useradd, "--system", *group, *groups, *home, *shell, self.name)


def judge_user(account: Account) -> Judged:
    """Whether the user exists and may use the GPU, and its creation if not."""
    check, name = "launchers_user", account.name
    finding = Finding(check, OK, "the user %s" % name, "as expected")
    if account.uid >= 0 and (name != USER or not account.missing):
        return finding, ()
    if account.uid < 0 and name != USER:
        hint = "Create it, or use %s, which is created (role: dgxspark_launchers_user)." % USER
        actual = "there is no user %s" % name
        return replace(finding, status=BLOCKED, severity=WARNING, actual=actual, hint=hint), ()
    if account.uid < 0:
        actual, argv = "there is no user %s" % name, account.creation
        fix, after = "create the system user %s, without a login" % name, "user %s\n" % name
    else:
        groups = ",".join(account.missing)
        actual, fix = "%s is not in %s" % (name, groups), "add %s to %s" % (name, groups)
        argv = (account.usermod, "--append", "--groups", groups, name)
        after = "%s in %s\n" % (name, groups)
    finding = replace(finding, status=DRIFT, severity=WARNING, actual=actual, fix=fix)
    if not account.is_root:
        return blocked_by(finding, Blocked("only root can do that", "Run as root (become).")), ()
    if not argv[0]:
        missing = Blocked("useradd is not installed", "Install the package passwd.")
        return blocked_by(finding, missing), ()
    return finding, (Command("users", argv, "", after, (check,)),)


@dataclass(frozen=True)
class Token:
    """The file with Ray's token. kind is absent, file or other; its content is never read.

    obstacle: why it cannot be replaced, or created with its directory; None if it can.
    """

    path: str
    kind: str = "absent"
    mode: int = 0
    uid: int = -1
    size: int = 0
    obstacle: Blocked | None = None

    @classmethod
    def read(cls, path: str) -> Token:
        """The file as it is. Changes nothing."""
        obstacle = obstacle_to(path)
        try:
            status = os.lstat(path)
        except OSError:
            return cls(path, obstacle=obstacle)
        kind = "file" if stat.S_ISREG(status.st_mode) else "other"
        mode = stat.S_IMODE(status.st_mode)
        return cls(path, kind, mode, status.st_uid, status.st_size, obstacle)


@dataclass(frozen=True)
class TokenChange:
    """Create the token, or give its file to the user. No text of it is shown."""

    token: Token
    user: str
    create: bool
    repairs: tuple[str, ...]

    @property
    def subject(self) -> str:
        return self.token.path

    @property
    def before(self) -> str:
        return "" if self.token.kind == "absent" else _described(self.token.mode, self.token.uid)

    @property
    def after(self) -> str:
        return "a token of mode %04o for %s\n" % (_TOKEN_MODE, self.user)

    def apply(self) -> None:
        """Raises Blocked or OSError."""
        try:
            user = pwd.getpwnam(self.user)
        except KeyError as error:
            raise Blocked("there is no user %s" % self.user, "See launchers_user.") from error
        owner = user.pw_uid if os.geteuid() == 0 else os.geteuid()
        if Token.read(self.token.path).kind == "absent":
            if not self.create:
                raise Blocked("the token of Ray's head is not on this node", _TOGETHER)
            make_directories(os.path.dirname(self.token.path))
            replace_file(self.token.path, secrets.token_hex(32).encode(), _TOKEN_MODE, owner)
            return
        descriptor = os.open(self.token.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.fchmod(descriptor, _TOKEN_MODE)
            if os.geteuid() == 0:
                os.fchown(descriptor, owner, 0)
        finally:
            os.close(descriptor)


def _described(mode: int, uid: int) -> str:
    return "a token of mode %04o of user %d\n" % (mode, uid)


def ray_version(ray: str) -> str:
    """The version of the Ray of a program in a virtual environment; empty if unknown.

    From the names of its files: nothing is run.
    """
    if not os.path.isabs(ray):
        return ""
    venv = os.path.dirname(os.path.dirname(ray))
    for site in site_packages(venv):
        for path in glob.glob(os.path.join(glob.escape(site), "ray-*.dist-info")):
            match = re.fullmatch(r"ray-([0-9][0-9.]*).*\.dist-info", os.path.basename(path))
            if match:
                return match[1]
    return ""


def judge_token(token: Token, account: Account, version: str, is_head: bool) -> Judged:
    """Whether Ray can require the token, and this node has it for the user."""
    check = "ray_token"
    expected = "%s, of mode %04o and of %s" % (token.path, _TOKEN_MODE, account.name)
    finding = Finding(check, OK, expected, "as expected")
    if version and version_key(version)[:2] < _ASKS:
        actual = "Ray %s requires no token: whoever reaches this node could control it" % version
        hint = (
            "Install Ray 2.52 or later (dgxspark_vllm_venv_requirements), or start it without a"
            " token behind a firewall (dgxspark_launchers_ray_auth: false)."
        )
        return replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=hint), ()
    if token.kind == "other":
        hint = "Check what it is, and move it away."
        actual = "%s is not a file" % token.path
        return replace(finding, status=BLOCKED, severity=CRITICAL, actual=actual, hint=hint), ()
    actual, fix = _difference(token, account, is_head)
    if not actual:
        return finding, ()
    finding = replace(finding, status=DRIFT, severity=CRITICAL, actual=actual, fix=fix)
    if token.obstacle:
        return blocked_by(finding, token.obstacle), ()
    return finding, (TokenChange(token, account.name, is_head, (check,)),)


def _difference(token: Token, account: Account, is_head: bool) -> Sequence[str]:
    """(how the file differs, what repairs it); both are empty if it does not."""
    if token.kind == "absent":
        fix = "create a token" if is_head else "copy the token of Ray's head"
        return "%s does not exist" % token.path, fix
    if (token.mode, token.uid) == (_TOKEN_MODE, account.uid):
        return "", ""
    actual = "%s has mode %04o and belongs to user %d" % (token.path, token.mode, token.uid)
    return actual, "set mode %04o and the owner %s" % (_TOKEN_MODE, account.name)
