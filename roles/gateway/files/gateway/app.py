# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's own paths, and the way of a request to a server and of the answer back."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway import errors, guard, headers, search, speakers, waits
from gateway.body import IN_MEMORY, Form, Json
from gateway.caps import Caps
from gateway.config import Config
from gateway.endpoints import (
    DIARIZE,
    FORM_PATHS,
    GET_PATHS,
    JSON_PATHS,
    RELAYED,
    SCRUB_PATHS,
    SEARCH,
    TRANSCRIBE,
)
from gateway.errors import Refusal
from gateway.looks import Looks
from gateway.parts import Parts
from gateway.routing import Target
from gateway.search import Searcher
from gateway.servers import Body, Servers
from gateway.speakers import MERGE, Speakers

_log = logging.getLogger("gateway")
_access = logging.getLogger("gateway.access")
# Below the 5 s for which uvicorn, and so vLLM, retains an idle connection.
_IDLE_CONNECTION = 2.0
# Of an answer that its client does not take.
_BUFFER = 1 << 16
# Without a byte of the request's body, or without the client taking any of the answer.
_CLIENT_SECONDS = 60.0
_AUDIO = "/v1/audio/"
_JSON = "application/json"
_FORM = "multipart/form-data"
# What serves a request, for the access log.
_SERVED = web.RequestKey("served", str)
# Whether the answer ended before its end.
_BROKEN = web.RequestKey("broken", bool)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Budget:
    """Bytes that all requests share."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        """Raises Refusal if there are not so many."""
        if size > self._left:
            raise Refusal(503, "busy", "too many large requests at once", waits.LOST)
        self._left -= size

    def give(self, size: int) -> None:
        self._left += size


class Gateway:
    """The state of the process: nothing in it has to survive a restart."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._caps = Caps()
        self._looks = Looks(config, self._caps.changed)
        self._memory = Budget(config.memory_mib << 20)
        self._spool = Budget(config.spool_mib << 20)
        self._servers: Servers | None = None

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._answer])
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{model:.+}", self._models)
        own = {SEARCH: self._search, **dict.fromkeys((TRANSCRIBE, DIARIZE, MERGE), self._speakers)}
        for path, handler in {**dict.fromkeys(RELAYED, self._relay), **own}.items():
            method = "GET" if path in GET_PATHS else "POST"
            app.router.add_route(method, path, handler, expect_handler=self._expect)
        app.cleanup_ctx.append(self._run)
        app.on_response_prepare.append(_signed)
        return app

    async def _run(self, _app: web.Application) -> AsyncIterator[None]:
        self._looks.read()
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_CONNECTION)
        async with aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_BUFFER,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        ) as session:
            self._servers = Servers(self._config, self._looks, self._caps, session)
            watch = asyncio.create_task(self._looks.watch(session))
            yield
            watch.cancel()

    @web.middleware
    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Errors in the client's shape, and a line for the log without anything of a body."""
        started = time.monotonic()
        status = 499  # The client has left.
        try:
            response = await self._guarded(request, handler)
            status = response.status
            return response
        finally:
            resource = request.match_info.route.resource
            line = {
                "method": request.method,
                # As registered: clients may write anything into a path.
                "path": resource.canonical if resource is not None else "-",
                "served": request.get(_SERVED, "-"),
                "status": status,
                "broken": request.get(_BROKEN, False),
                "ms": round((time.monotonic() - started) * 1000),
            }
            _access.info("%s", json.dumps(line))

    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            if request.path != "/health":
                guard.check(request.headers, self._config.hosts, self._config.keys)
            return await handler(request)
        except Refusal as refusal:
            return _refused(request, refusal)
        except web.HTTPException as error:
            return _refused(request, Refusal(error.status, "no_such_path", error.reason))
        except Exception as error:
            # Where and what, not its text, which may have something of a body.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            _log.error("%s at %s:%s", type(error).__name__, frame.filename, frame.lineno)
            return _refused(request, Refusal(500, "gateway_error", "the gateway has failed"))

    async def _health(self, _request: web.Request) -> web.Response:
        table = self._looks.table
        return web.json_response(
            {
                "status": "stale" if self._looks.problem else "ok",
                "endpoints": self._looks.problem,
                "since": self._looks.since,
                "in_flight": sum(self._caps.in_flight.values()),
                "waiting": self._caps.waiting,
                "services": {one.name: table.answers(one) for one in table.services},
            }
        )

    async def _models(self, request: web.Request) -> web.Response:
        models = self._looks.table.models(self._looks.since)
        name = request.match_info.get("model")
        if name is None:
            return web.json_response({"object": "list", "data": models})
        found = [model for model in models if model["id"] == name]
        if not found:
            raise Refusal(404, "model_not_found", "this model is not served", param="model")
        return web.json_response(found[0])

    async def _expect(self, request: web.Request) -> web.StreamResponse | None:
        """Refuse what is too large before the client sends it."""
        try:
            guard.check(request.headers, self._config.hosts, self._config.keys)
            self._check_length(request)
        except Refusal as refusal:
            return _refused(request, refusal)
        if request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None

    @property
    def _upstream(self) -> Servers:
        assert self._servers is not None
        return self._servers

    def _limit(self, request: web.Request) -> int:
        form = request.path in FORM_PATHS or request.content_type == _FORM
        return self._config.audio_bytes if form else self._config.body_bytes

    def _check_length(self, request: web.Request) -> None:
        limit = self._limit(request)
        if (request.content_length or 0) > limit:
            raise _too_large(limit)

    async def _relay(self, request: web.Request) -> web.StreamResponse:
        self._check_length(request)
        if request.path in FORM_PATHS:
            return await self._with_form(request)
        if request.path in JSON_PATHS:
            return await self._with_json(request)
        wanted = request.query.get("model", "")
        return await self._send(request, wanted, "", lambda _model: (None, None))

    async def _with_json(self, request: web.Request) -> web.StreamResponse:
        async with self._json(request) as data:
            if request.path in SCRUB_PATHS:
                text = bytes(data)
                return await self._send(request, "", _JSON, lambda _model: (None, text))
            if len(data) > IN_MEMORY:
                body = await asyncio.to_thread(Json, bytes(data))
            else:
                body = Json(bytes(data))
            data.clear()
            return await self._send(
                request, body.model, _JSON, lambda model: (None, body.asking_for(model))
            )

    @asynccontextmanager
    async def _json(self, request: web.Request) -> AsyncIterator[bytearray]:
        """The body. Its memory counts until the end of the block."""
        if request.content_type != _JSON:
            raise Refusal(415, "not_json", "expected Content-Type: application/json")
        held = 0
        data = bytearray()
        try:
            async for piece in self._pieces(request):
                self._memory.take(len(piece))
                held += len(piece)
                data += piece
            yield data
        finally:
            self._memory.give(held)

    async def _search(self, request: web.Request) -> web.StreamResponse:
        self._check_length(request)
        async with self._json(request) as data:
            question = search.question_of(bytes(data))
        return web.json_response(await Searcher(self._upstream).answer(question))

    async def _speakers(self, request: web.Request) -> web.StreamResponse:
        self._check_length(request)
        if request.path == MERGE and request.content_type != _FORM:
            async with self._json(request) as data:
                labels = await asyncio.to_thread(speakers.labels_of, bytes(data))
                return web.json_response(await speakers.merged(labels))
        if request.content_type != _FORM:
            raise Refusal(415, "not_a_form", "expected Content-Type: multipart/form-data")
        held = 0

        def take(size: int) -> None:
            nonlocal held
            self._spool.take(size)
            held += size

        parts = Parts(self._config.spool)
        ways = Speakers(self._upstream)
        try:
            await parts.read(request, _CLIENT_SECONDS, self._limit(request), take)
            answer = {TRANSCRIBE: ways.transcribed, DIARIZE: ways.diarized, MERGE: ways.merged_form}
            return web.json_response(await answer[request.path](parts))
        finally:
            parts.close()
            self._spool.give(held)

    async def _with_form(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != _FORM:
            raise Refusal(415, "not_a_form", "expected Content-Type: multipart/form-data")
        content_type = request.headers["Content-Type"]
        held = 0
        form = Form(content_type, self._config.spool)
        try:
            async for piece in self._pieces(request):
                self._spool.take(len(piece))
                held += len(piece)
                try:
                    await form.feed(piece)
                except OSError as error:
                    why = "the form could not be stored: %s" % error.strerror
                    raise Refusal(507, "no_room", why) from None
            return await self._send(request, form.finish(), content_type, form.asking_for)
        finally:
            self._spool.give(held)
            form.close()

    async def _pieces(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Refusal if it is too long or does not come."""
        limit = self._limit(request)
        size = 0
        while True:
            try:
                async with asyncio.timeout(_CLIENT_SECONDS):
                    piece = await request.content.readany()
            except TimeoutError:
                raise Refusal(408, "slow_client", "the body of the request does not come") from None
            except (HttpProcessingError, web.RequestPayloadError):
                raise Refusal(400, "broken_body", "the body of the request is broken") from None
            if not piece:
                return
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            yield piece

    async def _send(
        self,
        request: web.Request,
        wanted: str,
        content_type: str,
        body: Callable[[str], tuple[int | None, Body]],
    ) -> web.StreamResponse:
        """Route, wait for a place, and relay; if the server cannot be reached, begin again.

        body: from the model that the server is asked for, empty for that of the client, to length
        and content; the length is None where the content has one.
        """

        async def use(target: Target) -> web.StreamResponse:
            request[_SERVED] = target.model or target.service.name
            return await self._one(request, target, content_type, *body(target.model))

        return await self._upstream.at(request.path, wanted, use)

    async def _one(
        self,
        request: web.Request,
        target: Target,
        content_type: str,
        length: int | None,
        content: Body,
    ) -> web.StreamResponse:
        """The answer of one server. Raises as Servers.request does."""
        service = target.service
        sent = self._upstream.sent(service, request.headers, content_type)
        if length is not None:
            sent["Content-Length"] = str(length)
        answer = await self._upstream.request(service, request.method, request.path, sent, content)
        try:
            if answer.status >= 500 and request.path.startswith(_AUDIO):
                message = "%s failed with status %d" % (service.name, answer.status)
                raise Refusal(503, "server_error", message, speakers.RETRY)
            if 300 <= answer.status < 400:
                raise Refusal(502, "server_error", "%s redirects elsewhere" % service.name)
            if (answer.content_length or _BUFFER) < _BUFFER:
                # Headers and content as one piece: half of the system calls.
                content = await self._upstream.complete(service, answer)
                response: web.StreamResponse = _at_once(answer, content)
            else:
                response = await _back(request, answer)
            if answer.status == 404 or request.get(_BROKEN):
                self._looks.doubted(service)
            return response
        finally:
            # Complete ones are back in the pool already; all others end here, on their server too.
            answer.close()


def _refused(request: web.Request, refusal: Refusal) -> web.Response:
    response = web.json_response(
        errors.body(refusal, request.path),
        status=refusal.status,
        headers=errors.headers(refusal),
    )
    if not request.content.is_eof():
        # What is left of the body is not read.
        response.force_close()
    return response


def _at_once(answer: aiohttp.ClientResponse, content: bytes) -> web.Response:
    passed = headers.to_client(answer.headers.items())
    passed.pop("Content-Length", None)
    return web.Response(status=answer.status, headers=passed, body=content)


async def _back(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Relay the answer piece by piece, as fast as the client takes it."""
    response = web.StreamResponse(
        status=answer.status, headers=headers.to_client(answer.headers.items())
    )
    await response.prepare(request)
    try:
        while piece := await answer.content.readany():
            async with asyncio.timeout(_CLIENT_SECONDS):
                await response.write(piece)
        await response.write_eof()
    except (aiohttp.ClientError, ConnectionError, TimeoutError):
        request[_BROKEN] = True
        # The client has to notice that this answer is not complete.
        if request.transport is not None:
            request.transport.abort()
    return response


def _too_large(limit: int) -> Refusal:
    return Refusal(413, "too_large", "the body has more than %d MiB" % (limit >> 20))


async def _signed(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    response.headers["Server"] = "dgxspark-gateway"
