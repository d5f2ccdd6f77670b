# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The release files of DGX OS, of its image and of the distribution."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

DGX_RELEASE = "/etc/dgx-release"
FASTOS_RELEASE = "/etc/fastos-release"
OS_RELEASE = "/etc/os-release"

_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class DgxRelease:
    """DGX OS. version is that of the last OTA update, or else of the image."""

    name: str
    version: str
    factory_version: str
    updated: str


def assignments(text: str) -> dict[str, str]:
    """The lines KEY=value of a release file; the last line of a key counts."""
    values = {}
    for key, value in _ASSIGNMENT.findall(text):
        try:
            words = shlex.split(value, comments=True)
        except ValueError:  # an open quote
            words = [value.strip().strip("\"'")]
        values[key] = " ".join(words)
    return values


def parse_dgx_release(text: str) -> DgxRelease:
    fields = assignments(text)
    factory = fields.get("DGX_SWBUILD_VERSION", "")
    return DgxRelease(
        fields.get("DGX_PRETTY_NAME") or fields.get("DGX_NAME", ""),
        fields.get("DGX_OTA_VERSION") or factory,
        factory,
        fields.get("DGX_OTA_DATE", ""),
    )
