# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd says of its units, and how its configuration files come together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run

# Where a configuration file and the folder of its drop-ins are looked for; the first wins.
ROOTS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")

_PROPERTIES = (
    "LoadState,ActiveState,UnitFileState,MainPID,ControlGroup,NeedDaemonReload,NRestarts,StatusText"
)
_YES, _NO = ("1", "yes", "y", "true", "t", "on"), ("0", "no", "n", "false", "f", "off")


@dataclass(frozen=True)
class Unit:
    """One unit.

    load is loaded, not-found or masked, active as active or failed, file_state as enabled. pid is 0
    where no main process runs. stale: its files are others than systemd has read. restarts: by
    systemd. status_text: what the service reports.
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
        """Whether it starts with the node."""
        return self.file_state in ("enabled", "enabled-runtime", "alias")


def ask_units(
    systemctl: str, names: Sequence[str], timeout: float = 30.0
) -> tuple[Mapping[str, Unit], str]:
    """(name, as asked for -> what systemd says of it, why it says nothing); timeout in seconds."""
    if not systemctl:
        return {}, "there is no systemctl here"
    if not names:
        return {}, ""
    told = run([systemctl, "show", "--property", _PROPERTIES, *names], timeout)
    found = parse_units(told.stdout, names) if told.ok else {}
    if not found:
        return {}, "systemctl: %s" % told.describe()
    return found, ""


def parse_units(text: str, names: Sequence[str]) -> dict[str, Unit]:
    """The paragraphs of `systemctl show`, which come in the order in which units were named."""
    found = {}
    for name, paragraph in zip(names, text.strip("\n").split("\n\n")):
        pairs = [line.partition("=") for line in paragraph.splitlines()]
        said = {key: value for key, _equals, value in pairs}
        if "LoadState" not in said:
            continue
        found[name] = Unit(
            said["LoadState"],
            said.get("ActiveState", "inactive"),
            said.get("UnitFileState", ""),
            _count(said.get("MainPID", "")),
            said.get("ControlGroup", ""),
            said.get("NeedDaemonReload") == "yes",
            _count(said.get("NRestarts", "")),
            said.get("StatusText", ""),
        )
    return found


def _count(text: str) -> int:
    return int(text) if text.isdigit() else 0


def list_units(systemctl: str, patterns: Sequence[str], timeout: float = 30.0) -> tuple[str, ...]:
    """The loaded units whose names match a shell pattern; none where systemd cannot be asked."""
    if not systemctl:
        return ()
    argv = [systemctl, "list-units", "--plain", "--no-legend", "--no-pager", *patterns]
    words = [line.split() for line in run(argv, timeout).stdout.splitlines()]
    return tuple(line[0] for line in words if line)


def config_files(name: str, roots: Sequence[str] = ROOTS) -> tuple[tuple[str, str], ...]:
    """(path, text) of what systemd reads for NAME.conf, in its order: what comes later wins.

    The main file comes first, then the drop-ins of all folders by their names. Of two drop-ins of
    one name that of the first folder counts, and a link to /dev/null hides it.
    """
    mains = [os.path.join(root, name + ".conf") for root in roots]
    found = [path for path in mains if os.path.exists(path)][:1]
    drop_ins: dict[str, str] = {}
    for root in reversed(roots):
        folder = os.path.join(root, name + ".conf.d")
        for file in _listed(folder):
            if file.endswith(".conf"):
                drop_ins[file] = os.path.join(folder, file)
    paths = [*found, *(drop_ins[file] for file in sorted(drop_ins))]
    return tuple((path, _text(path)) for path in paths)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 20)
    except OSError:
        return ""


def switch(files: Sequence[tuple[str, str]], section: str, key: str) -> tuple[bool | None, str]:
    """(the value of a yes-or-no setting, the file that sets it); None where none does."""
    value, by = None, ""
    for path, text in files:
        current = ""
        for line in text.splitlines():
            line = line.strip()
            if line.startswith("["):
                current = line
            name, equals, said = (part.strip() for part in line.partition("="))
            if current != "[%s]" % section or name != key or not equals:
                continue
            # systemd ignores what is neither.
            if said.lower() in _YES or said.lower() in _NO:
                value, by = said.lower() in _YES, path
    return value, by
