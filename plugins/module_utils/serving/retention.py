# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Start, retain, remove and restore this collection's containers.

A retained container is stopped and has a name that ends in `.previous`, so that a rollback can
restore it. It is renamed before it is stopped: whenever a run is interrupted, the next one can tell
what was served from what has crashed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import RETAINED, own_name
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import (
    Container,
    EngineError,
    ask,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import units

_ASK_SECONDS = 120

RETAIN, REMOVE, RESTORE = "retain", "remove", "restore"


@dataclass(frozen=True)
class Step:
    """One docker command, or, without one, the removal of a unit. description: for people."""

    argv: tuple[str, ...]
    description: str
    unit: str = ""


class NotOurs(Exception):
    """A named container is not one of this collection; nothing has been done."""


def steps(
    containers: Sequence[Container],
    wanted: Mapping[str, Sequence[str]],
    stop_seconds: int,
    supervised: Collection[str] = (),
) -> list[Step]:
    """The commands that bring the containers to the wanted states. Pure.

    wanted: RETAIN, REMOVE, RESTORE -> names. supervised: names of containers that have a unit; it
    is removed before its container is touched. A state that is reached already needs no step. A
    missing container is passed over, except for RESTORE. Raises NotOurs, and EngineError for a
    missing container to restore.
    """
    by_name = {container.name: container for container in containers}
    named = [name for names in wanted.values() for name in names]
    foreign = [name for name in named if _is_foreign(by_name, name)]
    if foreign:
        raise NotOurs("not started by this collection, so left alone: %s" % ", ".join(foreign))
    out: list[Step] = []
    for name in wanted.get(REMOVE, ()):
        out += _remove_unit(name, supervised)
        if name in by_name:
            out += _stop(by_name[name], stop_seconds)
            out.append(Step(("rm", "--force", "--volumes", name), "removed %s" % name))
    for name in wanted.get(RETAIN, ()):
        if name in by_name:
            out += _retain(by_name[name], stop_seconds, supervised)
    starts: list[Step] = []
    for name in wanted.get(RESTORE, ()):
        own = own_name(name)
        container = by_name.get(own + RETAINED) or by_name.get(own)
        if container is None:
            raise EngineError("container %s is gone, so it cannot be started again" % own)
        if container.name != own:
            out.append(Step(("rename", container.name, own), "renamed %s back" % own))
        out += _remove_unit(own, supervised)
        out += _stop(container, stop_seconds, own)
        starts.append(Step(("start", own), "started %s" % own))
    return [*out, *starts]


def _is_foreign(by_name: Mapping[str, Container], name: str) -> bool:
    return name in by_name and not by_name[name].ours


def _stop(container: Container, seconds: int, name: str = "") -> Iterator[Step]:
    name = name or container.name
    if container.status not in ("exited", "created", "dead"):
        yield Step(("stop", "-t", str(seconds), name), "stopped %s" % name)


def _remove_unit(name: str, supervised: Collection[str]) -> Iterator[Step]:
    if name in supervised:
        yield Step((), "removed the unit of %s" % name, name)


def _retain(container: Container, seconds: int, supervised: Collection[str]) -> Iterator[Step]:
    retained = own_name(container.name) + RETAINED
    if container.name != retained:
        yield Step(("rename", container.name, retained), "retained %s" % container.name)
        # Its unit would start it again.
        yield from _remove_unit(container.name, supervised)
    yield from _stop(container, seconds, retained)


def carry_out(
    docker: str,
    planned: Sequence[Step],
    stop_seconds: int,
) -> None:
    """Run the steps in order. Raises EngineError, and Blocked for a unit."""
    for step in planned:
        if step.unit:
            units.end([step.unit])
        else:
            ask(docker, step.argv, stop_seconds + _ASK_SECONDS)
