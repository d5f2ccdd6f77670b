# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether a model is served, tested by a completion as users request it.

/health alone is no proof: vLLM answers it while its engine hangs or is going to fail at the first
request.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

STARTING = "starting"  # nothing answers on the port yet
LOADING = "loading"  # the port answers, /health does not say yes
HEALTHY = "healthy"  # /health says yes; no completion was asked for, or none came in time
REFUSING = "refusing"  # a completion was asked for and an error came back
REJECTED = "rejected"  # the same, and asking again changes nothing: key, model or limits
SERVING = "serving"  # a completion came back

# A question that is not taken, no key, not allowed, no such model or one that does not complete, a
# field that is not taken: the next one would be answered the same.
_FINAL = (400, 401, 403, 404, 422)

# HTTPException: what answers there does not speak HTTP, or stopped in the middle.
_NO_ANSWER = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Look:
    """The state of an endpoint. seconds: the duration of the completion."""

    phase: str
    detail: str = ""
    completion: str | None = None
    seconds: float | None = None


def look(url: str, model: str, ask: bool, timeout: float, api_key: str = "") -> Look:
    """Inspect once; never raises for an answer.

    url: http://ADDRESS:PORT; ask: request a completion of one token, for at most timeout seconds.
    api_key: sent with that request where it is not empty.
    """
    try:
        with _open(url + "/health", None, min(timeout, 5)):
            pass
    except urllib.error.HTTPError as error:
        return Look(LOADING, "/health answers %d" % error.code)
    except _NO_ANSWER as error:
        return Look(STARTING, _reason(error))
    if not ask:
        return Look(HEALTHY, "/health answers")
    started = time.monotonic()
    question = {"model": model, "prompt": "1", "max_tokens": 1, "temperature": 0}
    try:
        with _open(url + "/v1/completions", question, timeout, api_key) as answer:
            text = parse_completion(answer.read(1 << 20))
    except urllib.error.HTTPError as error:
        phase = REJECTED if error.code in _FINAL else REFUSING
        return Look(phase, "a completion was answered with %d: %s" % (error.code, _said(error)))
    except ValueError as error:
        return Look(REFUSING, "a completion was answered with %s" % error)
    except _NO_ANSWER as error:
        return Look(HEALTHY, "no completion: %s" % _reason(error))
    return Look(SERVING, "a completion was answered", text, round(time.monotonic() - started, 3))


def parse_completion(body: bytes) -> str:
    """The text of an OpenAI completion. Raises ValueError, with a quote, for any other answer."""
    try:
        text = foreign.json_of(body)["choices"][0]["text"]
    except (ValueError, KeyError, IndexError, TypeError):
        text = None
    if not isinstance(text, str):
        raise ValueError("an invalid answer: %r" % body[:200])
    return text


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


def _open(url: str, question: dict[str, Any] | None, timeout: float, api_key: str = "") -> Any:
    """The answer, which is complete within timeout seconds or raises TimeoutError."""
    data = None if question is None else json.dumps(question).encode()
    headers = {"Content-Type": "application/json"}
    if api_key:
        headers["Authorization"] = "Bearer " + api_key
    request = urllib.request.Request(url, data, headers)
    # A proxy of the login environment has no business between a node and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Handler())
    return opener.open(request, timeout=timeout)


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return error.read(2000).decode("utf-8", "replace").strip()
    except _NO_ANSWER as broken:
        return _reason(broken)


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)
