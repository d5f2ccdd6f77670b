# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What brings swap up at boot beside fstab: units, and the generator of compressed memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import list_folder
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import (
    ROOTS,
    UNIT_ROOTS,
    config_files,
)

GENERATORS = ("/etc/systemd/system-generators", "/usr/lib/systemd/system-generators")

# Services of packages that make swap: zram-tools, zram-config, dphys-swapfile.
_SERVICES = ("zramswap.service", "zram-config.service", "dphys-swapfile.service")


@dataclass(frozen=True)
class SwapSource:
    """A file that brings swap up at boot, and the command that ends it."""

    path: str
    remedy: str

    def __str__(self) -> str:
        return self.path


def swap_sources(
    units: Sequence[str] = UNIT_ROOTS,
    roots: Sequence[str] = ROOTS,
    generators: Sequence[str] = GENERATORS,
) -> tuple[SwapSource, ...]:
    """The enabled units and the generator's configuration. Units of fstab are generated, not here.

    A unit is enabled by a link in the folder of a target (NAME.target.wants). One that is masked,
    by a link to /dev/null in the first folder, does not start.
    """
    found: dict[str, SwapSource] = {}
    for root in units:
        for folder in list_folder(root):
            if not folder.endswith((".wants", ".requires", ".upholds")):
                continue
            for name in list_folder(os.path.join(root, folder)):
                if (name.endswith(".swap") or name in _SERVICES) and not _masked(name, units):
                    path = os.path.join(root, folder, name)
                    found.setdefault(name, SwapSource(path, "systemctl mask %s" % name))
    for path, text in config_files("zram-generator", roots):
        installed = any("zram-generator" in list_folder(folder) for folder in generators)
        if installed and any(line.startswith("[zram") for line in text.splitlines()):
            remedy = "ln -s /dev/null /etc/systemd/zram-generator.conf"
            if path.startswith("/etc/"):
                remedy = "rm %s" % path
            found["zram-generator"] = SwapSource(path, remedy)
    return tuple(found.values())


def _masked(name: str, units: Sequence[str]) -> bool:
    paths = (os.path.join(root, name) for root in units)
    first = next((path for path in paths if os.path.lexists(path)), "")
    return bool(first) and os.path.realpath(first) == "/dev/null"
