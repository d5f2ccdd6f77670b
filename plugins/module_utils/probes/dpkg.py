# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dpkg knows, read from its status file: no program is started, no lock is taken."""

from __future__ import annotations

from dataclasses import dataclass

STATUS_FILE = "/var/lib/dpkg/status"


@dataclass(frozen=True)
class Package:
    """One entry. want is install, hold, deinstall or purge; error ok or reinstreq; state installed,
    half-configured, unpacked, config-files and so on."""

    name: str
    version: str
    want: str
    error: str
    state: str
    architecture: str = ""

    @property
    def installed(self) -> bool:
        return self.state == "installed"

    @property
    def torn(self) -> bool:
        """Whether an installation or an update of it was begun and not finished."""
        begun = ("half-installed", "unpacked", "half-configured", "triggers-awaited")
        return self.error != "ok" or self.state in (*begun, "triggers-pending")


def parse_status(text: str) -> dict[str, Package]:
    """Name -> entry; of several architectures the one that is installed, or the last."""
    found: dict[str, Package] = {}
    for stanza in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in stanza.splitlines()
            if ": " in line and not line.startswith((" ", "\t"))
        )
        words = fields.get("Status", "").split()
        name = fields.get("Package", "")
        if not name or len(words) != 3:
            continue
        version, architecture = fields.get("Version", ""), fields.get("Architecture", "")
        package = Package(name, version, words[0], words[1], words[2], architecture)
        if not (name in found and found[name].installed):
            found[name] = package
    return found


def upstream(version: str) -> str:
    """2.29.3 of 2.29.3-1+cuda13.1, without the epoch."""
    return version.rpartition(":")[2].split("-", 1)[0]
