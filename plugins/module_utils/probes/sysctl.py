# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The files that set kernel settings at boot, in the order of systemd-sysctl (sysctl.d(5))."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.systemd import drop_ins

SYSCTL_FOLDERS = (
    *("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"),
)
# At boot it counts by a link in sysctl.d (Ubuntu: 99-sysctl.conf); `sysctl --system` reads it last.
SYSCTL_MAIN = "/etc/sysctl.conf"


def later_sysctl_files(
    ours: str, folders: Sequence[str] = SYSCTL_FOLDERS, main: str = SYSCTL_MAIN
) -> tuple[tuple[str, str], ...]:
    """(path, text) of the files that are read after ours, the last one last.

    A link is named by the file that it leads to, since that is to be edited.
    """
    own = os.path.basename(ours)
    files = [
        (os.path.realpath(path), text)
        for path, text in drop_ins(folders)
        if os.path.basename(path) > own
    ]
    last = os.path.realpath(main)
    if last not in dict(files):
        files.append((last, read_text(main) or ""))
    return tuple(files)


def assignments(text: str) -> dict[str, str]:
    """Setting, with dots -> value, the last one of each.

    Patterns are left out: they spare settings that have a line of their own. So are lines without
    a value, which only exclude a setting from patterns.
    """
    values = {}
    for line in text.splitlines():
        line = line.strip()
        name, equals, value = (part.strip() for part in line.partition("="))
        name = dotted(name.lstrip("-").strip())
        if equals and not line.startswith(("#", ";")) and not set(name) & set("*?["):
            values[name] = " ".join(value.split())
    return values


def dotted(name: str) -> str:
    """net.ipv4.conf.eth0/1.forwarding of net/ipv4/conf/eth0.1/forwarding.

    The first separator decides: after a slash a dot is part of a name (sysctl.d(5)).
    """
    first = next((char for char in name if char in "./"), ".")
    return name if first == "." else name.translate(str.maketrans("./", "/."))


def last_words(files: Sequence[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Setting -> (value, file) of the last of these files that sets it."""
    return {key: (value, path) for path, text in files for key, value in assignments(text).items()}
