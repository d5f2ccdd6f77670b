# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at servers in every state, over real HTTP."""

from __future__ import annotations

import json
import socket
import threading
import time
import typing as t
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.readiness import (
    HEALTHY,
    LOADING,
    REFUSING,
    REJECTED,
    SERVING,
    STARTING,
    Look,
    look,
)

Reply = t.Callable[[BaseHTTPRequestHandler], None]
Serve = t.Callable[[dict[str, Reply]], str]

# As vLLM answers, without the fields that nobody reads here.
COMPLETION = json.dumps(
    {
        "id": "cmpl-8a1f",
        "object": "text_completion",
        "model": "lab-tiny",
        "choices": [{"index": 0, "text": " sparks", "logprobs": None, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "total_tokens": 2, "completion_tokens": 1},
    }
)
# As vLLM 0.32 says it with --max-model-len 1.
NO_ROOM = '{"error":{"message":"maximum context length is 1 tokens","code":400}}'
NO_SUCH_MODEL = json.dumps(
    {"error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}}
)


def answer(status: int, body: str = "") -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body.encode())))
        handler.end_headers()
        handler.wfile.write(body.encode())

    return reply


def raw(data: bytes) -> Reply:
    """These bytes, then the end of the connection."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        # With unread input a close would be a reset.
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        handler.wfile.write(data)
        handler.close_connection = True

    return reply


OK = answer(200)


class Case(t.NamedTuple):
    """What the server does, and what is to be seen of it."""

    health: Reply
    completion: Reply
    ask: bool
    phase: str
    detail: str


CASES: dict[str, Case] = {
    "loading": Case(answer(503), OK, True, LOADING, "/health answers 503"),
    "no /health at all": Case(answer(404), OK, True, LOADING, "/health answers 404"),
    "no HTTP": Case(raw(b"SSH-2.0-OpenSSH_9.6\r\n"), OK, True, STARTING, "SSH-2.0-OpenSSH_9.6"),
    "hangs up": Case(raw(b""), OK, True, STARTING, "Remote end closed connection"),
    "healthy, not asked": Case(OK, answer(500), False, HEALTHY, "/health answers"),
    "serving": Case(OK, answer(200, COMPLETION), True, SERVING, "a completion was answered"),
    "engine dead": Case(
        OK, answer(500, "EngineDeadError\n"), True, REFUSING, "answered with 500: EngineDeadError"
    ),
    "another model": Case(
        OK, answer(404, NO_SUCH_MODEL), True, REJECTED, f"answered with 404: {NO_SUCH_MODEL}"
    ),
    "no room for a token": Case(
        OK, answer(400, NO_ROOM), True, REJECTED, f"answered with 400: {NO_ROOM}"
    ),
    "no key": Case(OK, answer(401, "{}"), True, REJECTED, "answered with 401"),
    "error cut off": Case(
        OK,
        raw(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nEngine"),
        True,
        REFUSING,
        "answered with 500: IncompleteRead",
    ),
    "a web page": Case(OK, answer(200, "<html>"), True, REFUSING, "an invalid answer: b'<html>'"),
    "no choice": Case(OK, answer(200, '{"choices": []}'), True, REFUSING, "an invalid answer"),
    "cut off": Case(
        OK,
        raw(b'HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{"choices"'),
        True,
        REFUSING,
        "an invalid answer: b'{\"choices\"'",
    ),
    "a chunk cut off": Case(
        OK,
        raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"choices"'),
        True,
        HEALTHY,
        "no completion: IncompleteRead",
    ),
    "hangs up when asked": Case(
        OK, raw(b""), True, HEALTHY, "no completion: Remote end closed connection"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_state_of_a_server_is_told_apart(serve: Serve, case: Case) -> None:
    url = serve({"GET /health": case.health, "POST /v1/completions": case.completion})
    seen = look(url, "lab-tiny", case.ask, 5)
    assert seen.phase == case.phase
    assert case.detail in seen.detail
    assert (seen.answer is not None) is (case.phase == SERVING)


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    seen = look(f"http://127.0.0.1:{port}", "lab-tiny", True, 5)
    assert seen == Look(STARTING, "Connection refused")


def test_the_question_is_one_token_of_the_named_model(serve: Serve) -> None:
    asked: list[t.Any] = []

    def reply(handler: BaseHTTPRequestHandler) -> None:
        asked.append(json.loads(handler.rfile.read(int(handler.headers["Content-Length"]))))
        asked.append(handler.headers["Content-Type"])
        time.sleep(0.2)
        answer(200, COMPLETION)(handler)

    seen = look(serve({"GET /health": OK, "POST /v1/completions": reply}), "lab-tiny", True, 5)
    question, content_type = asked
    assert (question["model"], question["max_tokens"]) == ("lab-tiny", 1)
    assert content_type == "application/json"
    assert (seen.phase, seen.answer) == (SERVING, " sparks")
    assert seen.seconds is not None
    assert 0.2 <= seen.seconds < 5


@pytest.mark.parametrize(
    ("slow", "phase", "detail"),
    [
        ("GET /health", STARTING, "timed out"),
        ("POST /v1/completions", HEALTHY, "no completion: timed out"),
    ],
)
def test_a_server_that_does_not_answer_in_time_is_left(
    serve: Serve, slow: str, phase: str, detail: str
) -> None:
    over = threading.Event()
    replies = {"GET /health": OK, "POST /v1/completions": answer(200, COMPLETION)}
    replies[slow] = lambda _handler: over.wait(20) and None
    started = time.monotonic()
    seen = look(serve(replies), "lab-tiny", True, 1.5)
    over.set()
    assert (seen.phase, seen.detail) == (phase, detail)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n",
    ],
)
@pytest.mark.parametrize("healthy", [True, False])
def test_a_server_that_drips_is_left_in_time(
    drip: t.Callable[..., str], text: bytes, healthy: bool
) -> None:
    started = time.monotonic()
    seen = look(drip(text, healthy), "lab-tiny", True, 0.5)
    assert time.monotonic() - started < 3
    # Its /health needs no body; what comes after the headers is nobody's time.
    dripped = STARTING if text in (b"", b"HTTP/1.1 200 OK\r\nX-") else HEALTHY
    assert seen.phase == (HEALTHY if healthy else dripped)
    assert "timed out" in seen.detail


def test_the_error_of_a_server_that_drips_is_left_in_time(drip: t.Callable[..., str]) -> None:
    started = time.monotonic()
    seen = look(drip(b"HTTP/1.1 500 Oops\r\n\r\n"), "lab-tiny", True, 0.5)
    assert time.monotonic() - started < 3
    assert seen.phase == REFUSING


def test_the_proxy_of_a_login_is_not_asked(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    url = serve({"GET /health": OK, "POST /v1/completions": answer(200, COMPLETION)})
    assert look(url, "lab-tiny", True, 5).phase == SERVING


EMBEDDINGS = json.dumps(
    {
        "object": "list",
        "data": [
            {"index": index, "object": "embedding", "embedding": vector}
            for index, vector in enumerate(([1.0, 0.0], [0.9, 0.1], [0.0, 1.0]))
        ],
    }
)
WRONG = EMBEDDINGS.replace("[0.9, 0.1]", "[-1.0, 0.0]")
NO_PATH = answer(404, '{"detail":"Not Found"}')
OPENAPI = answer(200, json.dumps({"paths": {"/v1/embeddings": {}, "/rerank": {}, "/score": {}}}))


@pytest.mark.parametrize("kind", [(), ("embeddings",)])
@pytest.mark.parametrize(
    ("said", "phase", "detail"),
    [
        (EMBEDDINGS, SERVING, "an embedding was answered"),
        (WRONG, REJECTED, "two near sentences"),
        ("<html>", REJECTED, "an invalid answer"),
    ],
)
def test_a_pooling_server_is_proven_by_distances(
    serve: Serve, kind: tuple[str, ...], said: str, phase: str, detail: str
) -> None:
    """As vLLM 0.32 with --runner pooling: it has no /v1/completions."""
    asked: list[t.Any] = []

    def reply(handler: BaseHTTPRequestHandler) -> None:
        asked.append(json.loads(handler.rfile.read(int(handler.headers["Content-Length"]))))
        answer(200, said)(handler)

    replies = {
        "GET /health": OK,
        "GET /openapi.json": OPENAPI,
        "POST /v1/completions": NO_PATH,
        "POST /v1/embeddings": reply,
    }
    seen = look(serve(replies), "minilm", True, 5, kind=kind)
    assert (seen.phase, seen.kind) == (phase, "embeddings")
    assert detail in seen.detail
    assert (seen.answer is not None) is (phase == SERVING)
    assert [question["model"] for question in asked] == ["minilm"]


def test_a_probe_of_several_requests_has_one_time_limit(serve: Serve) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.4)
        with suppress(OSError):
            NO_PATH(handler)

    paths = ("/v1/completions", "/v1/chat/completions", "/v1/embeddings", "/v1/rerank", "/rerank")
    replies: dict[str, Reply] = {f"POST {path}": slow for path in paths}
    url = serve({"GET /health": OK, "GET /openapi.json": slow, **replies})
    started = time.monotonic()
    seen = look(url, "m", True, 0.9)
    assert time.monotonic() - started < 2
    assert seen.phase == HEALTHY
    assert "timed out" in seen.detail


def test_other_light_probes(serve: Serve) -> None:
    starting = look(serve({"GET /readyz": answer(503)}), "", True, 5, kind=["vector_store"])
    assert starting == Look(LOADING, "/readyz answers 503")
    ready = look(serve({"GET /health": OK}), "", True, 5, kind=["http"])
    assert (ready.phase, ready.kind) == (SERVING, "http")
    # A bot has no server.
    bot = look("http://127.0.0.1:1", "", True, 5, kind=["bot"])
    assert (bot.phase, bot.kind) == (SERVING, "bot")
