# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""POST /scrub, POST /rehydrate and GET /health: docs/contracts/redaction.md."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from redaction.maps import Maps
from redaction.scrubbing import TOKEN, Detected, Leak, Map, Recognise, scrubbed

_log = logging.getLogger("redaction")
_MOST = 4 << 20  # bytes of a request
_SWEEP = 60.0  # seconds between two looks for expired maps

_Id = Annotated[str, Meta(min_length=1, max_length=200)]
_Name = Annotated[str, Meta(min_length=2, max_length=500)]
_Names = Annotated[list[_Name], Meta(max_length=10_000)]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    id: Annotated[str, Meta(max_length=200)]
    text: Annotated[str, Meta(max_length=200_000)]


_Items = Annotated[list[_Item], Meta(max_length=1000)]


class _Known(msgspec.Struct, forbid_unknown_fields=True):
    """A group that it does not know would be a name that stays in the text."""

    persons: _Names = []
    orgs: _Names = []
    funds: _Names = []
    emails: _Names = []
    locations: _Names = []


class _Scrub(msgspec.Struct, forbid_unknown_fields=True):
    task_id: _Id
    items: _Items
    actor: Annotated[str, Meta(max_length=200)] = ""
    known_entities: _Known = msgspec.field(default_factory=_Known)
    tier1_action: Literal["drop", "reject"] = "drop"
    ner: Literal["auto", "rules_only"] = "auto"
    map_handle: str = ""


class _Rehydrate(msgspec.Struct, forbid_unknown_fields=True):
    task_id: _Id
    map_handle: str
    items: _Items


class Refusal(Exception):
    """An answer without any text of the request."""

    def __init__(self, status: int, code: str, **more: Any) -> None:
        super().__init__(code)
        self.status = status
        self.answer = {"code": code, **more}


class Redaction:
    """recognise: what the model finds; None where names are recognised by rules alone.

    unavailable: why there is no model although one was asked for; empty for none.
    """

    def __init__(self, maps: Maps, recognise: Recognise | None, unavailable: str = "") -> None:
        self._maps = maps
        self._recognise = recognise
        self._unavailable = unavailable
        # Two requests of one task must not give one token twice.
        self._one = asyncio.Lock()

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._answer], client_max_size=_MOST)
        app.router.add_get("/health", self._health)
        app.router.add_post("/scrub", self._scrub)
        app.router.add_post("/rehydrate", self._rehydrate)
        app.cleanup_ctx.append(self._swept)
        return app

    async def _swept(self, _app: web.Application) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                deleted = await asyncio.to_thread(self._maps.sweep)
                if deleted:
                    _log.info("%d maps have expired", deleted)
                await asyncio.sleep(_SWEEP)

        task = asyncio.create_task(sweep())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    @web.middleware
    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        started = time.monotonic()
        response: web.StreamResponse
        try:
            response = await handler(request)
        except Refusal as refusal:
            response = web.json_response(refusal.answer, status=refusal.status)
        except web.HTTPException as error:
            response = web.json_response({"code": "refused"}, status=error.status)
        except Exception as error:
            # Its text may have something of a request.
            _log.error("%s", type(error).__name__)
            response = web.json_response({"code": "failed"}, status=500)
        resource = request.match_info.route.resource
        line = {
            "method": request.method,
            "path": resource.canonical if resource is not None else "-",
            "status": response.status,
            "ms": round((time.monotonic() - started) * 1000),
        }
        _log.info("%s", json.dumps(line))
        return response

    async def _health(self, _request: web.Request) -> web.Response:
        if self._unavailable:
            return web.json_response({"status": "no model", "why": self._unavailable}, status=503)
        return web.json_response({"status": "ok", "ner": self._recognise is not None})

    async def _scrub(self, request: web.Request) -> web.Response:
        asked = _read(await request.read(), _Scrub)
        recognise: Recognise = _nothing
        if asked.ner == "auto":
            if self._recognise is None:
                raise Refusal(422, "ner_unavailable")
            recognise = _checked(self._recognise)
        async with self._one:
            return web.json_response(await asyncio.to_thread(self._scrubbed, asked, recognise))

    def _scrubbed(self, asked: _Scrub, recognise: Recognise) -> dict[str, Any]:
        if asked.map_handle:
            handle, stored = asked.map_handle, self._maps.get(asked.map_handle, asked.task_id)
            if stored is None:
                raise Refusal(404, "no_map")
        else:
            handle, stored = self._maps.new(asked.task_id)
        used = Map(dict(stored.values))
        known = msgspec.to_builtins(asked.known_entities)
        try:
            texts = scrubbed(
                [item.text for item in asked.items],
                known,
                recognise,
                used,
                reject=asked.tier1_action == "reject",
            )
        except Detected as detected:
            raise Refusal(422, "tier1_detected", kinds=detected.kinds) from None
        except Leak:
            raise Refusal(500, "leak") from None
        # Whoever has the answer can undo it.
        self._maps.store(stored, used)
        tokens = [TOKEN.findall(text) for text in texts]
        kinds = Counter(token[1:].partition("_")[0] for found in tokens for token in found)
        return {
            "task_id": asked.task_id,
            "map_handle": handle,
            "items": [
                {"id": item.id, "scrubbed_text": text, "tokens_used": [*dict.fromkeys(found)]}
                for item, text, found in zip(asked.items, texts, tokens, strict=True)
            ],
            "stats": {"tokens": sum(kinds.values()), "kinds": dict(sorted(kinds.items()))},
            "expires_at": int(stored.until),
        }

    async def _rehydrate(self, request: web.Request) -> web.Response:
        asked = _read(await request.read(), _Rehydrate)
        stored = await asyncio.to_thread(self._maps.get, asked.map_handle, asked.task_id)
        if stored is None:
            raise Refusal(404, "no_map")
        used = Map(stored.values)
        unknown: set[str] = set()
        items = []
        for item in asked.items:
            text, more = used.rehydrated(item.text)
            unknown |= more
            items.append({"id": item.id, "text": text})
        return web.json_response({"items": items, "unknown_tokens": sorted(unknown)})


def _nothing(_text: str) -> list[Any]:
    return []


def _checked(recognise: Recognise) -> Recognise:
    """A model that fails has recognised nothing, which must not pass for a text without names."""

    def found(text: str) -> list[Any]:
        try:
            return list(recognise(text))
        except Exception as error:
            _log.error("the model has failed: %s", type(error).__name__)
            raise Refusal(422, "ner_unavailable") from None

    return found


def _read(body: bytes, shape: type[T]) -> T:
    """Raises Refusal. It names the field and what is expected, and nothing of the value."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        # The name of a field that is not known may be anything.
        unknown = "unknown field" in str(error)
        detail = "an unknown field" if unknown else str(error)[:300]
        raise Refusal(422, "invalid", detail=detail) from None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Refusal(422, "invalid", detail="no JSON") from None
