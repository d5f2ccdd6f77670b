# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Webhooks to real HTTP servers that accept, refuse or hang."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import types
import typing as t
import urllib.error
from http.server import BaseHTTPRequestHandler

import pytest

from ansible_collections.dgxspark.suite.plugins.action import webhook
from ansible_collections.dgxspark.suite.plugins.plugin_utils import webhook as sender
from ansible_collections.dgxspark.suite.plugins.plugin_utils.webhook import BACKOFF, deliver, post

Reply = t.Callable[[BaseHTTPRequestHandler], None]
Serve = t.Callable[[dict[str, Reply]], str]
Seen = list[tuple[dict[str, str], bytes]]

MESSAGE = {"url": "http://192.0.2.1/", "event": "e", "delivery": "d", "secret": "s", "body": "{}"}


def answer(code: int, seen: Seen, pause: float = 0) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        seen.append((dict(handler.headers), body))
        time.sleep(pause)
        handler.send_response(code)
        handler.send_header("Location", "http://192.0.2.1/elsewhere")
        handler.end_headers()

    return reply


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(webhook, "display", types.SimpleNamespace(warning=messages.append))
    return messages


def act(**arguments: t.Any) -> dict[str, t.Any]:
    task = types.SimpleNamespace(
        args={"event": "swap_complete", **arguments},
        async_val=0,
        check_mode=False,
        action="dgxspark.suite.webhook",
    )
    connection = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir="/tmp"))
    result: dict[str, t.Any] = webhook.ActionModule(task, connection, None, None, None).run()
    return result


def test_a_receiver_can_verify_the_sender(serve: Serve, warnings: list[str]) -> None:
    seen: Seen = []
    url = serve({"POST /hook": answer(204, seen)})
    result = act(urls=[f"{url}/hook"], secret="s3cret", swap={"recipe": "lab-tiny"})
    assert result["deliveries"] == [{"receiver": "127.0.0.1", "outcome": "delivered"}]
    assert warnings == []
    ((headers, body),) = seen
    document = json.loads(body)
    assert (document["event"], document["swap"]) == ("swap_complete", {"recipe": "lab-tiny"})
    stamp = headers["X-Dgxspark-Timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    expected = hmac.new(b"s3cret", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Dgxspark-Signature"] == f"sha256={expected}"
    assert b"s3cret" not in body


def test_a_slow_receiver_delays_nothing(
    serve: Serve, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "PATIENCE", 2)
    # The answer is final, so that no process is left after the test.
    url = serve({"POST /slow?key=hidden": answer(400, [], pause=4)})
    started = time.monotonic()
    result = act(urls=[f"{url}/slow?key=hidden"], secret="s")
    assert time.monotonic() - started < 4
    assert result["deliveries"] == [
        {"receiver": "127.0.0.1", "outcome": "no answer yet, retried in the background"}
    ]
    assert warnings == [
        "Webhook swap_complete to 127.0.0.1: no answer yet, retried in the background"
    ]


def test_a_run_in_a_pod_waits_for_the_last_outcome(
    serve: Serve, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "PATIENCE", 0)
    seen: Seen = []
    codes = iter([503, 204])

    def reply(handler: BaseHTTPRequestHandler) -> None:
        answer(next(codes), seen)(handler)

    url = serve({"POST /": reply})
    result = act(urls=[f"{url}/"], secret="s", wait="yes")
    assert result["deliveries"] == [{"receiver": "127.0.0.1", "outcome": "delivered"}]
    assert (len(seen), warnings) == (2, [])
    assert seen[0][0]["X-Dgxspark-Delivery"] == seen[1][0]["X-Dgxspark-Delivery"]


def test_who_waits_is_given_the_last_outcome_alone() -> None:
    outcomes: list[str] = []

    def attempt(_url: str, _body: bytes, _headers: t.Mapping[str, str]) -> None:
        raise OSError("refused")

    waiting = {**MESSAGE, "wait": True}
    assert deliver(waiting, outcomes.append, lambda _pause: None, attempt) is False
    assert outcomes == ["not delivered after 6 attempts: refused"]


@pytest.mark.parametrize("text", [b"", b"HTTP/1.1 204 No\r\nX-"])
def test_a_receiver_that_drips_is_left_in_time(
    drip: t.Callable[..., str], monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    monkeypatch.setattr(sender, "TIMEOUT", 0.5)
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="no answer within"):
        post(f"{drip(text)}/", b"{}", {})
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("url", ["file:///etc/hostname", "data:text/plain,x", "ftp://192.0.2.1/x"])
def test_only_http_is_posted_to(url: str) -> None:
    outcomes: list[str] = []
    naps: list[float] = []
    assert deliver({**MESSAGE, "url": url}, outcomes.append, naps.append) is False
    assert outcomes == ["not delivered: its URL is neither http nor https"]
    assert naps == [0]


def test_nothing_is_sent_unsigned(warnings: list[str]) -> None:
    assert act(urls=["http://192.0.2.1/"], secret="")["deliveries"] == []
    assert "dgxspark_webhook_secret is empty" in warnings[0]


@pytest.mark.parametrize("code", [301, 400, 404])
def test_a_refused_message_is_not_retried(serve: Serve, code: int) -> None:
    seen: Seen = []
    url = serve({"POST /": answer(code, seen)})
    outcomes: list[str] = []
    naps: list[float] = []
    message = {**MESSAGE, "url": f"{url}/"}
    assert deliver(message, outcomes.append, naps.append) is False
    assert (outcomes, naps, len(seen)) == ([f"not delivered: the receiver answers {code}"], [0], 1)


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_a_temporary_error_is_not_final(serve: Serve, code: int) -> None:
    url = serve({"POST /": answer(code, [])})
    with pytest.raises(urllib.error.HTTPError, match=str(code)):
        post(f"{url}/", b"{}", {})


def test_attempts_back_off_until_the_message_is_delivered() -> None:
    naps: list[float] = []
    outcomes: list[str] = []
    left = iter([OSError("refused"), OSError("refused"), None])

    def attempt(_url: str, _body: bytes, _headers: t.Mapping[str, str]) -> None:
        problem = next(left)
        if problem:
            raise problem

    assert deliver(MESSAGE, outcomes.append, naps.append, attempt) is True
    assert naps == [0, *BACKOFF[:2]]
    assert outcomes == ["not delivered yet, retried: refused"]


def test_the_attempts_end() -> None:
    naps: list[float] = []

    def attempt(_url: str, _body: bytes, _headers: t.Mapping[str, str]) -> None:
        raise OSError("refused")

    assert deliver(MESSAGE, lambda _outcome: None, naps.append, attempt) is False
    assert naps == [0, *BACKOFF]
