# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What runs on this node: containers, their units, memory and ports."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL, service_of
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import sockets
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import Container
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    memory,
    start_permit,
    swap_files,
    swap_rules,
    units,
)

# Of a swap that has not ended.
_SWAP = ("id", "owner", "recipe", "decider", "state", "step", "attempt", "since")
# Docker's process that listens on a published port.
_PUBLISHER = "docker-proxy"


def running(
    containers: Sequence[Container], installed: Sequence[units.SupervisedUnit]
) -> dict[str, Any]:
    """What workload_info returns about what runs, about memory and about its pages."""
    return {
        "containers": [
            {**asdict(container), "ours": container.ours, "recipe": container.recipe}
            for container in containers
        ],
        "units": [asdict(unit) for unit in installed],
        "starting": sorted(_starting(containers) | _waiting()),
        "swaps": _swaps(),
        "guards": _guards(),
        "ray": _ray(containers),
        "listening": [_listener(listener, containers) for listener in sockets.listeners()],
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "memory_available_bytes": memory.available(),
        "memory_total_bytes": memory.total(),
    }


def _listener(listener: sockets.Listener, containers: Sequence[Container]) -> dict[str, Any]:
    """A listener; a port that Docker publishes is that of the container to which it leads."""
    found = asdict(listener)
    if listener.process == _PUBLISHER:
        to = [one.id for one in containers if listener.port in one.published]
        found["container"] = to[0] if to else listener.container
    return found


def _starting(containers: Sequence[Container]) -> set[str]:
    """The services that have not answered since they were started, and that a unit supervises."""
    return {
        service_of(container.labels)
        for container in containers
        if container.ours
        and container.status == "running"
        and container.labels.get(LABEL + "supervise", "") not in ("", "{}")
        and start_permit.is_starting(container.id, container.started, start_permit.FOLDER)
    }


def _waiting() -> set[str]:
    """The services whose supervisors have the permit to start, or wait for it, by root's files."""
    try:
        return {foreign.line(name) for name in start_permit.waiting(start_permit.FOLDER)}
    except OSError:
        return set()


def _swaps() -> dict[str, dict[str, Any]]:
    """Service -> its swap that has not ended, by the progress that everybody may read, and by root.

    A guard that was not started yet has published nothing.
    """
    found = {
        service: progress
        for service, progress in swap_files.published().items()
        if progress.get("state") != swap_rules.ENDED
    }
    for service in swap_files.services():
        part = swap_files.read(service)
        if part is None or part.state == swap_rules.ENDED:
            found.pop(service, None)
        else:
            found.setdefault(service, swap_files.described(part))
    return {
        service: {
            **{key: foreign.line(str(swap.get(key, ""))) for key in _SWAP},
            "missing": [foreign.line(str(name)) for name in swap.get("missing", ())],
        }
        for service, swap in found.items()
    }


def _guards() -> list[dict[str, Any]]:
    """The guards of swaps that run, also of one that has ended and says so to late nodes."""
    found = []
    for service, progress in swap_files.published().items():
        pid = progress.get("pid")
        command = read_text("/proc/%s/cmdline" % pid) if isinstance(pid, int) else None
        if command and units.GUARD in command.split("\0"):
            found.append({"pid": pid, "service": service})
    return found


def _ray(containers: Sequence[Container]) -> dict[str, list[str]]:
    """Name of a container with a Ray head -> addresses that are connected to it."""
    return {
        container.name: sockets.peers(int(port))
        for container in containers
        for port in [container.labels.get(LABEL + "ray-port", "")]
        if container.ours and container.status == "running" and foreign.is_whole(port)
    }
