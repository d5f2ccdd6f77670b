# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Polls nodes and services by their addresses, and writes the log of outages."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import health, kinds, proof
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.health import Row
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.outages import (
    BUSY,
    DOWN,
    NODE,
    OFF,
    REPORT,
    SERVICE,
    UP,
    Line,
    Observation,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.outages_file import Log
from dgxspark_control import snapshot
from dgxspark_control.config import Config, NodeAddress

# Seconds for a connection, and for the light probe of a service.
_CONNECT, _PROBE = 3.0, 5.0
# Seconds between two connections to a node that is up.
_SELDOM = 30.0

Observe = Callable[[list[Line]], None]


class Poller:
    """The state of all subjects. changed: is called with the lines that are new in the log."""

    def __init__(self, config: Config, changed: Observe) -> None:
        self._config = config
        self._changed = changed
        self._writing = asyncio.Lock()
        self._connected: dict[str, float] = {}
        self.log = Log(str(config.state / "outages.jsonl"))
        self.details: dict[str, str] = {}
        # Of the last poll, in seconds since 1970.
        self.at: float | None = None

    async def poll(self, rows: Sequence[Row], status: Mapping[str, Any] | None) -> None:
        """Ask all nodes and services once. rows: of the last health.yml; status: of status.yml."""
        wanted = targets(rows, status)
        found = await asyncio.to_thread(
            health.ask_all, wanted, False, _PROBE, lambda _container: ""
        )
        answered = {
            urlsplit(target.url).hostname for target, one in found if one.state in (UP, BUSY)
        }
        nodes = [node for node in self._config.nodes if node.address]
        # Every connection is a line in the log of the node's sshd.
        nodes = [node for node in nodes if node.address not in answered and self._is_due(node)]
        reached = await asyncio.gather(*map(_connected, nodes))
        now = int(time.time())
        observed = [
            Observation(now, f"{NODE}/{node.name}", DOWN if why else UP, why)
            for node, why in zip(nodes, reached, strict=True)
        ]
        observed += [
            Observation(now, f"{NODE}/{node.name}", UP, "one of its services answers")
            for node in self._config.nodes
            if node.address in answered
        ]
        observed += [
            Observation(now, f"{SERVICE}/{target.name}", one.state, one.detail)
            for target, one in found
        ]
        self.details |= {one.subject: one.why for one in observed}
        await self.observe(observed)
        self.at = time.time()

    def _is_due(self, node: NodeAddress) -> bool:
        """Whether a node is connected to: seldom if it was up."""
        entry = self.log.state.subjects.get(f"{NODE}/{node.name}")
        now = time.monotonic()
        if entry and entry.state == UP and now - self._connected.get(node.name, 0.0) < _SELDOM:
            return False
        self._connected[node.name] = now
        return True

    async def observe(self, observations: Sequence[Observation]) -> None:
        """Add to the log. Raises OSError."""
        async with self._writing:
            lines = await asyncio.to_thread(self.log.observe, observations)
        if lines:
            self._changed(lines)

    async def reported(self, rows: Sequence[Row], status: Mapping[str, Any] | None) -> None:
        """Take a report of health.yml."""
        polled = [f"{SERVICE}/{target.name}" for target in targets(rows, status)]
        polled += [f"{NODE}/{node.name}" for node in self._config.nodes if node.address]
        now = int(time.time())
        subjects = self.log.state.subjects
        await self.observe(snapshot.observations(rows, polled, subjects, now))

    async def event(self, service: str, why: str, source: str) -> None:
        """A report of an application, which changes no state."""
        subject = f"{SERVICE}/{service}"
        now = int(time.time())
        await self.observe([Observation(now, subject, UP, why, f"{REPORT}{source}")])


def targets(rows: Sequence[Row], status: Mapping[str, Any] | None) -> list[health.Target]:
    """The services that can be polled: they have an address, and answer requests. Pure."""
    running = snapshot.workloads(status)
    found = []
    for row in rows:
        if row.what != SERVICE or not row.url or row.state == OFF:
            continue
        probe = running.get(row.name, {}).get("probe")
        given = proof.Given.of(probe if isinstance(probe, str) else json.dumps(probe or {}))
        kind = kinds.known(row.kind)
        if given.light_path(kind):
            target = health.Target(row.name, row.url, row.model, kind, given, watched=row.watched)
            found.append(target)
    return found


async def _connected(node: NodeAddress) -> str:
    """Why the SSH port of a node accepts no connection; empty if it does."""
    try:
        async with asyncio.timeout(_CONNECT):
            _reader, writer = await asyncio.open_connection(node.address, node.port)
    except TimeoutError:
        return f"port {node.port}: no answer within {_CONNECT:.0f} s"
    except OSError as error:
        return f"port {node.port}: {error.strerror or error}"
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ""
