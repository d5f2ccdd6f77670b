# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The DGX OS release."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    CheckResult,
    Places,
    Wanted,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    OK,
    SKIPPED,
    WARNING,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dgx_release import (
    DgxRelease,
    assignments,
    parse_dgx_release,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.version_spec import VersionSpec

_UPDATE_HINT = (
    "Update with the DGX Dashboard, or with `apt update`, `apt dist-upgrade`, `fwupdmgr refresh`,"
    " `fwupdmgr upgrade` and a reboot. `apt upgrade` alone leaves driver and kernel inconsistent."
)


@dataclass(frozen=True)
class Observed:
    """dgx is None if the node has no DGX OS; fastos is the version of its image."""

    system: dict[str, str]
    dgx: DgxRelease | None
    fastos: str
    path: str


def look(at: Places) -> Observed:
    dgx = read_text(at.dgx_release)
    return Observed(
        assignments(read_text(at.os_release) or ""),
        None if dgx is None else parse_dgx_release(dgx),
        assignments(read_text(at.fastos_release) or "").get("VERSION", ""),
        at.dgx_release,
    )


def judge(observed: Observed, wanted: Wanted) -> list[CheckResult]:
    spec = VersionSpec.parse(wanted.dgx_os)
    finding = Finding("dgx_os_release", OK, "DGX OS %s" % spec, "")
    if observed.dgx is None:
        reason = "not a DGX OS: %s does not exist" % observed.path
        return [CheckResult(replace(finding, status=SKIPPED, actual=reason))]
    actual = observed.dgx.version or "%s has no version" % observed.path
    finding = replace(finding, actual=actual)
    if observed.dgx.version and spec.matches(observed.dgx.version):
        return [CheckResult(finding)]
    return [CheckResult(replace(finding, status=BLOCKED, severity=WARNING, hint=_UPDATE_HINT))]


def facts(observed: Observed) -> dict[str, Any]:
    system = observed.system
    return {
        "os": {
            "name": system.get("PRETTY_NAME", ""),
            "id": system.get("ID", ""),
            "version": system.get("VERSION_ID", ""),
        },
        "dgx_os": {
            "name": observed.dgx.name if observed.dgx else "",
            "version": observed.dgx.version if observed.dgx else "",
            "factory_version": observed.dgx.factory_version if observed.dgx else "",
            "updated": observed.dgx.updated if observed.dgx else "",
            "fastos": observed.fastos,
        },
    }


def parity(observed: Observed) -> dict[str, str]:
    system = " ".join(filter(None, (observed.system.get("ID"), observed.system.get("VERSION_ID"))))
    return {"os": system, "dgx_os": observed.dgx.version if observed.dgx else ""}
