# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The driver's kernel module at the next boot: newest kernel, its modules, what forbids them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import (
    list_folder,
    read_text,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import drop_ins
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.version_spec import key

# The later folders only add files (modprobe.d(5)).
MODPROBE_FOLDERS = (
    *("/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d"),
)
# Set by the firmware: 4 bytes of attributes, then 1 where Secure Boot is on.
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

_LIMIT = 8 << 20
_NEVER = re.compile(
    r"^\s*(?:blacklist\s+nvidia|install\s+nvidia\s+(?:/usr)?/?(?:bin/)?(?:true|false))\s*$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class BootModule:
    """The newest installed kernel, and its module of the driver.

    module is a path below /lib/modules/RELEASE, empty if there is none, None if unknown. forbidden
    is the file of modprobe that keeps it from loading, empty for none.
    """

    release: str = ""
    module: str | None = None
    forbidden: str = ""
    secure_boot: bool = False


def boot_module(
    boot: str = "/boot",
    modules: str = "/lib/modules",
    modprobe: Sequence[str] = MODPROBE_FOLDERS,
    secure_boot: str = SECURE_BOOT,
) -> BootModule:
    """Read the node. Changes nothing, needs no root."""
    release = newest_release(boot)
    text = read_text(os.path.join(modules, release, "modules.dep"), _LIMIT) if release else None
    files = drop_ins(modprobe)
    return BootModule(
        release,
        None if text is None else module_path(text),
        next((path for path, content in files if _NEVER.search(content)), ""),
        _byte(secure_boot, 4) == 1,
    )


def newest_release(boot: str) -> str:
    """The release of the newest kernel in /boot, which the boot loader starts; empty for none."""
    prefix = "vmlinuz-"
    releases = [name[len(prefix) :] for name in list_folder(boot) if name.startswith(prefix)]
    return max(releases, key=key, default="")


def module_path(dependencies: str, name: str = "nvidia") -> str:
    """The path of a module in the text of modules.dep; empty if it is not there."""
    pattern = r"^(\S*/%s\.ko(?:\.(?:gz|xz|zst))?):" % re.escape(name)
    match = re.search(pattern, dependencies, re.MULTILINE)
    return match[1] if match else ""


def _byte(path: str, index: int) -> int | None:
    try:
        with open(path, "rb") as stream:
            data = stream.read(index + 1)
    except OSError:
        return None
    return data[index] if len(data) > index else None
