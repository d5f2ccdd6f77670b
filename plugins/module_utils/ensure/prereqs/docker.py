# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The Docker engine: exactly one, running, and usable by the users of docker_users."""

from __future__ import annotations

import fnmatch
import grp
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.commands import Command
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.unit_findings import (
    masked_units,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    NO_ROOT,
    CheckResult,
    Places,
    Wanted,
    blocked_result,
)
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
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import (
    list_folder,
    read_text,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.docker_config import (
    data_root,
    start_problem,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.docker_engine import (
    DockerEngine,
    ask_data_root,
    ask_engine,
    rootless_engines,
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
class Observed:
    """engines are the sources of an engine: packages, SNAP, or the path of an unpackaged dockerd.

    members is user -> whether the user is in the group; None for a user that does not exist.
    rootless are the users whose own engine listens; start_problem is why the engine would not start
    again; roots are its folder now and from its next start on, empty if not known or not set.
    """

    engines: tuple[str, ...]
    unit: Unit
    problem: str
    engine: DockerEngine
    has_group: bool
    members: Mapping[str, bool | None]
    systemctl: str
    usermod: str
    groupadd: str
    root: bool
    rootless: tuple[str, ...] = ()
    start_problem: str = ""
    roots: tuple[str, str] = ("", "")

    @property
    def sound(self) -> bool:
        """Whether there is exactly one engine, and not the snap."""
        return len(self.engines) == 1 and SNAP not in self.engines


def look(
    wanted: Wanted,
    at: Places,
    packages: Mapping[str, Package],
    units: tuple[Mapping[str, Unit], str],
    tools: Mapping[str, str],
    root: bool,
) -> Observed:
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
    # A request would start the engine if systemd listens on its socket.
    stopped_now = unit.there and not unit.runs
    return Observed(
        tuple(engines),
        unit,
        units[1],
        DockerEngine(problem="%s is not running" % UNIT)
        if stopped_now
        else ask_engine(at.docker_socket, _SECONDS),
        group is not None,
        {user: _is_member(user, group) for user in wanted.docker_users},
        tools["systemctl"],
        tools["usermod"],
        tools["groupadd"],
        root,
        tuple(_owner(path) for path in rootless_engines(at.run_users)),
        start_problem(at.docker_file, _command_line(at.proc, unit.pid)),
        _roots(at, unit),
    )


def _roots(at: Places, unit: Unit) -> tuple[str, str]:
    coming = data_root(at.docker_file)
    # Asked only where it can matter: the answer takes the engine a while.
    return (ask_data_root(at.docker_socket, _SECONDS) if coming and unit.runs else "", coming)


def _owner(path: str) -> str:
    """The user of /run/user/UID/docker.sock."""
    uid = os.path.basename(os.path.dirname(path))
    try:
        return pwd.getpwuid(int(uid)).pw_name
    except (KeyError, ValueError, OverflowError):
        return uid


def _command_line(proc: str, pid: int) -> list[str]:
    return (read_text("%s/%d/cmdline" % (proc, pid)) or "").split("\0") if pid else []


def _is_member(user: str, group: grp.struct_group | None) -> bool | None:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return None
    return group is not None and (user in group.gr_mem or entry.pw_gid == group.gr_gid)


def judge(observed: Observed, wanted: Wanted) -> list[CheckResult]:
    engine = _engine(observed, wanted)
    running = _running(observed, wanted, engine)
    return [engine, running, _at_boot(observed), _group(observed, engine)]


def _engine(observed: Observed, wanted: Wanted) -> CheckResult:
    expected = "one Docker engine, from docker-ce or docker.io"
    engines = " and ".join(observed.engines) or "none is installed"
    finding = Finding("docker_engine", OK, expected, engines)
    if observed.rootless:
        own = " and ".join(observed.rootless)
        finding = replace(finding, actual="%s; rootless Docker of %s" % (engines, own))
    if observed.engine.podman:
        actual = "Podman answers as Docker, and gives no GPU to a container by this API"
        hint = "Remove podman-docker and its socket (podman.socket), then install docker-ce."
        finding = replace(finding, severity=CRITICAL, actual=actual, hint=hint)
        return CheckResult(replace(finding, status=BLOCKED))
    if observed.sound:
        return CheckResult(finding)
    finding = replace(finding, severity=CRITICAL)
    if SNAP in observed.engines:
        hint = (
            "The snap cannot use the NVIDIA container toolkit. Run `snap remove docker` and install"
            " docker-ce, as on DGX OS."
        )
        return CheckResult(replace(finding, status=BLOCKED, hint=hint))
    if observed.engines:
        hint = "Remove one of them: each brings its own containerd."
        return CheckResult(replace(finding, status=BLOCKED, hint=hint))
    names = tuple(wanted.docker_packages)
    if not names:
        hint = "Install docker-ce, as on DGX OS, or set docker_packages."
        return CheckResult(replace(finding, status=BLOCKED, hint=hint))
    fix = "install %s" % ", ".join(names)
    return CheckResult(replace(finding, status=DRIFT, fix=fix), packages=names)


def _installing(engine: CheckResult, wanted: Wanted) -> bool:
    return engine.finding.status == DRIFT and engine.finding.check not in wanted.exempt


def _running(observed: Observed, wanted: Wanted, engine: CheckResult) -> CheckResult:
    expected = "the engine answers and is enabled at boot"
    finding = Finding("docker_running", OK, expected, "version %s" % observed.engine.version)
    if not observed.engines and not _installing(engine, wanted):
        return CheckResult(replace(finding, status=SKIPPED, actual=_NOT_ASSESSED))
    if observed.engine.podman:
        return CheckResult(replace(finding, status=SKIPPED, actual=_NOT_ASSESSED))
    if observed.engine.forbidden:
        reason = "not assessed: %s" % observed.engine.problem
        return CheckResult(replace(finding, status=SKIPPED, actual=reason))
    lacking = [observed.engine.problem] if observed.engine.problem else []
    known = not observed.problem and observed.unit.there
    if known and not observed.unit.enabled:
        lacking.append("%s is not enabled" % UNIT)
    if not lacking:
        return CheckResult(finding)
    fix = "systemctl enable --now %s" % UNIT
    finding = replace(finding, status=DRIFT, severity=CRITICAL, actual="; ".join(lacking), fix=fix)
    action = Command(
        UNIT,
        (observed.systemctl, "enable", "--now", UNIT),
        "",
        "enabled and running\n",
        ("docker_running",),
        timeout=120.0,
        hint="See `journalctl --unit docker`.",
    )
    if not observed.engines:
        return CheckResult(finding, (action,), engine.packages)
    if observed.unit.runs and observed.unit.enabled:
        hint = "See `journalctl --unit docker`. A restart may stop running models."
        return CheckResult(replace(finding, status=BLOCKED, fix="", hint=hint))
    if observed.rootless and not observed.unit.runs and not observed.unit.enabled:
        own = " and ".join(observed.rootless)
        hint = (
            "Launches need the engine of the system. If it may run beside that one, run"
            " `systemctl enable --now %s`." % UNIT
        )
        return blocked_result(finding, Blocked("rootless Docker of %s listens" % own, hint))
    if observed.unit.masked:
        return blocked_result(finding, masked_units((UNIT,)))
    if not known:
        obstacle = observed.problem or "systemd has no unit %s" % UNIT
        return blocked_result(
            finding, Blocked(obstacle, "Start the engine as its installation documents.")
        )
    return CheckResult(finding, (action,)) if observed.root else blocked_result(finding, NO_ROOT)


def _at_boot(observed: Observed) -> CheckResult:
    """The next start of the engine, which an error in its file prevents."""
    expected = "a configuration with which the engine starts again"
    finding = Finding("docker_at_boot", OK, expected, "as expected")
    now, coming = observed.roots
    if observed.sound and now and os.path.realpath(now) != os.path.realpath(coming):
        actual = "the engine has its images in %s, and from its next start on in %s" % (now, coming)
        hint = "Move them while Docker is stopped, or take data-root out of daemon.json."
        finding = replace(finding, severity=CRITICAL, actual=actual, hint=hint)
        return CheckResult(replace(finding, status=BLOCKED))
    if not observed.sound or not observed.start_problem:
        return CheckResult(finding)
    hint = "Correct it, then check it: `dockerd --validate`. The running engine does not read it."
    problem = replace(finding, status=BLOCKED, severity=CRITICAL, actual=observed.start_problem)
    return CheckResult(replace(problem, hint=hint))


def _group(observed: Observed, engine: CheckResult) -> CheckResult:
    users = sorted(observed.members)
    expected = "%s in the group %s" % (", ".join(users), GROUP) if users else "no users configured"
    finding = Finding("docker_group", OK, expected, "as expected")
    lacking = [user for user in users if not observed.members[user]]
    if not lacking:
        return CheckResult(finding)
    if not observed.engines:
        return CheckResult(replace(finding, status=SKIPPED, actual=_NOT_ASSESSED))
    finding = replace(
        finding,
        status=DRIFT,
        severity=WARNING,
        actual="not in the group: %s" % ", ".join(lacking),
        fix="add them (effective from their next login)",
    )
    unknown = [user for user in lacking if observed.members[user] is None]
    if unknown:
        reason = "users that do not exist on this node: %s" % ", ".join(unknown)
        return blocked_result(finding, Blocked(reason, "Create the user, or correct docker_users."))
    if not observed.usermod or not observed.groupadd:
        return blocked_result(
            finding, Blocked("usermod is not installed", "Install the package passwd.")
        )
    if not observed.root:
        return blocked_result(finding, NO_ROOT)
    actions: list[Action] = []
    repairs = ("docker_group",)
    if not observed.has_group:
        make = (observed.groupadd, "--system", GROUP)
        actions.append(Command("groups", make, "", "group %s\n" % GROUP, repairs))
    for user in lacking:
        add = (observed.usermod, "--append", "--groups", GROUP, user)
        actions.append(Command("groups", add, "", "%s in %s\n" % (user, GROUP), repairs))
    return CheckResult(finding, tuple(actions))
