# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What a node needs before anything else: system, packages, time, sessions, Docker.

Each topic has a file of its own, which looks and judges. Here they come together: what they need
installed is installed in one go, ahead of everything else.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.apt_install import (
    SIMULATE_SECONDS,
    Installation,
    objection,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.spec import Spec
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs import (
    docker,
    install,
    limits,
    nvidia,
    packages,
    release,
    sessions,
    timekeeping,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    PACKAGES,
    TIME_PACKAGES,
    Judged,
    Places,
    Wanted,
    stopped,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Action, Plan
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.addresses import ask_addresses
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.apt import Simulation, simulate
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.clock import kernel_clock
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import ask_units

_TOOLS = (
    *("apt-get", "systemctl", "busctl", "loginctl", "usermod", "groupadd"),
    *("ip", "dockerd", "nvidia-ctk"),
)
_SECONDS = 20.0


@dataclass(frozen=True)
class Observed:
    """Everything the plan depends on. simulation is what apt would do about what is missing."""

    release: release.Seen
    packages: packages.Seen
    time: timekeeping.Seen
    limits: limits.Seen
    sessions: sessions.Seen
    docker: docker.Seen
    nvidia: nvidia.Seen
    machine: tuple[str, str]  # the kernel's release, and the architecture
    addresses: Sequence[dict[str, Any]]
    root: bool
    simulation: Simulation | None = None


def observe(wanted: Wanted, places: Places | None = None) -> Observed:
    """Read the node; a run waits for whoever is at work with dpkg, for lock_timeout."""
    at = places or Places()
    root = at.root
    tools = {name: find_tool(name, at.tools) for name in _TOOLS}
    units = ask_units(
        tools["systemctl"], (*timekeeping.UNITS, sessions.LOGIND, docker.UNIT), _SECONDS
    )
    dpkg = packages.look(at, tools["apt-get"], wanted.lock_timeout if wanted.act else 0.0)
    observed = Observed(
        release.look(at),
        dpkg,
        timekeeping.Seen(*units, kernel_clock(), tools["systemctl"], root),
        limits.look(at),
        sessions.look(wanted, at, units[0], tools, root),
        docker.look(wanted, at, dpkg.packages, units, tools, root),
        nvidia.look(at, tools["nvidia-ctk"]),
        (platform.release(), platform.machine()),
        ask_addresses(tools["ip"], _SECONDS),
        root,
    )
    names = _needed(_judged(observed, wanted), wanted)
    if not names or install.obstacle(dpkg, root, names):
        return observed
    planned = simulate(tools["apt-get"], names, SIMULATE_SECONDS)
    return replace(observed, simulation=planned)


def _judged(observed: Observed, wanted: Wanted) -> list[Judged]:
    return [
        *release.judge(observed.release, wanted),
        *packages.judge(observed.packages, wanted),
        *timekeeping.judge(observed.time, wanted),
        *limits.judge(observed.limits, wanted),
        *sessions.judge(observed.sessions, wanted),
        *docker.judge(observed.docker, wanted),
        *nvidia.judge(observed.nvidia, wanted),
    ]


def _needed(judged: Sequence[Judged], wanted: Wanted) -> tuple[str, ...]:
    """What is to be installed, in order, for all checks that are not exempt."""
    needs = [one.packages for one in judged if one.finding.check not in wanted.exempt]
    return tuple(sorted({name for names in needs for name in names}))


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """What to say, and what to do, about one observation. Pure."""
    judged = _judged(observed, wanted)
    names = _needed(judged, wanted)
    against = install.obstacle(observed.packages, observed.root, names)
    planned = observed.simulation or Simulation()
    refresh = bool(planned.unknown) and install.may_refresh(observed.packages)
    if not against and not refresh:
        against = objection(planned, names)
    if against:
        judged = [stopped(one.finding, against) if one.packages else one for one in judged]
    needing = [one for one in judged if one.packages]

    def installation(some: Sequence[Judged], wants: tuple[str, ...]) -> Action:
        checks = tuple(one.finding.check for one in some)
        apt_get = observed.packages.apt_get
        return Installation(apt_get, wants, refresh, wanted.lock_timeout, checks)

    # What is exempt is announced like everything else; the loop then leaves its action out.
    exempt = [one for one in needing if one.finding.check in wanted.exempt]
    needing = [one for one in needing if one not in exempt]
    actions = [installation([one], one.packages) for one in exempt]
    if needing:
        actions.append(installation(needing, names))
    if refresh:
        judged = [_refreshing(one) if one.packages else one for one in judged]
    actions += [action for one in judged for action in one.actions]
    findings = tuple(one.finding for one in judged)
    return Plan(findings, tuple(actions), facts=_facts(observed), parity=_parity(observed))


def _refreshing(judged: Judged) -> Judged:
    fix = "look for new package lists, then %s" % judged.finding.fix
    return replace(judged, finding=replace(judged.finding, fix=fix))


def _facts(observed: Observed) -> dict[str, Any]:
    clock = observed.time.clock
    return {
        **release.facts(observed.release),
        "kernel": observed.machine[0],
        "architecture": observed.machine[1],
        "addresses": list(observed.addresses),
        "time": {
            "service": observed.time.service,
            "synchronised": bool(clock and clock.synchronised),
        },
        "docker": {
            "engines": list(observed.docker.engines),
            "version": observed.docker.engine.version,
        },
        "driver": observed.nvidia.driver,
    }


def _parity(observed: Observed) -> dict[str, str]:
    told = {**release.parity(observed.release), "docker": observed.docker.engine.version}
    return {name: value for name, value in told.items() if value}


_NAMES = {"type": "list", "elements": "str", "default": []}

SPEC = Spec(
    name="prereqs",
    options={
        "packages": {"type": "list", "elements": "str", "default": list(PACKAGES)},
        "extra_packages": _NAMES,
        "lock_timeout": {"type": "int", "default": 120},
        "dgx_os": {"type": "str", "default": ">=7,<8"},
        "time_package": {
            "type": "str",
            "choices": ["", *TIME_PACKAGES],
            "default": "systemd-timesyncd",
        },
        "clock_timeout": {"type": "int", "default": 60},
        "memlock": {"type": "str", "default": "unlimited"},
        "nofile": {"type": "str", "default": "1048576"},
        "keep_ipc": {"type": "bool", "default": True},
        "linger_users": _NAMES,
        "docker_packages": _NAMES,
        "docker_users": _NAMES,
    },
    wanted=Wanted,
    observe=observe,
    plan=plan,
    needs_context=True,
)
