# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may ask: names of control, pages of other origins, the token; and the shape of errors."""

from __future__ import annotations

import hashlib
import hmac
import http
import ipaddress
import json
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dgxspark_control.config import Config
from dgxspark_control.requests import LIMIT

COOKIE = "dgxspark_control"
PROBLEM = "application/problem+json"
# Below it everything needs the token, but SIGN_IN.
API = "/api/"
SIGN_IN = "/api/access"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_HINTS = {
    404: "GET /openapi.json lists the paths",
    405: "GET /openapi.json lists the methods",
}
_CODES = {404: "not_found", 405: "method_not_allowed", 422: "invalid"}
# What a browser may do with the answers.
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class Refusal(Exception):
    """A request that is not carried out. code: for programs. more: further keys of the answer.

    retry_after: seconds, 0 for none.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        hint: str = "",
        retry_after: int = 0,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after
        self.body = {
            "type": f"about:blank#{code}",
            "title": http.HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "code": code,
            "hint": hint,
            **more,
        }

    @classmethod
    def of_status(cls, status: int, detail: str) -> Refusal:
        """For what the framework refuses by itself."""
        return cls(status, _CODES.get(status, "error"), detail, _HINTS.get(status, ""))

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.retry_after)} if self.retry_after else {}


def check(method: str, path: str, headers: Mapping[str, str], config: Config) -> None:
    """Raises Refusal for a request that is not answered. headers: whatever the case of a name."""
    host = headers.get("host", "").lower()
    # A page that has its own name point here (DNS rebinding) asks for that name.
    if not _is_ours(host, config):
        hint = "Use the IP address, or add the name to dgxspark_control_names"
        raise Refusal(421, "unknown_host", "Control has no such name", hint)
    _same_origin(method, path, headers, host)
    if method not in _READS and _has_body(headers):
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            hint = "Send Content-Type: application/json"
            raise Refusal(415, "not_json", "The body is not JSON", hint)
    if path.startswith(API) and path != SIGN_IN and not signed_in(headers, config):
        hint = f"Send it as Authorization: Bearer TOKEN, or sign in with POST {SIGN_IN}"
        raise Refusal(401, "token_required", "The token is missing or wrong", hint)


def _is_ours(host: str, config: Config) -> bool:
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    if name == "localhost" or name in config.names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same_origin(method: str, path: str, headers: Mapping[str, str], host: str) -> None:
    reads = method in _READS
    site = headers.get("sec-fetch-site", "none")
    foreign = site not in ("none", "same-origin")
    # A link to the page from elsewhere is no harm, and neither are the page's files.
    if foreign and reads and not path.startswith(API):
        return
    # Without the scheme: a proxy before control may have added TLS.
    origin = headers.get("origin", f"//{host}").lower().partition("//")[2]
    if foreign or (not reads and origin != host):
        hint = "Open the page of control itself, or ask without a browser"
        raise Refusal(403, "cross_site", "A page of another origin asks", hint)


def _has_body(headers: Mapping[str, str]) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def signed_in(headers: Mapping[str, str], config: Config) -> bool:
    """Whether the request has the token; also if none is required."""
    if not config.token_sha256:
        return True
    scheme, _blank, token = headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else _cookie(headers)
    return is_token(given, config)


def is_token(given: str, config: Config) -> bool:
    """Whether this is the token of control."""
    found = hashlib.sha256(given.encode("utf-8", "surrogateescape")).hexdigest()
    return hmac.compare_digest(found, config.token_sha256)


def _cookie(headers: Mapping[str, str]) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


class Guard:
    """The middleware: checks each request, limits its body, and adds the headers of answers."""

    def __init__(self, app: ASGIApp, config: Config) -> None:
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # There are no WebSockets.
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"]

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    out.setdefault(name, value)
                out.setdefault("cache-control", "no-store" if path.startswith(API) else "no-cache")
            await send(message)

        try:
            check(scope["method"], path, headers, self._config)
            body = await _body(headers, receive)
        except Refusal as refusal:
            await answer(refusal, protected)
            return
        await self._app(scope, _again(body, receive), protected)


async def _body(headers: Mapping[str, str], receive: Receive) -> bytes | None:
    """The complete body; None if there is none. Raises Refusal for one that is too long."""
    if not _has_body(headers):
        return None
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        length += len(message.get("body", b""))
        if length > LIMIT:
            raise Refusal(413, "too_large", f"The body has more than {LIMIT} bytes")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(parts)


def _again(body: bytes | None, receive: Receive) -> Receive:
    given = [] if body is None else [body]

    async def receive_again() -> Message:
        if given:
            return {"type": "http.request", "body": given.pop(), "more_body": False}
        return await receive()

    return receive_again


async def answer(refusal: Refusal, send: Send) -> None:
    """Send a refusal as the answer."""
    body = json.dumps(refusal.body).encode()
    headers = {
        **refusal.headers,
        "content-type": PROBLEM,
        "content-length": str(len(body)),
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
