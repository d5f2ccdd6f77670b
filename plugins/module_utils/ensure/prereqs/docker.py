# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The Docker engine: there is one of the right kind, it answers, and its users may ask it."""

from __future__ import annotations

import fnmatch
import grp
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import Command
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    NO_ROOT,
    Judged,
    Places,
    Wanted,
    stopped,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import list_folder
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    DRIFT,
    OK,
    SKIPPED,
    WARNING,
    Action,
    Blocked,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.docker_engine import (
    Engine,
    ask_engine,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import Package
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import Unit

UNIT = "docker.service"
GROUP = "docker"
SNAP = "snap docker"

_PACKAGES = ("docker-ce", "docker.io")
_SECONDS = 10.0
_NOT_ASSESSED = "not assessed: see docker_engine"


@dataclass(frozen=True)
class Seen:
    """engines are what brings one: packages, SNAP, or the path of a dockerd of no package.

    members is user -> whether he is in the group; None for a user who does not exist.
    """

    engines: tuple[str, ...]
    unit: Unit
    problem: str
    engine: Engine
    has_group: bool
    members: Mapping[str, bool | None]
    systemctl: str
    usermod: str
    groupadd: str
    root: bool

    @property
    def sound(self) -> bool:
        """Whether there is one engine, and of the right kind."""
        return len(self.engines) == 1 and SNAP not in self.engines


def look(
    wanted: Wanted,
    at: Places,
    packages: Mapping[str, Package],
    units: tuple[Mapping[str, Unit], str],
    tools: Mapping[str, str],
    root: bool,
) -> Seen:
    engines = [name for name in _PACKAGES if name in packages and packages[name].installed]
    if fnmatch.filter(list_folder(at.snaps), "docker_*.snap"):
        engines.append(SNAP)
    if not engines and tools["dockerd"]:
        engines.append(tools["dockerd"])
    try:
        group: grp.struct_group | None = grp.getgrnam(GROUP)
    except KeyError:
        group = None
    unit = units[0].get(UNIT, Unit())
    # To ask would start it, where systemd listens on its socket.
    stopped_now = unit.there and not unit.runs
    return Seen(
        tuple(engines),
        unit,
        units[1],
        Engine(problem="%s does not run" % UNIT)
        if stopped_now
        else ask_engine(at.docker_socket, _SECONDS),
        group is not None,
        {user: _is_member(user, group) for user in wanted.docker_users},
        tools["systemctl"],
        tools["usermod"],
        tools["groupadd"],
        root,
    )


def _is_member(user: str, group: grp.struct_group | None) -> bool | None:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return None
    return group is not None and (user in group.gr_mem or entry.pw_gid == group.gr_gid)


def judge(seen: Seen, wanted: Wanted) -> list[Judged]:
    engine = _engine(seen, wanted)
    return [engine, _running(seen, wanted, engine), _group(seen, engine)]


def _engine(seen: Seen, wanted: Wanted) -> Judged:
    expected = "one Docker engine, from docker-ce or docker.io"
    told = " and ".join(seen.engines) or "there is none"
    finding = Finding("docker_engine", OK, expected, told)
    if seen.sound:
        return Judged(finding)
    finding = replace(finding, severity=CRITICAL)
    if SNAP in seen.engines:
        hint = (
            "The snap cannot use the NVIDIA container toolkit. `snap remove docker`, and have"
            " docker-ce, as DGX OS does."
        )
        return Judged(replace(finding, status=BLOCKED, hint=hint))
    if seen.engines:
        hint = "Remove one of them: both manage the same containers, with another containerd each."
        return Judged(replace(finding, status=BLOCKED, hint=hint))
    names = tuple(wanted.docker_packages)
    if not names:
        hint = "Install docker-ce, as DGX OS has it, or name the packages in docker_packages."
        return Judged(replace(finding, status=BLOCKED, hint=hint))
    fix = "install %s" % ", ".join(names)
    return Judged(replace(finding, status=DRIFT, fix=fix), packages=names)


def _installing(engine: Judged, wanted: Wanted) -> bool:
    return engine.finding.status == DRIFT and engine.finding.check not in wanted.exempt


def _running(seen: Seen, wanted: Wanted, engine: Judged) -> Judged:
    expected = "the engine answers, and starts with the node"
    finding = Finding("docker_running", OK, expected, "version %s" % seen.engine.version)
    if not seen.engines and not _installing(engine, wanted):
        return Judged(replace(finding, status=SKIPPED, actual=_NOT_ASSESSED))
    if seen.engine.forbidden:
        reason = "not assessed: %s" % seen.engine.problem
        return Judged(replace(finding, status=SKIPPED, actual=reason))
    lacking = [seen.engine.problem] if seen.engine.problem else []
    known = not seen.problem and seen.unit.there
    if known and not seen.unit.enabled:
        lacking.append("%s is not enabled" % UNIT)
    if not lacking:
        return Judged(finding)
    fix = "systemctl enable --now %s" % UNIT
    finding = replace(finding, status=DRIFT, severity=CRITICAL, actual="; ".join(lacking), fix=fix)
    action = Command(
        UNIT,
        (seen.systemctl, "enable", "--now", UNIT),
        "",
        "enabled and running\n",
        ("docker_running",),
        timeout=120.0,
        hint="Look at `journalctl --unit docker`.",
    )
    if not seen.engines:
        return Judged(finding, (action,), engine.packages)
    if seen.unit.runs and seen.unit.enabled:
        hint = "Look at `journalctl --unit docker`; restarting it may stop what is served."
        return Judged(replace(finding, status=BLOCKED, fix="", hint=hint))
    if not known:
        told = seen.problem or "systemd knows no unit %s" % UNIT
        return stopped(finding, Blocked(told, "Start the engine the way it was installed."))
    return Judged(finding, (action,)) if seen.root else stopped(finding, NO_ROOT)


def _group(seen: Seen, engine: Judged) -> Judged:
    users = sorted(seen.members)
    expected = "%s in the group %s" % (", ".join(users), GROUP) if users else "nobody has to be"
    finding = Finding("docker_group", OK, expected, "as expected")
    lacking = [user for user in users if not seen.members[user]]
    if not lacking:
        return Judged(finding)
    if not seen.engines:
        return Judged(replace(finding, status=SKIPPED, actual=_NOT_ASSESSED))
    finding = replace(
        finding,
        status=DRIFT,
        severity=WARNING,
        actual="%s not" % ", ".join(lacking),
        fix="add them; it holds from their next login",
    )
    strangers = [user for user in lacking if seen.members[user] is None]
    if strangers:
        found = "no user %s on this node" % ", ".join(strangers)
        return stopped(finding, Blocked(found, "Make the user, or correct docker_users."))
    if not seen.usermod or not seen.groupadd:
        return stopped(finding, Blocked("there is no usermod here", "Install passwd."))
    if not seen.root:
        return stopped(finding, NO_ROOT)
    actions: list[Action] = []
    repairs = ("docker_group",)
    if not seen.has_group:
        make = (seen.groupadd, "--system", GROUP)
        actions.append(Command("groups", make, "", "%s made\n" % GROUP, repairs))
    for user in lacking:
        add = (seen.usermod, "--append", "--groups", GROUP, user)
        actions.append(Command("groups", add, "", "%s in %s\n" % (user, GROUP), repairs))
    return Judged(finding, tuple(actions))
