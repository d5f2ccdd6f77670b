# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit that keeps a rank over reboots and crashes: one per container, of the same name.

It runs supervisor.py, of which a copy lies on the node as long as there is such a unit.
"""

from __future__ import annotations

import glob
import inspect
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.unit_findings import (
    quoted,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host import command
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    COMMENT,
    FileWrite,
    OwnFile,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import own_name
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import supervisor

FOLDER = "/etc/systemd/system"
PROGRAM = "/usr/local/lib/dgxspark/supervisor.py"
SYSTEMCTL = "/usr/bin/systemctl"

_SECONDS = 120.0
_MODE = 0o644
_PROPERTIES = "Id,ActiveState,MainPID,NRestarts,StatusText,UnitFileState"
_NAME = re.compile(r"dgxspark-[a-z0-9_.-]+-[0-9]+")

_TEXT = """\
%(comment)s
# Written by launch.yml, removed by stop.yml and by the next launch.
[Unit]
Description=Rank %(rank)s of %(title)s
Wants=network-online.target docker.service
After=network-online.target docker.service
# How often the workload is started is counted by the supervisor, over reboots as well.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=%(command)s
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=%(given_up)d
TimeoutStartSec=300
TimeoutStopSec=120
KillMode=mixed
# It must not be the one that goes where memory runs out.
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target

%(section)s
Container=%(name)s
Recipe=%(recipe)s
Plan=%(plan)s
Rank=%(rank)s
Members=%(members)s
Port=%(port)s
Starts=%(starts)s
Docker=%(docker)s
"""


@dataclass(frozen=True)
class Unit:
    """A unit of ours as it is found. down: when and why its workload went down last."""

    container: str
    recipe: str
    plan: str
    state: str = "inactive"
    enabled: bool = False
    pid: int = 0
    restarts: int = 0
    status_text: str = ""
    down: Mapping[str, Any] | None = None


def unit_text(name: str, spec: Mapping[str, Any], docker: str, python: str) -> str:
    """The unit of a container. Raises ValueError for a word that would be another line."""
    words = {
        "recipe": spec["recipe"],
        "plan": spec["plan"],
        "rank": spec["rank"],
        "members": " ".join(spec["members"]),
        "port": spec["port"],
        "starts": spec["starts"],
        "docker": docker,
        "name": name,
    }
    for key, value in words.items():
        if not str(value).isprintable():
            raise ValueError("%s is no word for a unit: %r" % (key, value))
    return _TEXT % {
        **words,
        "comment": COMMENT.strip(),
        # A percent sign would stand for something else there.
        "title": str(words["recipe"]).replace("%", "%%"),
        "command": quoted([python, PROGRAM, path_of(name)]),
        "given_up": supervisor.GIVEN_UP,
        "section": supervisor.SECTION,
    }


def path_of(name: str) -> str:
    return os.path.join(FOLDER, own_name(name) + ".service")


def found() -> list[Unit]:
    """The units of ours on this node. Those of others, whatever their names, are passed over."""
    ours: dict[str, supervisor.Workload] = {}
    for path in sorted(glob.glob(os.path.join(FOLDER, "dgxspark-*.service"))):
        name = os.path.basename(path)[: -len(".service")]
        workload = _read(path) if _NAME.fullmatch(name) else None
        if workload:
            ours[name] = workload
    if not ours:
        return []
    asked = ["%s.service" % name for name in ours]
    told = command.run([SYSTEMCTL, "show", "--property", _PROPERTIES, *asked], _SECONDS)
    said = parse_show(told.stdout)
    return [
        _unit(name, workload, said.get("%s.service" % name, {})) for name, workload in ours.items()
    ]


def _read(path: str) -> supervisor.Workload | None:
    try:
        text = OwnFile.read(path).text
        return supervisor.read_unit(text) if text else None
    except (Blocked, ValueError):
        return None


def parse_show(text: str) -> dict[str, dict[str, str]]:
    """Id -> properties, of the paragraphs of `systemctl show`."""
    out = {}
    for paragraph in text.split("\n\n"):
        pairs = [line.partition("=") for line in paragraph.splitlines()]
        said = {key: value for key, _equals, value in pairs}
        if said.get("Id"):
            out[said["Id"]] = said
    return out


def _unit(name: str, workload: supervisor.Workload, said: Mapping[str, str]) -> Unit:
    return Unit(
        name,
        workload.recipe,
        workload.plan,
        said.get("ActiveState", "unknown"),
        said.get("UnitFileState") == "enabled",
        int(said.get("MainPID") or 0),
        int(said.get("NRestarts") or 0),
        said.get("StatusText", ""),
        supervisor.read_state(supervisor.state_path(path_of(name))).get("down"),
    )


@dataclass(frozen=True)
class Change:
    """A file that is written, or removed; for a diff as well."""

    write: FileWrite

    @property
    def before(self) -> str:
        return self._headed(self.write.before)

    @property
    def after(self) -> str:
        return self._headed(self.write.after)

    def _headed(self, text: str) -> str:
        # Of the program a diff shows that it comes or goes, not its few hundred lines.
        shown = "(a copy of the collection's)\n" if text and self.write.subject == PROGRAM else text
        return "# %s\n%s" % (self.write.subject, shown) if shown else ""


def changes(
    supervise: Mapping[str, Mapping[str, Any]],
    remove: Sequence[str],
    docker: str,
    python: str = sys.executable,
) -> Iterator[Change]:
    """The files that differ from what is wanted. Raises Blocked for files of others.

    supervise: container -> its unit_spec. remove: containers whose units are removed.
    """
    wanted: dict[str, str | None] = {path_of(name): None for name in remove}
    wanted.update(
        {path_of(name): unit_text(name, supervise[name], docker, python) for name in supervise}
    )
    left = {path_of(unit.container) for unit in found()} - set(wanted)
    if supervise:
        wanted = {PROGRAM: COMMENT + inspect.getsource(supervisor), **wanted}
    elif not left:
        wanted[PROGRAM] = None
    for path, text in wanted.items():
        file = OwnFile.read(path)
        if file.differs(text, _MODE):
            yield Change(FileWrite(file, text, _MODE, ()))


def apply(change: Change) -> None:
    """Raises OSError and Blocked."""
    change.write.apply()
    if change.write.text is None and change.write.subject == PROGRAM:
        # Somebody may keep something of their own beside it.
        with suppress(OSError):
            os.rmdir(os.path.dirname(PROGRAM))


def end(names: Sequence[str]) -> None:
    """Stop the units of these containers and take them out of the boot; the containers stop."""
    units = ["%s.service" % own_name(name) for name in names]
    _systemctl("disable", "--now", *units)
    # One that ended as its peers did would be listed as failed for ever.
    command.run([SYSTEMCTL, "reset-failed", *units], _SECONDS)
    for name in names:
        with suppress(FileNotFoundError):
            os.unlink(supervisor.state_path(path_of(name)))


def begin(names: Sequence[str]) -> None:
    """Have the units of these containers run now and after each boot, with nothing counted yet."""
    for name in names:
        with suppress(FileNotFoundError):
            os.unlink(supervisor.state_path(path_of(name)))
    _systemctl("enable", "--now", *("%s.service" % name for name in names))


def reload() -> None:
    """Have systemd read its units again."""
    _systemctl("daemon-reload")


def _systemctl(*words: str) -> None:
    done = command.run([SYSTEMCTL, *words], _SECONDS * 2)
    if not done.ok:
        raise Blocked(
            "systemctl %s: %s" % (" ".join(words), done.describe()),
            "See systemctl status and journalctl --unit there.",
        )
