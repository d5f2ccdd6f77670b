# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The systemd unit that supervises the container of a rank; both have the same name.

The unit runs supervisor.py, which runs prover.py. Copies of them are on the node as long as such a
unit is. Beside the unit's state is the secret by which the supervisors of a workload know each
other; it is part of no text, no diff and no result.
"""

from __future__ import annotations

import glob
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.unit_texts import (
    SANDBOX,
    quoted,
    value,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host import (
    command,
    interpreter,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    COMMENT,
    FileWrite,
    OwnFile,
    make_directories,
    replace_file,
    rightful_owner,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import MAIN, own_name
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import systemd
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    memory,
    prover,
    supervisor,
    swap_guard,
    swap_part,
)

FOLDER = "/etc/systemd/system"
PROGRAM = "/usr/local/lib/dgxspark/supervisor.py"
PROVER = "/usr/local/lib/dgxspark/prove.py"
GUARD = "/usr/local/lib/dgxspark/swap_guard.py"
GUARD_UNIT = os.path.join(FOLDER, "dgxspark-swap@.service")
SYSTEMCTL = "/usr/bin/systemctl"

_SECONDS = 120.0
_PAUSE = 0.25
# For the supervisors of a launch to meet, which takes a second where no node is lost.
MEET = 45.0
_MODE = 0o644

# Of programs that need the socket of the Docker engine and their peers, and no device.
_SANDBOX = (
    """\
RuntimeDirectoryPreserve=yes
RuntimeDirectoryMode=0755
PrivateDevices=yes
ProtectClock=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallFilter=@system-service
"""
    + SANDBOX
)
_TEXT = """\
%(comment)s
# Written by launch.yml, removed by stop.yml and by the next launch.
[Unit]
Description=Rank %(rank)s of %(title)s
Wants=network-online.target docker.service
After=network-online.target docker.service
# The supervisor counts the starts of the workload, across reboots as well.
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
# The OOM killer must not choose the supervisor.
OOMScoreAdjust=-500
# It needs the socket of the Docker engine, its state, and the addresses of the peers.
ReadWritePaths=-%(state)s
# To release the page cache, which the GPU does not get.
ReadWritePaths=-%(drop)s
RuntimeDirectory=%(permits)s
%(sandbox)s
[Install]
WantedBy=multi-user.target

%(section)s
Container=%(name)s
Recipe=%(recipe)s
Service=%(service)s
Plan=%(plan)s
Rank=%(rank)s
Members=%(members)s
Port=%(port)s
Starts=%(starts)s
Docker=%(docker)s
Nodes=%(nodes)s
Url=%(url)s
Model=%(model)s
Kind=%(kind)s
Claim=%(claim)s
Deep=%(deep)s
Probe=%(probe)s
"""

_GUARD_UNIT = """\
%(comment)s
# Written by launch.yml, removed with the last unit of a rank.
[Unit]
Description=Swap of what %%i serves
Wants=network-online.target docker.service
After=network-online.target docker.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=%(command)s %%i
Restart=on-failure
RestartSec=2
KillMode=mixed
OOMScoreAdjust=-500
# It needs the socket of the Docker engine, systemd, units and their state.
ReadWritePaths=-%(state)s
ReadWritePaths=%(units)s
ReadWritePaths=-%(drop)s
RuntimeDirectory=dgxspark
%(sandbox)s
[Install]
WantedBy=multi-user.target
"""

# Before the text of a program: the modules that it imports, each in a package of its name.
_FUTURE = "from __future__ import annotations\n"
_CARRY = """
import sys as _sys
import types as _types


def _carry(name: str, *lines: str) -> None:
    \"\"\"A copy of a module of the collection, which is not on this node.\"\"\"
    package, _dot, own = name.rpartition(".")
    home = _sys.modules.setdefault(package, _types.ModuleType(package))
    module = _sys.modules[name] = _types.ModuleType(name)
    setattr(home, own, module)
    exec(compile("".join(lines), own + ".py", "exec"), module.__dict__)

"""
_MODULE = """
_carry(
    %(name)r,
%(lines)s,
)
"""


@dataclass(frozen=True)
class SupervisedUnit:
    """A unit of this collection. down: when and why its workload went down last.

    rank, members, nodes, url, model, kind, probe: as of supervisor.Workload. Units are readable by
    all, so that they show what is served to whoever may not ask Docker.
    """

    container: str
    recipe: str
    plan: str
    state: str = "inactive"
    enabled: bool = False
    pid: int = 0
    restarts: int = 0
    status_text: str = ""
    down: Mapping[str, Any] | None = None
    service: str = MAIN
    rank: int = 0
    members: Sequence[str] = ()
    nodes: Sequence[str] = ()
    url: str = ""
    model: str = ""
    kind: Sequence[str] = ()
    probe: str = ""


def unit_text(name: str, spec: Mapping[str, Any], docker: str, python: str = sys.executable) -> str:
    """The unit of a container. Raises ValueError for a value that would add a line."""
    words = {
        "recipe": spec["recipe"],
        "service": spec.get("service", MAIN),
        "plan": spec["plan"],
        "rank": spec["rank"],
        "members": " ".join(spec["members"]),
        "port": spec["port"],
        "starts": spec["starts"],
        "docker": docker,
        "name": name,
        "nodes": " ".join(spec.get("nodes", ())),
        "url": spec.get("url", ""),
        "model": spec.get("model", ""),
        "kind": " ".join(spec.get("kind", ())),
        "claim": spec.get("claim", ""),
        "deep": spec.get("deep", 0),
        "probe": spec.get("probe", ""),
    }
    for key, word in words.items():
        if not str(word).isprintable():
            raise ValueError(
                "%s has characters that are not allowed in a systemd unit: %r" % (key, word)
            )
    return _TEXT % {
        **words,
        "comment": COMMENT.strip(),
        "title": value(str(words["recipe"])),
        "state": supervisor.STATE,
        "permits": os.path.relpath(supervisor.PERMITS, "/run"),
        "drop": memory.DROP,
        "sandbox": _SANDBOX,
        "command": quoted([python, PROGRAM, path_of(name)]),
        "given_up": supervisor.GIVEN_UP,
        "section": supervisor.SECTION,
    }


def guard_unit(python: str = sys.executable) -> str:
    """The template of the units of swap guards, by the name of the service."""
    return _GUARD_UNIT % {
        "comment": COMMENT.strip(),
        "command": quoted([python, GUARD]),
        "state": supervisor.STATE,
        "units": FOLDER,
        "drop": memory.DROP,
        "sandbox": _SANDBOX,
    }


def programs() -> dict[str, str]:
    """The supervisor, the program that asks its server and the swap guard, by their paths.

    Each is one file, with the modules of this collection that it imports.
    """
    modules = {PROGRAM: supervisor, PROVER: prover, GUARD: swap_guard}
    return {path: _program(module.__name__) for path, module in modules.items()}


def _program(module: str) -> str:
    sources = interpreter.sources_of(interpreter.imports_of(module))
    text = sources.pop(module)
    head, future, body = text.partition(_FUTURE)
    carried = [_CARRY]
    for name, source in sources.items():
        lines = ",\n".join("    %r" % line for line in source.splitlines(True))
        carried.append(_MODULE % {"name": name, "lines": lines})
    return "".join((COMMENT, head, future, *carried, body))


def path_of(name: str) -> str:
    return os.path.join(FOLDER, _service(name))


def installed() -> list[SupervisedUnit]:
    """The units of this collection on this node. Other units are ignored, whatever their names."""
    ours: dict[str, supervisor.Workload] = {}
    for path in sorted(glob.glob(os.path.join(FOLDER, "dgxspark-*.service"))):
        named = supervisor.UNIT.fullmatch(os.path.basename(path))
        workload = _read(path) if named else None
        if named and workload:
            ours[named[1]] = workload
    states, _problem = systemd.ask_units(SYSTEMCTL, [_service(name) for name in ours], _SECONDS)
    return [_unit(name, workload, states.get(_service(name))) for name, workload in ours.items()]


def _read(path: str) -> supervisor.Workload | None:
    try:
        text = OwnFile.read(path).text
        return supervisor.read_unit(text) if text else None
    except (Blocked, ValueError):
        return None


def _unit(name: str, workload: supervisor.Workload, state: systemd.Unit | None) -> SupervisedUnit:
    down = supervisor.read_state(supervisor.state_path(path_of(name))).get("down")
    known = state or systemd.Unit(active="unknown")
    return SupervisedUnit(
        name,
        workload.recipe,
        workload.plan,
        known.active,
        known.file_state == "enabled",
        known.pid,
        known.restarts,
        known.status_text,
        down,
        workload.service,
        workload.rank,
        workload.members,
        workload.nodes,
        workload.url,
        workload.model,
        workload.kind,
        workload.probe,
    )


def _service(container: str) -> str:
    return "%s.service" % own_name(container)


@dataclass(frozen=True)
class UnitChange:
    """A file to write or to remove. before, after: for a diff."""

    write: FileWrite

    @property
    def before(self) -> str:
        return self._headed(self.write.before)

    @property
    def after(self) -> str:
        return self._headed(self.write.after)

    def _headed(self, text: str) -> str:
        # Not the few hundred lines of the program.
        program = self.write.subject in (PROGRAM, PROVER, GUARD)
        shown = "(a copy of the collection's)\n" if text and program else text
        return "# %s\n%s" % (self.write.subject, shown) if shown else ""


def changes(
    supervise: Mapping[str, Mapping[str, Any]],
    remove: Sequence[str],
    docker: str,
    python: str = sys.executable,
) -> Iterator[UnitChange]:
    """The files that differ from what is wanted. Raises Blocked for a file of somebody else.

    supervise: container -> its unit_spec. remove: containers whose units are removed.
    """
    wanted: dict[str, str | None] = {path_of(name): None for name in remove}
    wanted.update(
        {path_of(name): unit_text(name, supervise[name], docker, python) for name in supervise}
    )
    others = {path_of(unit.container) for unit in installed()} - set(wanted)
    if supervise:
        wanted = {**programs(), **wanted}
    elif not others:
        wanted |= dict.fromkeys((PROGRAM, PROVER, GUARD, GUARD_UNIT))
    for path, text in wanted.items():
        file = OwnFile.read(path)
        if file.differs(text, _MODE):
            yield UnitChange(FileWrite(file, text, _MODE, ()))


def swap_changes() -> Iterator[UnitChange]:
    """The programs and the unit of a swap guard, as far as they differ. Raises Blocked."""
    for path, text in {**programs(), GUARD_UNIT: guard_unit()}.items():
        file = OwnFile.read(path)
        if file.differs(text, _MODE):
            yield UnitChange(FileWrite(file, text, _MODE, ()))


def apply(change: UnitChange) -> None:
    """Raises OSError and Blocked."""
    change.write.apply()
    if change.write.text is None and change.write.subject in (PROGRAM, PROVER, GUARD):
        # The folder may have other files.
        with suppress(OSError):
            os.rmdir(os.path.dirname(PROGRAM))


def without_secret(names: Sequence[str], secret: str) -> list[str]:
    """Those containers whose units do not have this secret. Raises OSError."""
    return [name for name in names if _read_secret(name) != secret.encode()]


def _read_secret(name: str) -> bytes:
    try:
        return supervisor.read_secret(supervisor.secret_path(path_of(name)))
    except (FileNotFoundError, ValueError):
        return b""


def write_secret(name: str, secret: str) -> None:
    """The supervisors read it whenever they connect. Raises OSError."""
    path = supervisor.secret_path(path_of(name))
    make_directories(os.path.dirname(path))
    replace_file(path, secret.encode() + b"\n", 0o600, rightful_owner(os.geteuid()))


def end(names: Sequence[str]) -> None:
    """Stop and disable the units of these containers; the containers stop as well."""
    units = [_service(name) for name in names]
    _systemctl("disable", "--now", *units)
    # A unit that ended with its peers would stay listed as failed.
    command.run([SYSTEMCTL, "reset-failed", *units], _SECONDS)
    for name in names:
        for path_in_state in (supervisor.state_path, supervisor.secret_path):
            with suppress(FileNotFoundError):
                os.unlink(path_in_state(path_of(name)))


def begin(names: Sequence[str]) -> None:
    """Start and enable the units of these containers, and reset their counts of starts."""
    for name in names:
        with suppress(FileNotFoundError):
            os.unlink(supervisor.state_path(path_of(name)))
    _systemctl("enable", "--now", *map(_service, names))


def meet(names: Sequence[str], seconds: float) -> str:
    """Wait until the supervisors of these containers are connected to those of all their ranks.

    Why they are not within so many seconds; empty if they are.
    """
    deadline = time.monotonic() + seconds
    units = {_service(name): name for name in names}
    while True:
        states, problem = systemd.ask_units(SYSTEMCTL, list(units), _SECONDS)
        apart = {
            name: states[unit].status_text if unit in states else problem
            for unit, name in units.items()
            if unit not in states or not states[unit].status_text.startswith(supervisor.MET)
        }
        if not apart or time.monotonic() > deadline:
            return "; ".join("%s: %s" % (name, why or "no status") for name, why in apart.items())
        time.sleep(_PAUSE)


def rank_change(name: str, text: str) -> UnitChange:
    """The unit of a rank as it will be, for a diff. Raises Blocked for a file of somebody else."""
    return UnitChange(FileWrite(OwnFile.read(path_of(name)), text, _MODE, ()))


def stop_guard(service: str) -> None:
    """End the guard of a swap that has ended; it may still say so to late nodes."""
    command.run([SYSTEMCTL, "stop", swap_part.UNIT % service], _SECONDS)


def start_guard(service: str) -> None:
    """Have a guard do the swap of a service, from now on and after a boot. Raises Blocked."""
    unit = swap_part.UNIT % service
    command.run([SYSTEMCTL, "reset-failed", unit], _SECONDS)
    _systemctl("enable", unit)
    _systemctl("restart", "--no-block", unit)


def reload() -> None:
    """Make systemd read its units again."""
    _systemctl("daemon-reload")


def _systemctl(*words: str) -> None:
    done = command.run([SYSTEMCTL, *words], _SECONDS * 2)
    if not done.ok:
        raise Blocked(
            "systemctl %s: %s" % (" ".join(words), done.describe()),
            "See systemctl status and journalctl --unit there.",
        )
