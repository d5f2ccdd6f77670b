# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether a service serves, proven by the request of its kind as users make it.

/health alone is no proof: vLLM answers it while its engine hangs or is going to fail at the first
request.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    proof,
    traffic,
)

STARTING = "starting"  # nothing answers on the port yet
LOADING = "loading"  # the port answers, the light probe does not pass
HEALTHY = "healthy"  # it passes; nothing else was asked for, or no answer came in time
REFUSING = "refusing"  # the answer to the request of its kind is wrong, or an error
REJECTED = "rejected"  # the same, and asking again changes nothing: key, model, limits or kind
SERVING = "serving"  # it was answered, and the answer is right

METRICS_SECONDS = 2.0
# HTTPException: what answers there does not speak HTTP, or stopped in the middle.
_NO_ANSWER = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Look:
    """The state of an endpoint.

    answer: what the deep probe was answered, in short: the text of a completion. seconds: how long
    that took. kind: what it has proven to be. denied: it wants an API key, or another one.
    """

    phase: str
    detail: str = ""
    answer: str | None = None
    seconds: float | None = None
    kind: str = ""
    denied: bool = False


def look(
    url: str,
    model: str,
    ask: bool,
    timeout: float,
    api_key: str = "",
    kind: Sequence[str] = (),
    given: proof.Given = proof.NOTHING,
) -> Look:
    """Inspect once; never raises for an answer.

    url: http://ADDRESS:PORT; ask: run the deep probe, for at most timeout seconds in all.
    api_key: sent with its requests where it is not empty. kind: what is served, all of which has to
    pass; the server is asked where it is empty.
    """
    light = given.light_path(kind)
    if light:
        try:
            with _open(url, proof.Request("GET", light, light), min(timeout, 5)):
                pass
        except urllib.error.HTTPError as error:
            return Look(LOADING, "%s answers %d" % (light, error.code))
        except _NO_ANSWER as error:
            return Look(STARTING, _reason(error))
    if not ask:
        return Look(HEALTHY, "%s answers" % (light or "its container"))
    started = time.monotonic()
    probe = proof.prove(kind, model, given)
    request = None
    try:
        request = next(probe)
        while True:
            left = started + timeout - time.monotonic()
            request = probe.send(_answer(url, request, left, api_key))
    except StopIteration as end:
        return _judged(end.value, started)
    except ValueError as error:
        what = request.what if request else "a request"
        return Look(REFUSING, "%s was answered with %s" % (what, error))
    except _NO_ANSWER as error:
        what = request.what.split()[-1] if request else "request"
        return Look(HEALTHY, "no %s: %s" % (what, _reason(error)))


def read(url: str, path: str, timeout: float) -> str | None:
    """The first MiB that a GET answers, complete within timeout seconds; None for no such answer.

    An answer with a status from 400 on is none.
    """
    request = proof.Request("GET", path, path)
    try:
        with _open(url, request, timeout) as answer:
            return str(answer.read(request.limit).decode("utf-8", "replace"))
    except _NO_ANSWER:
        return None


def traffic_of(url: str) -> traffic.Traffic | None:
    """What the server says of its work; None for no answer within METRICS_SECONDS."""
    text = read(url, traffic.PATH, METRICS_SECONDS)
    return None if text is None else traffic.parse(text)


def _judged(verdict: proof.Verdict, started: float) -> Look:
    """What a proof has shown. started: when it began, by the monotonic clock."""
    if not verdict.passed:
        phase = REJECTED if verdict.final else REFUSING
        return Look(phase, verdict.reason, kind=verdict.kind, denied=verdict.denied)
    seconds = round(time.monotonic() - started, 3)
    return Look(SERVING, verdict.reason, verdict.text, seconds, verdict.kind)


class _Reader(io.RawIOBase):
    """An answer that has to be complete in time, however slowly it drips. until: by monotonic."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, until: float) -> None:
        super().__init__()
        self._raw, self._connection, self._until = raw, connection, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *more: Any, until: float, **named: Any) -> None:
        super().__init__(sock, *more, **named)
        self.fp: Any = io.BufferedReader(_Reader(self.fp.detach(), sock, until))


class _Connection(http.client.HTTPConnection):
    """timeout is that of the complete answer."""

    def __init__(self, host: str, timeout: float) -> None:
        super().__init__(host, timeout=timeout)
        until = time.monotonic() + timeout
        self.response_class: Any = partial(_Response, until=until)


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_Connection, req)  # type: ignore[arg-type]


def _answer(url: str, request: proof.Request, left: float, api_key: str) -> proof.Answer:
    """The answer of any status, in at most so many seconds. Raises _NO_ANSWER."""
    if left <= 0:
        raise TimeoutError("timed out")
    try:
        with _open(url, request, min(left, request.timeout or left), api_key) as answer:
            body = answer.read(request.limit)
    except urllib.error.HTTPError as error:
        return proof.Answer(error.code, _headers(error.headers), _said(error))
    return proof.Answer(answer.status, _headers(answer.headers), body)


def _headers(headers: Any) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _open(url: str, request: proof.Request, timeout: float, api_key: str = "") -> Any:
    """The answer, which is complete within timeout seconds or raises TimeoutError."""
    headers = {"Content-Type": request.content_type or "application/json"}
    if api_key:
        headers["Authorization"] = "Bearer " + api_key
    question = urllib.request.Request(
        url + request.path, request.body or None, headers, method=request.method
    )
    # A proxy of the login environment has no business between a node and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Handler())
    return opener.open(question, timeout=timeout)


def _said(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(2000)
    except _NO_ANSWER as broken:
        return _reason(broken).encode("utf-8", "replace")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return foreign.line(str(getattr(reason, "strerror", None) or reason or type(reason).__name__))
