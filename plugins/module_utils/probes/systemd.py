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
# Folders of units and of their drop-in folders (systemd.unit(5)); the first wins.
UNIT_ROOTS = (
    *("/etc/systemd/system.control", "/run/systemd/system.control"),
    *(os.path.join(root, "system") for root in ROOTS),
)

_PROPERTIES = (
    "LoadState,ActiveState,UnitFileState,MainPID,ControlGroup,NeedDaemonReload,NRestarts,StatusText"
    ",DropInPaths"
)
_YES, _NO = ("1", "yes", "y", "true", "t", "on"), ("0", "no", "n", "false", "f", "off")


@dataclass(frozen=True)
class Unit:
    """The state of a unit.

    load is loaded, not-found or masked, active for example active or failed, file_state for example
    enabled. pid is 0 if no main process runs. stale: its files have changed since systemd read
    them. restarts: how often systemd has restarted it. status_text is what the service reported.
    drop_ins are the paths of the drop-ins that systemd has read.
    """

    load: str = "not-found"
    active: str = "inactive"
    file_state: str = ""
    pid: int = 0
    cgroup: str = ""
    stale: bool = False
    restarts: int = 0
    status_text: str = ""
    drop_ins: tuple[str, ...] = ()

    @property
    def there(self) -> bool:
        return self.load == "loaded"

    @property
    def masked(self) -> bool:
        """Whether a person or a package has forbidden every start of it."""
        return self.load == "masked"

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
            tuple(properties.get("DropInPaths", "").split()),
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
    folders = [os.path.join(root, name + ".conf.d") for root in roots]
    return (*((path, read_text(path) or "") for path in main), *drop_ins(folders))


def drop_ins(folders: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """(path, text) of the .conf files in these folders, in the order in which they are read.

    The order is that of their names. Of two files with one name that of the first folder counts; a
    link to /dev/null there hides the other one. So do systemd, systemd-sysctl and their like.
    """
    paths: dict[str, str] = {}
    for folder in reversed(folders):
        paths.update(
            {name: os.path.join(folder, name) for name in list_folder(folder) if _is_conf(name)}
        )
    return tuple((paths[name], read_text(paths[name]) or "") for name in sorted(paths))


def _is_conf(name: str) -> bool:
    return name.endswith(".conf") and not name.startswith(".")


def unit_drop_ins(
    unit: str, read: Sequence[str] = (), roots: Sequence[str] = UNIT_ROOTS
) -> tuple[tuple[str, str], ...]:
    """(path, text) of the drop-ins of a unit, in the order of drop_ins.

    read are those that systemd names itself: they may belong to another name of the unit.
    """
    kind = unit.rpartition(".")[2]
    folders = [os.path.join(root, name + ".d") for name in (unit, kind) for root in roots]
    known = dict(drop_ins(folders))
    names = {os.path.basename(path) for path in known}
    known.update(
        {path: read_text(path) or "" for path in read if os.path.basename(path) not in names}
    )
    return tuple(sorted(known.items(), key=lambda file: os.path.basename(file[0])))


def settings_of(text: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """(section, key) -> the values of a configuration file.

    An empty value empties the list, and stays as the only one where nothing follows it.
    """
    values: dict[tuple[str, str], tuple[str, ...]] = {}
    section = ""
    for line in text.replace("\\\n", " ").splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or line.startswith(("#", ";")):
            continue
        former = () if not value else values.get((section, key), ())
        values[section, key] = (*(entry for entry in former if entry), value)
    return values


@dataclass(frozen=True)
class Overruled:
    """A setting of ours that a file sets otherwise; value is what holds with that file."""

    key: str
    value: str
    path: str

    def __str__(self) -> str:
        return "%s sets %s=%s" % (self.path, self.key, self.value)


def overruling(ours: str, later: Sequence[tuple[str, str]]) -> tuple[Overruled, ...]:
    """The settings of our text that files which are read later, (path, text), set otherwise.

    Dependencies, in [Unit], add up: nothing overrules them.
    """
    wants = {pair: values for pair, values in settings_of(ours).items() if pair[0] != "Unit"}
    rivals: dict[tuple[str, str], Overruled] = {}
    for path, text in later:
        for pair, values in settings_of(text).items():
            rivals.pop(pair, None)
            if pair in wants and values != wants[pair]:
                rivals[pair] = Overruled(pair[1], " ".join(values), path)
    return tuple(rivals.values())


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
