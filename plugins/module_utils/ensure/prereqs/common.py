# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Shared by the topics of ensure_prereqs: its parameters, the places it reads, check results."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    Action,
    Blocked,
    Finding,
    explained,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import TOOL_FOLDERS
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.apt import LISTS
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cdi import DRIVER_FILES, FOLDERS
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.container_runtime import (
    RUNTIME_FILE,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dgx_release import (
    DGX_RELEASE,
    FASTOS_RELEASE,
    OS_RELEASE,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.docker_config import DAEMON_FILE
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.docker_engine import SOCKET
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import (
    LOCK_FILES,
    STATUS_FILE,
    UPDATES,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.driver_packages import (
    SUPPORTED,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.limits import parse_value
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import ROOTS
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.version_spec import VersionSpec

# The default packages of a node.
PACKAGES = (
    *("build-essential", "curl", "ethtool", "git", "iproute2", "jq"),
    *("ninja-build", "pkg-config", "python3-venv", "rdma-core"),
)
# Packages with a time service.
TIME_PACKAGES = ("chrony", "ntpsec", "openntpd", "systemd-timesyncd")

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_USER = re.compile(r"[a-z_][a-z0-9_-]*")


@dataclass(frozen=True)
class Wanted:
    """The module's parameters.

    lock_timeout and clock_timeout are in seconds. exempt are the checks that are not repaired:
    packages that only they need are not installed. act: drift is going to be repaired.
    """

    packages: Sequence[str]
    extra_packages: Sequence[str]
    lock_timeout: float
    dgx_os: str
    time_package: str
    clock_timeout: float
    memlock: str
    nofile: str
    keep_ipc: bool
    linger_users: Sequence[str]
    docker_packages: Sequence[str]
    docker_users: Sequence[str]
    driver: str = SUPPORTED
    exempt: frozenset[str] = frozenset()
    act: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError, naming the parameter, for an invalid value."""
        named = {
            "packages": self.packages,
            "extra_packages": self.extra_packages,
            "docker_packages": self.docker_packages,
        }
        for name, packages in named.items():
            _each(name, packages, _PACKAGE, "the name of a package")
        _each("linger_users", self.linger_users, _USER, "the name of a user")
        _each("docker_users", self.docker_users, _USER, "the name of a user")
        for name in ("lock_timeout", "clock_timeout"):
            if getattr(self, name) < 0:
                raise ValueError("%s: expected no less than 0 seconds" % name)
        for name in ("dgx_os", "driver"):
            try:
                VersionSpec.parse(getattr(self, name))
            except ValueError as error:
                raise ValueError("%s: %s" % (name, error)) from error
        for name, value in (("memlock", self.memlock), ("nofile", self.nofile)):
            try:
                parse_value(value or "0")
            except ValueError:
                message = "%s: expected unlimited, a number or an empty text, found %r"
                raise ValueError(message % (name, value)) from None
        if self.nofile in ("unlimited", "infinity", "-1"):
            raise ValueError("nofile: expected a number (the kernel has no unlimited nofile)")


def _each(name: str, values: Sequence[str], pattern: re.Pattern[str], what: str) -> None:
    for value in values:
        if not pattern.fullmatch(value):
            raise ValueError("%s: expected %s, found %r" % (name, what, value))


@dataclass(frozen=True)
class Places:
    """The paths that are read, and the folders of tools; root: this user may change the node."""

    proc: str = "/proc"
    dpkg_status: str = STATUS_FILE
    dpkg_updates: str = UPDATES
    dpkg_locks: tuple[str, ...] = LOCK_FILES
    apt_lists: str = LISTS
    machine_id: str = "/etc/machine-id"
    os_release: str = OS_RELEASE
    dgx_release: str = DGX_RELEASE
    fastos_release: str = FASTOS_RELEASE
    limits_file: str = "/etc/security/limits.d/90-dgxspark.conf"
    systemd: tuple[str, ...] = ROOTS
    logind_file: str = "/etc/systemd/logind.conf.d/90-dgxspark.conf"
    linger: str = "/var/lib/systemd/linger"
    snaps: str = "/var/lib/snapd/snaps"
    docker_socket: str = SOCKET
    docker_file: str = DAEMON_FILE
    run_users: str = "/run/user"
    runtime_file: str = RUNTIME_FILE
    driver: tuple[str, ...] = DRIVER_FILES
    cdi: tuple[str, ...] = FOLDERS
    cdi_file: str = "/etc/cdi/nvidia.yaml"
    tools: tuple[str, ...] = TOOL_FOLDERS
    root: bool = field(default_factory=lambda: os.geteuid() == 0)


@dataclass(frozen=True)
class CheckResult:
    """A finding with its repair: packages to install, then actions.

    The packages of all topics are installed together.
    """

    finding: Finding
    actions: tuple[Action, ...] = ()
    packages: tuple[str, ...] = ()


def blocked_result(finding: Finding, obstacle: Blocked) -> CheckResult:
    """The finding as blocked, for that reason."""
    hint = explained(obstacle)
    return CheckResult(replace(finding, status=BLOCKED, fix="", hint=hint))


NO_ROOT = Blocked("this requires root", "Run as root (become).")
