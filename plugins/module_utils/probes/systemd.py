# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd says of its units, and how its configuration files come together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.command import run

# Where a configuration file and the folder of its drop-ins are looked for; the first wins.
ROOTS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")

_PROPERTIES = "Id,LoadState,ActiveState,UnitFileState"
_YES, _NO = ("1", "yes", "y", "true", "t", "on"), ("0", "no", "n", "false", "f", "off")


@dataclass(frozen=True)
class Unit:
    """load is loaded, not-found or masked; enabled: it starts with the node."""

    load: str = "not-found"
    active: bool = False
    enabled: bool = False

    @property
    def there(self) -> bool:
        return self.load == "loaded"


def ask_units(
    systemctl: str, names: Sequence[str], timeout: float
) -> tuple[Mapping[str, Unit], str]:
    """(unit's name -> what systemd says of it, why it says nothing); timeout is in seconds."""
    if not systemctl:
        return {}, "there is no systemctl here"
    told = run([systemctl, "show", "--property", _PROPERTIES, *names], timeout)
    found = parse_units(told.stdout) if told.ok else {}
    if not found:
        return {}, "systemctl: %s" % told.describe()
    return found, ""


def parse_units(text: str) -> dict[str, Unit]:
    """From `systemctl show`: paragraphs of Key=value lines."""
    found = {}
    for paragraph in text.split("\n\n"):
        pairs = [line.partition("=") for line in paragraph.splitlines()]
        fields = {key: value for key, _equals, value in pairs}
        if fields.get("Id"):
            found[fields["Id"]] = Unit(
                fields.get("LoadState", ""),
                fields.get("ActiveState") in ("active", "reloading", "activating"),
                fields.get("UnitFileState") in ("enabled", "enabled-runtime", "alias"),
            )
    return found


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
