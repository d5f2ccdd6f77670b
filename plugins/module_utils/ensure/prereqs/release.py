# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Which DGX OS release a node has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.prereqs.common import (
    Judged,
    Places,
    Wanted,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import read_text
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    BLOCKED,
    OK,
    SKIPPED,
    WARNING,
    Finding,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dgx_release import (
    DgxRelease,
    assignments,
    parse_dgx_release,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.version_spec import VersionSpec

_UPDATE_HINT = (
    "Update by the DGX Dashboard, or by `apt update`, `apt dist-upgrade`, `fwupdmgr refresh`,"
    " `fwupdmgr upgrade` and a reboot; never by `apt upgrade` alone, which tears the stack."
)


@dataclass(frozen=True)
class Seen:
    """dgx is None where the node has no DGX OS; fastos is the version of its image."""

    system: dict[str, str]
    dgx: DgxRelease | None
    fastos: str
    path: str


def look(at: Places) -> Seen:
    dgx = read_text(at.dgx_release)
    return Seen(
        assignments(read_text(at.os_release) or ""),
        None if dgx is None else parse_dgx_release(dgx),
        assignments(read_text(at.fastos_release) or "").get("VERSION", ""),
        at.dgx_release,
    )


def judge(seen: Seen, wanted: Wanted) -> list[Judged]:
    spec = VersionSpec.parse(wanted.dgx_os)
    finding = Finding("dgx_os_release", OK, "DGX OS of version %s" % spec, "")
    if seen.dgx is None:
        reason = "not a DGX OS: %s does not exist" % seen.path
        return [Judged(replace(finding, status=SKIPPED, actual=reason))]
    actual = seen.dgx.version or "%s tells no version" % seen.path
    finding = replace(finding, actual=actual)
    if seen.dgx.version and spec.matches(seen.dgx.version):
        return [Judged(finding)]
    return [Judged(replace(finding, status=BLOCKED, severity=WARNING, hint=_UPDATE_HINT))]


def facts(seen: Seen) -> dict[str, Any]:
    system = seen.system
    return {
        "os": {
            "name": system.get("PRETTY_NAME", ""),
            "id": system.get("ID", ""),
            "version": system.get("VERSION_ID", ""),
        },
        "dgx_os": {
            "name": seen.dgx.name if seen.dgx else "",
            "version": seen.dgx.version if seen.dgx else "",
            "factory_version": seen.dgx.factory_version if seen.dgx else "",
            "updated": seen.dgx.updated if seen.dgx else "",
            "fastos": seen.fastos,
        },
    }


def parity(seen: Seen) -> dict[str, str]:
    system = " ".join(filter(None, (seen.system.get("ID"), seen.system.get("VERSION_ID"))))
    return {"os": system, "dgx_os": seen.dgx.version if seen.dgx else ""}
