# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""GPUs in containers: NVIDIA's container toolkit, and a description (CDI) made for the driver."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    Judged,
    Places,
    Wanted,
    stopped,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    can_replace,
    make_directories,
    read_text,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    CRITICAL,
    DRIFT,
    OK,
    SKIPPED,
    Blocked,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.cdi import (
    Spec,
    gpu_specs,
    parse_driver_version,
)

PACKAGE = "nvidia-container-toolkit"

_SECONDS = 120.0
_HINT = "Does nvidia-smi answer? Run `nvidia-ctk cdi generate` by hand to see what it says."


@dataclass(frozen=True)
class Seen:
    """driver is the version of the loaded driver, empty where there is none.

    spec is the description that counts; path where it is, or belongs; kind what is there: file,
    other or nothing.
    """

    driver: str
    toolkit: str
    spec: Spec | None
    path: str
    kind: str
    writable: bool
    tools: tuple[str, ...]


def look(at: Places, toolkit: str) -> Seen:
    versions = [parse_driver_version(read_text(path) or "") for path in at.driver]
    specs = gpu_specs(at.cdi)
    path = specs[-1].path if specs else at.cdi_file
    kind = "file" if os.path.isfile(path) else "other" if os.path.lexists(path) else "nothing"
    return Seen(
        next(filter(None, versions), ""),
        toolkit,
        specs[-1] if specs else None,
        path,
        kind,
        can_replace(path),
        at.tools,
    )


@dataclass(frozen=True)
class Generation:
    """Have NVIDIA's tool describe the GPUs for the driver that runs."""

    tools: tuple[str, ...]
    path: str
    found: tuple[str, ...]
    driver: str
    repairs: tuple[str, ...] = ("cdi_spec",)

    @property
    def subject(self) -> str:
        return self.path

    @property
    def before(self) -> str:
        return "".join("for driver %s\n" % version for version in self.found)

    @property
    def after(self) -> str:
        return "for driver %s\n" % self.driver

    def apply(self) -> None:
        """Raises Blocked or OSError."""
        make_directories(os.path.dirname(self.path))
        # It may have been installed just now.
        argv = (
            find_tool("nvidia-ctk", self.tools) or "nvidia-ctk",
            "cdi",
            "generate",
            "--output=%s" % self.path,
        )
        told = run(argv, _SECONDS)
        if not told.ok:
            raise Blocked("%s: %s" % (" ".join(argv), told.describe()), _HINT)


def judge(seen: Seen, wanted: Wanted) -> list[Judged]:
    toolkit = _toolkit(seen)
    return [toolkit, _spec(seen, wanted, toolkit)]


_NO_DRIVER = "no NVIDIA driver is loaded here"


def _toolkit(seen: Seen) -> Judged:
    finding = Finding("container_toolkit", OK, "NVIDIA's container toolkit", seen.toolkit)
    if not seen.driver:
        return Judged(replace(finding, status=SKIPPED, actual=_NO_DRIVER))
    if seen.toolkit:
        return Judged(finding)
    return Judged(
        replace(
            finding,
            status=DRIFT,
            severity=CRITICAL,
            actual="there is no nvidia-ctk",
            fix="install %s" % PACKAGE,
        ),
        packages=(PACKAGE,),
    )


def _spec(seen: Seen, wanted: Wanted, toolkit: Judged) -> Judged:
    expected = "a CDI description of the GPUs, for driver %s" % (seen.driver or "as it is")
    finding = Finding("cdi_spec", OK, expected, "")
    if not seen.driver:
        return Judged(replace(finding, status=SKIPPED, actual=_NO_DRIVER))
    if not seen.toolkit and "container_toolkit" in wanted.exempt:
        return Judged(replace(finding, status=SKIPPED, actual="not assessed: no nvidia-ctk"))
    versions = seen.spec.versions if seen.spec else ()
    told = "%s is for driver %s" % (seen.path, ", ".join(versions) or "nobody knows which")
    finding = replace(finding, actual=told if seen.spec else "there is none")
    if versions == (seen.driver,):
        return Judged(finding)
    fix = "nvidia-ctk cdi generate --output=%s" % seen.path
    finding = replace(finding, status=DRIFT, severity=CRITICAL, fix=fix)
    if seen.kind == "other":
        hint = "Look at what it is, and move it away."
        return stopped(finding, Blocked("%s is not a regular file" % seen.path, hint))
    if not seen.writable:
        found = "%s cannot be written by this user" % seen.path
        hint = "Run as root (become), on a file system that is not read-only."
        return stopped(finding, Blocked(found, hint))
    generation = Generation(seen.tools, seen.path, versions, seen.driver)
    return Judged(finding, (generation,), toolkit.packages)
