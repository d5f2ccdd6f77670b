# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set aside, remove and bring back containers of ours, and see the memory that they held come free.

Every step leaves the node in a state that the next run understands: a container is renamed before
it is stopped, so that what was served is never mistaken for what has crashed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import RETAINED, own_name
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import (
    Container,
    EngineError,
    ask,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import units

_ASK_SECONDS = 120
# Memory counts as released once two looks in a row see no more than this come free.
_STABLE_BYTES = 64 << 20
_INTERVAL = 0.5

RETAIN, REMOVE, RESTORE = "retain", "remove", "restore"


@dataclass(frozen=True)
class Step:
    """One docker command, or, where there is none, the end of a unit; and what it does in words."""

    argv: tuple[str, ...]
    told: str
    unit: str = ""


class NotOurs(Exception):
    """A container that was named is not one of this collection; nothing has been done."""


def steps(
    found: Sequence[Container],
    wanted: Mapping[str, Sequence[str]],
    stop_seconds: int,
    kept: Collection[str] = (),
) -> list[Step]:
    """The commands that bring containers from how they are to what is wanted of them. Pure.

    wanted: RETAIN, REMOVE, RESTORE -> names. kept: names of containers that have a unit, which ends
    before its container is touched. What is so already needs no step; a container that is not there
    can be parked or removed no more, and cannot be restored. Raises NotOurs, and EngineError for
    what is to be restored and is not there.
    """
    by_name = {container.name: container for container in found}
    foreign = [name for names in wanted.values() for name in names if _is_foreign(by_name, name)]
    if foreign:
        raise NotOurs("not started by this collection, so left alone: %s" % ", ".join(foreign))
    out: list[Step] = []
    for name in wanted.get(REMOVE, ()):
        out += _forget(name, kept)
        if name in by_name:
            out += _end(by_name[name], stop_seconds)
            out.append(Step(("rm", "--force", "--volumes", name), "removed %s" % name))
    for name in wanted.get(RETAIN, ()):
        if name in by_name:
            out += _retain(by_name[name], stop_seconds, kept)
    restored: list[Step] = []
    for name in wanted.get(RESTORE, ()):
        own = own_name(name)
        container = by_name.get(own + RETAINED) or by_name.get(own)
        if container is None:
            raise EngineError("container %s is gone, so it cannot be started again" % own)
        if container.name != own:
            out.append(Step(("rename", container.name, own), "%s has its name back" % own))
        out += _forget(own, kept)
        out += _end(container, stop_seconds, own)
        restored.append(Step(("start", own), "started %s" % own))
    return [*out, *restored]


def _is_foreign(by_name: Mapping[str, Container], name: str) -> bool:
    return name in by_name and not by_name[name].ours


def _end(container: Container, seconds: int, name: str = "") -> Iterator[Step]:
    name = name or container.name
    if container.status not in ("exited", "created", "dead"):
        yield Step(("stop", "-t", str(seconds), name), "stopped %s" % name)


def _forget(name: str, kept: Collection[str]) -> Iterator[Step]:
    if name in kept:
        yield Step((), "removed the unit of %s" % name, name)


def _retain(container: Container, seconds: int, kept: Collection[str]) -> Iterator[Step]:
    aside = own_name(container.name) + RETAINED
    if container.name != aside:
        yield Step(("rename", container.name, aside), "set %s aside" % container.name)
        # Its unit would start it again.
        yield from _forget(container.name, kept)
    yield from _end(container, seconds, aside)


def carry_out(docker: str, planned: Sequence[Step], stop_seconds: int) -> None:
    """Do what is planned, in order. Raises EngineError, and Blocked for a unit."""
    for step in planned:
        if step.unit:
            units.end([step.unit])
        else:
            ask(docker, step.argv, stop_seconds + _ASK_SECONDS)


def parse_memory(meminfo: str, wanted: str) -> int:
    """MemAvailable, or another line, of a /proc/meminfo, in bytes; 0 where it is not told."""
    for line in meminfo.splitlines():
        key, _colon, rest = line.partition(":")
        if key == wanted:
            return int(rest.split()[0]) * 1024
    return 0


def available() -> int:
    """Memory that can be had now, in bytes. On a GB10 what the GPU holds counts as taken."""
    return parse_memory(Path("/proc/meminfo").read_text("ascii"), "MemAvailable")


def total() -> int:
    """All memory of the node, in bytes."""
    return parse_memory(Path("/proc/meminfo").read_text("ascii"), "MemTotal")


def await_release(
    limit: float,
    look: Callable[[], int] = available,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[int, float, bool]:
    """Wait until memory comes free no more: the driver gives unified memory back after the end.

    limit: seconds. Returns what is available in bytes, the seconds waited, whether it settled.
    """
    waited, last, calm = 0.0, look(), 0
    while calm < 2 and waited < limit:
        sleep(_INTERVAL)
        waited += _INTERVAL
        now = look()
        calm = calm + 1 if now - last <= _STABLE_BYTES else 0
        last = now
    return last, waited, calm >= 2
