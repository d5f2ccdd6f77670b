# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd says of its units, asked without root; and how a unit file quotes words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.model import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.command import run

_PROPERTIES = "Id,LoadState,ActiveState,UnitFileState,MainPID,ControlGroup,NeedDaemonReload"
_SECONDS = 30.0


@dataclass(frozen=True)
class Unit:
    """One unit. stale: its files are others than systemd has read. pid is 0 where none runs."""

    load: str = "not-found"
    active: str = "inactive"
    file_state: str = ""
    pid: int = 0
    cgroup: str = ""
    stale: bool = False

    @property
    def there(self) -> bool:
        return self.load == "loaded"

    @property
    def enabled(self) -> bool:
        return self.file_state in ("enabled", "enabled-runtime", "alias", "static", "indirect")


def ask(systemctl: str, names: Sequence[str]) -> Mapping[str, Unit] | Blocked:
    """Name, as asked for, -> what systemd knows; or why it cannot be asked."""
    hint = "Units need a systemd that runs as the first process."
    if not systemctl:
        return Blocked("there is no systemctl here", hint)
    if not names:
        return {}
    told = run([systemctl, "show", "--property", _PROPERTIES, *names], _SECONDS)
    if not told.ok:
        return Blocked("systemctl: %s" % told.describe(), hint)
    return parse_show(told.stdout, names)


def listed(systemctl: str, pattern: str) -> tuple[str, ...]:
    """The loaded units whose names match a shell pattern; none where systemd cannot be asked."""
    if not systemctl:
        return ()
    argv = [systemctl, "list-units", "--plain", "--no-legend", "--no-pager", pattern]
    words = [line.split() for line in run(argv, _SECONDS).stdout.splitlines()]
    return tuple(line[0] for line in words if line)


def parse_show(text: str, names: Sequence[str]) -> dict[str, Unit]:
    """The paragraphs of `systemctl show`, which come in the order in which units were named."""
    found = {}
    for name, paragraph in zip(names, text.strip("\n").split("\n\n")):
        pairs = [line.partition("=") for line in paragraph.splitlines()]
        said = {key: value for key, _equals, value in pairs}
        pid = said.get("MainPID", "0")
        found[name] = Unit(
            said.get("LoadState", "not-found"),
            said.get("ActiveState", "inactive"),
            said.get("UnitFileState", ""),
            int(pid) if pid.isdigit() else 0,
            said.get("ControlGroup", ""),
            said.get("NeedDaemonReload") == "yes",
        )
    return found


def quoted(argv: Sequence[str]) -> str:
    """A command line for ExecStart= that yields exactly these words."""
    return " ".join(_word(word) for word in argv)


def _word(word: str) -> str:
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(plain, escaped)
    plain_word = word and not set(word) & set(" \t'\"\\;")
    return word if plain_word else '"%s"' % word
