# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The packages of dpkg, read from its status file without a program or a lock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text

STATUS_FILE = "/var/lib/dpkg/status"
# Journal of dpkg, not merged into the status file yet; one number per step.
UPDATES = "/var/lib/dpkg/updates"
# Locks of apt-get, dpkg and updaters.
LOCK_FILES = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")

_LIMIT = 1 << 26
_FIELD = re.compile(r"^(Package|Status|Version|Architecture|Provides): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """One entry. want is install, hold, deinstall or purge; error ok or reinstreq; state installed,
    half-configured, unpacked, config-files and so on. provides are the names it stands in for."""

    name: str
    version: str
    want: str
    error: str
    state: str
    architecture: str = ""
    provides: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        return self.state == "installed"

    @property
    def torn(self) -> bool:
        """Whether an installation or an update of it was begun and not finished."""
        begun = ("half-installed", "unpacked", "half-configured", "triggers-awaited")
        return self.error != "ok" or self.state in (*begun, "triggers-pending")


def read_packages(path: str = STATUS_FILE) -> dict[str, Package]:
    """The packages of a status file; none if it cannot be read."""
    return parse_status(read_text(path, _LIMIT) or "")


def parse_status(text: str) -> dict[str, Package]:
    """Name -> entry; of several architectures the one that is installed, or the last."""
    packages: dict[str, Package] = {}
    for stanza in text.split("\n\n"):
        fields = dict(_FIELD.findall(stanza))
        words = fields.get("Status", "").split()
        name = fields.get("Package", "")
        if not name or len(words) != 3:
            continue
        version, architecture = fields.get("Version", ""), fields.get("Architecture", "")
        provides = tuple(re.findall(r"(?:^|, *)([^ ,(]+)", fields.get("Provides", "")))
        package = Package(name, version, words[0], words[1], words[2], architecture, provides)
        if not (name in packages and packages[name].installed):
            packages[name] = package
    return packages


def available(packages: Mapping[str, Package]) -> set[str]:
    """The names of what is installed, and of what that stands in for."""
    installed = [package for package in packages.values() if package.installed]
    return {name for package in installed for name in (package.name, *package.provides)}


def interrupted(names: Iterable[str]) -> bool:
    """Whether dpkg was stopped in the midst of its work, by the names of the files in UPDATES."""
    return any(foreign.is_whole(name) for name in names)


def upstream(version: str) -> str:
    """2.29.3 of 2.29.3-1+cuda13.1, without the epoch."""
    return version.rpartition(":")[2].split("-", 1)[0]
