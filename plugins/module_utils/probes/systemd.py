# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The state of systemd units, and how systemd merges its configuration files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import (
    list_folder,
    read_text,
)

# Folders of configuration files and of their drop-in folders; the first wins.
ROOTS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")

_PROPERTIES = (
    "LoadState,ActiveState,UnitFileState,MainPID,ControlGroup,NeedDaemonReload,NRestarts,StatusText"
)
_YES, _NO = ("1", "yes", "y", "true", "t", "on"), ("0", "no", "n", "false", "f", "off")


@dataclass(frozen=True)
class Unit:
    """The state of a unit.

    load is loaded, not-found or masked, active for example active or failed, file_state for example
    enabled. pid is 0 if no main process runs. stale: its files have changed since systemd read
    them. restarts: how often systemd has restarted it. status_text is what the service reported.
    """

    load: str = "not-found"
    active: str = "inactive"
    file_state: str = ""
    pid: int = 0
    cgroup: str = ""
    stale: bool = False
    restarts: int = 0
    status_text: str = ""

    @property
    def there(self) -> bool:
        return self.load == "loaded"

    @property
    def runs(self) -> bool:
        return self.active in ("active", "reloading", "activating")

    @property
    def enabled(self) -> bool:
        """Whether it starts at boot."""
        return self.file_state in ("enabled", "enabled-runtime", "alias")


def ask_units(
    systemctl: str, names: Sequence[str], timeout: float = 30.0
) -> tuple[Mapping[str, Unit], str]:
    """(name, as asked for -> its state, why there is no answer); timeout in seconds."""
    if not systemctl:
        return {}, "systemctl is not installed"
    if not names:
        return {}, ""
    result = run([systemctl, "show", "--property", _PROPERTIES, *names], timeout)
    units = parse_units(result.stdout, names) if result.ok else {}
    if not units:
        return {}, "systemctl: %s" % result.describe()
    return units, ""


def parse_units(text: str, names: Sequence[str]) -> dict[str, Unit]:
    """The paragraphs of `systemctl show`, which come in the order in which units were named."""
    units = {}
    for name, paragraph in zip(names, text.strip("\n").split("\n\n")):
        pairs = [line.partition("=") for line in paragraph.splitlines()]
        properties = {key: value for key, _equals, value in pairs}
        if "LoadState" not in properties:
            continue
        units[name] = Unit(
            properties["LoadState"],
            properties.get("ActiveState", "inactive"),
            properties.get("UnitFileState", ""),
            _number(properties.get("MainPID", "")),
            properties.get("ControlGroup", ""),
            properties.get("NeedDaemonReload") == "yes",
            _number(properties.get("NRestarts", "")),
            properties.get("StatusText", ""),
        )
    return units


def _number(text: str) -> int:
    return int(text) if foreign.is_whole(text) else 0


def list_units(systemctl: str, patterns: Sequence[str], timeout: float = 30.0) -> tuple[str, ...]:
    """The loaded units whose names match a shell pattern; none if systemd does not answer."""
    if not systemctl:
        return ()
    argv = [systemctl, "list-units", "--plain", "--no-legend", "--no-pager", *patterns]
    words = [line.split() for line in run(argv, timeout).stdout.splitlines()]
    return tuple(line[0] for line in words if line)


def config_files(name: str, roots: Sequence[str] = ROOTS) -> tuple[tuple[str, str], ...]:
    """(path, text) of the files that systemd reads for NAME.conf, in its order: later ones win.

    The main file comes first, then the drop-ins of all folders by their names. Of two drop-ins with
    the same name that of the first folder counts; a link to /dev/null there hides the other one.
    """
    candidates = [os.path.join(root, name + ".conf") for root in roots]
    main = [path for path in candidates if os.path.exists(path)][:1]
    drop_ins: dict[str, str] = {}
    for root in reversed(roots):
        folder = os.path.join(root, name + ".conf.d")
        for file in list_folder(folder):
            if file.endswith(".conf"):
                drop_ins[file] = os.path.join(folder, file)
    paths = [*main, *(drop_ins[file] for file in sorted(drop_ins))]
    return tuple((path, read_text(path) or "") for path in paths)


def switch(files: Sequence[tuple[str, str]], section: str, key: str) -> tuple[bool | None, str]:
    """(the value of a boolean setting, the file that sets it); None if no file sets it."""
    value, by = None, ""
    for path, text in files:
        current = ""
        for line in text.splitlines():
            line = line.strip()
            if line.startswith("["):
                current = line
            name, equals, word = (part.strip() for part in line.partition("="))
            if current != "[%s]" % section or name != key or not equals:
                continue
            # systemd ignores any other word.
            if word.lower() in _YES or word.lower() in _NO:
                value, by = word.lower() in _YES, path
    return value, by
