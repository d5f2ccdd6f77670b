# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places at the servers of services, and requests to them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import msgspec

from gateway import headers, waits
from gateway.caps import Caps
from gateway.config import Config
from gateway.endpoints import Service
from gateway.errors import Refusal
from gateway.looks import Looks
from gateway.routing import Target

_CONNECT = 3.0
# No connection to a server: nothing of the request has been sent.
_UNREACHED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
# Bytes of an answer that the gateway itself reads.
_ANSWER = 32 << 20
_JSON = "application/json"

Body = bytes | AsyncIterator[bytes] | aiohttp.FormData | None
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """Of a server to the gateway itself."""

    status: int
    body: bytes
    target: Target

    @property
    def name(self) -> str:
        return self.target.service.name

    def read(self, shape: type[T]) -> T:
        """Its JSON. Raises Refusal for another status or shape."""
        if not 200 <= self.status < 300:
            message = "%s failed with status %d" % (self.name, self.status)
            raise Refusal(502, "server_error", message)
        try:
            return msgspec.json.decode(self.body, type=shape)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise Refusal(
                502, "server_error", "%s sent an answer of another form" % self.name
            ) from None


class Servers:
    """Requests to the servers of services, within their caps."""

    def __init__(
        self, config: Config, looks: Looks, caps: Caps, session: aiohttp.ClientSession
    ) -> None:
        self._keys = config.upstream_keys
        self._looks = looks
        self._caps = caps
        self._session = session

    async def at(self, path: str, wanted: str, use: Callable[[Target], Awaitable[T]]) -> T:
        """Use a server for this path and model; another one if it cannot be reached.

        Raises Refusal, and whatever `use` does.
        """
        while True:
            targets = self._looks.table.route(path, wanted)
            service = await self._caps.acquire([target.service for target in targets])
            if service is None:
                continue
            taken = None
            try:
                # After a long wait the server may be down, or serve another model.
                targets = self._looks.table.route(path, wanted)
                target = next((one for one in targets if one.service == service), None)
                if target is None:
                    continue
                started = time.monotonic()
                result = await use(target)
                taken = time.monotonic() - started
                return result
            except _UNREACHED:
                # Nothing of the request has reached it. The next round has fewer servers.
                self._looks.missed(service)
            finally:
                self._caps.release(service, taken)

    async def request(
        self, service: Service, method: str, path: str, sent: Mapping[str, str], body: Body
    ) -> aiohttp.ClientResponse:
        """The beginning of an answer. Raises Refusal, and one of those that `at` expects.

        path: with its query.
        """
        try:
            return await self._session.request(
                method,
                service.url.rstrip("/") + path,
                data=body,
                headers=sent,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=_CONNECT, sock_read=service.timeout
                ),
            )
        except _UNREACHED:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(service, error) from error

    async def ask(
        self,
        target: Target,
        method: str,
        path: str,
        body: bytes | aiohttp.FormData | None = None,
    ) -> Answer:
        """A complete answer to a request of the gateway itself. body: JSON or a form.

        Raises as request does.
        """
        service = target.service
        content_type = _JSON if isinstance(body, bytes) else ""
        sent = headers.to_server((), content_type, self._keys.get(service.name, ""))
        answer = await self.request(service, method, path, sent, body)
        try:
            return Answer(answer.status, await self.complete(service, answer), target)
        finally:
            answer.close()

    async def complete(self, service: Service, answer: aiohttp.ClientResponse) -> bytes:
        """All of an answer. Raises Refusal."""
        text = bytearray()
        try:
            while piece := await answer.content.readany():
                text += piece
                if len(text) > _ANSWER:
                    raise Refusal(
                        502, "server_error", "the answer of %s is too long" % service.name
                    )
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(service, error) from error
        return bytes(text)

    def sent(self, service: Service, given: Mapping[str, str], content_type: str) -> dict[str, str]:
        """The headers of a client's request that the server gets."""
        return headers.to_server(given.items(), content_type, self._keys.get(service.name, ""))

    def _failed(self, service: Service, error: Exception) -> Refusal:
        if isinstance(error, TimeoutError):
            message = "%s sent nothing for %d s" % (service.name, service.timeout)
            return Refusal(504, "server_timeout", message)
        if isinstance(error, aiohttp.ClientResponseError):
            return Refusal(502, "server_error", "%s did not answer in HTTP" % service.name)
        self._looks.doubted(service)
        message = "%s closed the connection" % service.name
        return Refusal(503, "server_lost", message, waits.LOST)
