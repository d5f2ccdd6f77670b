# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""GPUs in containers: NVIDIA's container toolkit, and a CDI specification for the driver."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    CheckResult,
    Places,
    Wanted,
    blocked_result,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    make_directories,
    obstacle_to,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    CRITICAL,
    DRIFT,
    INFO,
    OK,
    SKIPPED,
    Blocked,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cdi import (
    CdiSpecification,
    gpu_specs,
    parse_driver_version,
    rivals,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.container_runtime import (
    CDI_MAJOR,
    HOOK,
    RUNTIME_FILE,
    parse_mode,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.docker_engine import major
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dpkg import Package, available

PACKAGE = "nvidia-container-toolkit"

_SECONDS = 120.0
_HINT = "Check that nvidia-smi answers, then run `nvidia-ctk cdi generate` manually."


@dataclass(frozen=True)
class Observed:
    """driver is the version of the loaded driver, empty if there is none.

    spec is the CDI specification in use, path its file or where it belongs; kind is what is at
    path: file, other or nothing. rivals are files that describe the same devices. hook is the
    program of --gpus, empty where it is not there; mode is that of runtime_file; installed: the
    toolkit's package is; docker is the version of the engine, empty if unknown.
    """

    driver: str
    toolkit: str
    spec: CdiSpecification | None
    path: str
    kind: str
    obstacle: Blocked | None
    tools: tuple[str, ...]
    rivals: tuple[str, ...] = ()
    hook: str = ""
    mode: str = ""
    runtime_file: str = RUNTIME_FILE
    installed: bool = False
    docker: str = ""


def look(
    at: Places, toolkit: str, packages: Mapping[str, Package] | None = None, docker: str = ""
) -> Observed:
    versions = [parse_driver_version(read_text(path) or "") for path in at.driver]
    specs = gpu_specs(at.cdi)
    path = specs[-1].path if specs else at.cdi_file
    kind = "file" if os.path.isfile(path) else "other" if os.path.lexists(path) else "nothing"
    return Observed(
        next(filter(None, versions), ""),
        toolkit,
        specs[-1] if specs else None,
        path,
        kind,
        obstacle_to(path),
        at.tools,
        rivals(specs),
        find_tool(HOOK, at.tools),
        parse_mode(read_text(at.runtime_file) or ""),
        at.runtime_file,
        PACKAGE in available(packages or {}),
        docker,
    )


@dataclass(frozen=True)
class Generation:
    """Generate the CDI specification for the loaded driver."""

    tools: tuple[str, ...]
    path: str
    versions: tuple[str, ...]  # of the drivers that the present specification is for
    driver: str
    repairs: tuple[str, ...] = ("cdi_spec",)

    @property
    def subject(self) -> str:
        return self.path

    @property
    def before(self) -> str:
        return "".join("for driver %s\n" % version for version in self.versions)

    @property
    def after(self) -> str:
        return "for driver %s\n" % self.driver

    def apply(self) -> None:
        """Raises Blocked or OSError."""
        make_directories(os.path.dirname(self.path))
        # The tool may have been installed by this run.
        argv = (
            find_tool("nvidia-ctk", self.tools) or "nvidia-ctk",
            "cdi",
            "generate",
            "--output=%s" % self.path,
        )
        result = run(argv, _SECONDS)
        if not result.ok:
            raise Blocked("%s: %s" % (" ".join(argv), result.describe()), _HINT)


def judge(observed: Observed, wanted: Wanted) -> list[CheckResult]:
    toolkit = _toolkit(observed)
    return [toolkit, _spec(observed, wanted, toolkit)]


_NO_DRIVER = "no NVIDIA driver is loaded"


def _toolkit(observed: Observed) -> CheckResult:
    finding = Finding("container_toolkit", OK, "the NVIDIA container toolkit", observed.toolkit)
    if not observed.driver:
        return CheckResult(replace(finding, status=SKIPPED, actual=_NO_DRIVER))
    by_cdi = major(observed.docker) >= CDI_MAJOR
    lacking = "" if observed.hook or by_cdi else HOOK
    lacking = lacking if observed.toolkit else "nvidia-ctk"
    finding = replace(finding, severity=CRITICAL)
    if lacking and observed.toolkit and observed.installed:
        actual = "%s is not there, although %s is installed" % (lacking, PACKAGE)
        hint = "Run `apt-get install --reinstall %s`, then `systemctl restart docker`." % PACKAGE
        return CheckResult(replace(finding, status=BLOCKED, actual=actual, hint=hint))
    if lacking:
        fix = "install %s" % PACKAGE
        if observed.docker and not by_cdi:
            fix += "; Docker finds it once it is restarted, which stops what it runs"
        actual = "%s is not installed" % lacking
        finding = replace(finding, status=DRIFT, actual=actual, fix=fix)
        return CheckResult(finding, packages=(PACKAGE,))
    if observed.hook and observed.mode == "cdi":
        actual = '%s has mode = "cdi", with which --gpus is refused' % observed.runtime_file
        hint = "Run `nvidia-ctk config --in-place --set nvidia-container-runtime.mode=auto`."
        return CheckResult(replace(finding, status=BLOCKED, actual=actual, hint=hint))
    return CheckResult(replace(finding, severity=INFO))


def _spec(observed: Observed, wanted: Wanted, toolkit: CheckResult) -> CheckResult:
    expected = "a CDI specification for driver %s" % (observed.driver or "(none loaded)")
    finding = Finding("cdi_spec", OK, expected, "")
    if not observed.driver:
        return CheckResult(replace(finding, status=SKIPPED, actual=_NO_DRIVER))
    if not observed.toolkit and "container_toolkit" in wanted.exempt:
        return CheckResult(
            replace(finding, status=SKIPPED, actual="not assessed: nvidia-ctk is not installed")
        )
    versions = observed.spec.versions if observed.spec else ()
    actual = "%s is for driver %s" % (observed.path, ", ".join(versions) or "(unknown version)")
    finding = replace(finding, actual=actual if observed.spec else "none exists")
    if observed.rivals:
        actual = "%s describe the same devices, and CDI refuses them" % " and ".join(
            observed.rivals
        )
        hint = "Remove all but one of them."
        finding = replace(finding, severity=CRITICAL, actual=actual, hint=hint)
        return CheckResult(replace(finding, status=BLOCKED))
    devices = observed.spec.devices if observed.spec else ()
    incomplete = bool(devices) and "all" not in devices
    if incomplete:
        finding = replace(finding, actual="%s has no device named all" % observed.path)
    elif versions == (observed.driver,):
        return CheckResult(finding)
    fix = "nvidia-ctk cdi generate --output=%s" % observed.path
    finding = replace(finding, status=DRIFT, severity=CRITICAL, fix=fix)
    if observed.kind == "other":
        hint = "Check what it is, and move it away."
        return blocked_result(finding, Blocked("%s is not a regular file" % observed.path, hint))
    if observed.obstacle:
        return blocked_result(finding, observed.obstacle)
    generation = Generation(observed.tools, observed.path, versions, observed.driver)
    return CheckResult(finding, (generation,), toolkit.packages)
