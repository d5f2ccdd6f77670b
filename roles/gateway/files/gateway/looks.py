# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the servers answer at present, and the file of services as it was last in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import msgspec

from gateway import endpoints, waits
from gateway.config import Config
from gateway.endpoints import Service
from gateway.errors import plain
from gateway.routing import Live, Table

_log = logging.getLogger("gateway")
_SECONDS = aiohttp.ClientTimeout(total=5, sock_connect=2)
_ANSWER = 1 << 20
_MODELS = 64
# Bytes of the progress of a swap, and its state once nothing of it goes on.
_PROGRESS = 1 << 16
_ENDED = "ended"
_NAME = 300
# Servers of these kinds have /v1/models.
_WITH_MODELS = frozenset({"chat", "completion", "embeddings", "rerank"})


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model]


class _Progress(msgspec.Struct):
    """What the guard of a swap publishes: docs/contracts/swap.md."""

    service: str
    state: str
    step: str = ""


class Looks:
    """The table of services: from their file, which is read when it changes, and from the servers.

    A gateway on a node also reads what swaps its guards publish.

    changed: is called when the file has brought other services.
    """

    def __init__(self, config: Config, changed: Callable[[], None]) -> None:
        self._config = config
        self._changed = changed
        self._path = Path(config.endpoints)
        self._stamp: object = None
        self._due: dict[str, float] = {}
        self._misses: dict[str, int] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._live: dict[str, Live] = {}
        self._swaps: dict[str, str] = {}
        self.table = Table((), self._live, config.aliases, self._swaps)
        # When the services that are in force were written, in seconds since 1970.
        self.since = 0
        # Why the file that is there now is not used; empty if it is.
        self.problem = "not read yet"

    def read(self) -> None:
        """Take the file if it has changed; the services stay as they are if it is not in order."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp == self._stamp:
                return
            if status.st_size > endpoints.LIMIT:
                raise endpoints.EndpointsError("it has more than %d bytes" % endpoints.LIMIT)
            services = endpoints.parse(self._path.read_bytes(), self._config.allowed)
        except (OSError, endpoints.EndpointsError) as error:
            # Whoever puts the last file in order again may give it its old time, too.
            self._stamp = None
            if str(error) != self.problem:
                self.problem = str(error)
                _log.warning("%s is not used: %r", self._path, self.problem)
            return
        self._stamp = stamp
        self.problem = ""
        self.since = int(status.st_mtime)
        before = {service.name: service for service in self.table.services}
        if before == {service.name: service for service in services}:
            return
        for service in services:
            if before.pop(service.name, None) != service:
                self._forget(service.name)
        for name in before:
            self._forget(name)
        self.table = Table(services, self._live, self._config.aliases, self._swaps)
        _log.info("%d services", len(services))
        self._changed()

    def read_swaps(self) -> None:
        """Take what the guards publish; nothing on a machine without them."""
        self._swaps.clear()
        for path in Path(self._config.swaps).glob("*.json"):
            with contextlib.suppress(OSError, msgspec.MsgspecError, ValueError, RecursionError):
                with path.open("rb") as file:
                    found = msgspec.json.decode(file.read(_PROGRESS), type=_Progress)
                if found.service == path.stem and found.state != _ENDED:
                    self._swaps[found.service] = plain(found.step)

    def missed(self, service: Service) -> None:
        """A request could not reach this server: others are not sent there until it answers."""
        self._note(service.name, Live(False, self._live.get(service.name, Live()).models))

    def doubted(self, service: Service) -> None:
        """This server does not know its model, or broke off: it is asked within a second."""
        self._due[service.name] = 0.0

    async def watch(self, session: aiohttp.ClientSession) -> None:
        """Read the file each second, and ask the servers when they are due. Never ends."""
        while True:
            self.read()
            self.read_swaps()
            now = time.monotonic()
            for service in self.table.services:
                name = service.name
                if self._due.get(name, 0.0) <= now and name not in self._asking:
                    self._asking[name] = asyncio.create_task(self._look(session, service))
            await asyncio.sleep(1)

    def _forget(self, name: str) -> None:
        for known in (self._due, self._misses, self._live):
            known.pop(name, None)
        if name in self._asking:
            self._asking.pop(name).cancel()

    async def _look(self, session: aiohttp.ClientSession, service: Service) -> None:
        name = service.name
        live = self._live.get(name, Live())
        try:
            live = await _ask(session, service, self._config.upstream_keys.get(name, ""), live)
        except (aiohttp.ClientError, OSError) as error:
            # A server that works may be late with its answer, not with the connection.
            late = isinstance(error, TimeoutError)
            if not late or isinstance(error, aiohttp.ConnectionTimeoutError):
                live = Live(False, live.models)
        self._note(name, live)
        self._asking.pop(name, None)

    def _note(self, name: str, live: Live) -> None:
        if live != self._live.get(name, Live()):
            state = "answers" if live.answers else "does not answer"
            _log.info("%s %s, models %r", name, state, live.models)
        self._live[name] = live
        self._misses[name] = 0 if live.answers else self._misses.get(name, 0) + 1
        self._due[name] = time.monotonic() + waits.next_look(self._misses[name])


async def _ask(session: aiohttp.ClientSession, service: Service, key: str, live: Live) -> Live:
    """What the server answers now. Raises aiohttp.ClientError, OSError."""
    listed = bool(service.model) or not service.kind or bool(_WITH_MODELS & {*service.kind})
    path = "/v1/models" if listed else service.light
    headers = {"Authorization": "Bearer " + key} if key else {}
    async with session.get(
        service.url.rstrip("/") + path, headers=headers, allow_redirects=False, timeout=_SECONDS
    ) as answer:
        text = bytearray()
        while len(text) < _ANSWER and (piece := await answer.content.readany()):
            text += piece
        if answer.status >= 500:
            return Live(False, live.models)
        models = _names(bytes(text)) if listed and answer.status == 200 else ()
        return Live(True, models or live.models)


def _names(text: bytes) -> tuple[str, ...]:
    """The models of an answer of /v1/models; none if it is something else."""
    try:
        found = msgspec.json.decode(text, type=_Models).data
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ()
    return tuple(one.id for one in found if 0 < len(one.id) <= _NAME)[:_MODELS]
