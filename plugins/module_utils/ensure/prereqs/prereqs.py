# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The base of a node: system release, packages, time, sessions, Docker.

Each topic has its own file with look() and judge(). This file combines them: the packages that all
topics need are installed by one call, before any other action.
"""

from __future__ import annotations

import hashlib
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
    CheckResult,
    Places,
    Wanted,
    blocked_result,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Action, Plan
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.addresses import ask_addresses
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.apt import Simulation, simulate
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.clock import kernel_clock
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.driver_packages import (
    SUPPORTED,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import ask_units

_TOOLS = (
    *("apt-get", "systemctl", "busctl", "loginctl", "usermod", "groupadd"),
    *("ip", "dockerd", "nvidia-ctk"),
)
_SECONDS = 20.0


@dataclass(frozen=True)
class Observed:
    """The input of the plan. simulation is what apt would do to install the missing packages."""

    release: release.Observed
    packages: packages.Observed
    time: timekeeping.Observed
    limits: limits.Observed
    sessions: sessions.Observed
    docker: docker.Observed
    nvidia: nvidia.Observed
    machine: tuple[str, str]  # the kernel's release, and the architecture
    addresses: Sequence[dict[str, Any]]
    root: bool
    simulation: Simulation | None = None
    machine_id: str = ""  # a digest of it


def observe(wanted: Wanted, places: Places | None = None) -> Observed:
    """Read the node; a run waits up to lock_timeout for another user of dpkg."""
    at = places or Places()
    root = at.root
    tools = {name: find_tool(name, at.tools) for name in _TOOLS}
    units = ask_units(
        tools["systemctl"], (*timekeeping.UNITS, sessions.LOGIND, docker.UNIT), _SECONDS
    )
    dpkg = packages.look(at, tools["apt-get"], wanted.lock_timeout if wanted.act else 0.0)
    engine = docker.look(wanted, at, dpkg.packages, units, tools, root)
    observed = Observed(
        release.look(at),
        dpkg,
        timekeeping.Observed(*units, kernel_clock(), tools["systemctl"], root),
        limits.look(at),
        sessions.look(wanted, at, units[0], tools, root),
        engine,
        nvidia.look(at, tools["nvidia-ctk"], dpkg.packages, engine.engine.version),
        (platform.release(), platform.machine()),
        ask_addresses(tools["ip"], _SECONDS),
        root,
    )
    observed = replace(observed, machine_id=_digest(read_text(at.machine_id) or ""))
    names = _needed(_judged(observed, wanted), wanted)
    if not names or install.obstacle(dpkg, root, names):
        return observed
    planned = simulate(tools["apt-get"], names, SIMULATE_SECONDS)
    return replace(observed, simulation=planned)


def _digest(machine_id: str) -> str:
    """The id itself is not for other machines (machine-id(5))."""
    text = machine_id.strip()
    return hashlib.sha256(b"dgxspark.suite " + text.encode()).hexdigest()[:16] if text else ""


def _judged(observed: Observed, wanted: Wanted) -> list[CheckResult]:
    return [
        *release.judge(observed.release, wanted),
        *packages.judge(observed.packages, wanted),
        *timekeeping.judge(observed.time, wanted),
        *limits.judge(observed.limits, wanted),
        *sessions.judge(observed.sessions, wanted),
        *docker.judge(observed.docker, wanted),
        *nvidia.judge(observed.nvidia, wanted),
    ]


def _needed(judged: Sequence[CheckResult], wanted: Wanted) -> tuple[str, ...]:
    """The packages to install for all checks that are not exempt, sorted."""
    needs = [result.packages for result in judged if result.finding.check not in wanted.exempt]
    return tuple(sorted({name for names in needs for name in names}))


def plan(observed: Observed, wanted: Wanted) -> Plan:
    """The findings and actions for an observation. Pure."""
    judged = _judged(observed, wanted)
    names = _needed(judged, wanted)
    obstacle = install.obstacle(observed.packages, observed.root, names)
    planned = observed.simulation or Simulation()
    refresh = bool(planned.unknown) and install.may_refresh(observed.packages)
    if not obstacle and not refresh:
        obstacle = objection(planned, names)
    if obstacle:
        judged = [
            blocked_result(result.finding, obstacle) if result.packages else result
            for result in judged
        ]
    needing = [result for result in judged if result.packages]

    def installation(some: Sequence[CheckResult], wants: tuple[str, ...]) -> Action:
        checks = tuple(entry.finding.check for entry in some)
        apt_get = observed.packages.apt_get
        return Installation(apt_get, wants, refresh, wanted.lock_timeout, checks)

    # An exempt check is planned like the others; the loop then drops its action.
    exempt = [entry for entry in needing if entry.finding.check in wanted.exempt]
    needing = [entry for entry in needing if entry not in exempt]
    actions = [installation([entry], entry.packages) for entry in exempt]
    if needing:
        actions.append(installation(needing, names))
    if refresh:
        judged = [_refreshing(result) if result.packages else result for result in judged]
    actions += [action for result in judged for action in result.actions]
    findings = tuple(result.finding for result in judged)
    return Plan(findings, tuple(actions), facts=_facts(observed), parity=_parity(observed))


def _refreshing(judged: CheckResult) -> CheckResult:
    fix = "update the package lists, then %s" % judged.finding.fix
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
    values = {
        **release.parity(observed.release),
        "docker": observed.docker.engine.version,
        "machine_id": observed.machine_id,
    }
    return {name: value for name, value in values.items() if value}


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
        "driver": {"type": "str", "default": SUPPORTED},
    },
    wanted=Wanted,
    observe=observe,
    plan=plan,
    needs_context=True,
)
