# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech, vectors and redaction, proven over HTTP by servers on this machine.

Each answers as a real one does, wrongly, with nothing, with garbage, or not in time. The vector
store is a stand-in that holds collections in memory; its answers have the form of Qdrant's.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
import threading
import time
import typing as t
import urllib.parse
import wave
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import proof, speech
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.readiness import (
    HEALTHY,
    LOADING,
    REFUSING,
    REJECTED,
    SERVING,
    Look,
    look,
)

Serve = t.Callable[..., str]
JSON = "application/json"


class Said(t.NamedTuple):
    body: bytes
    status: int = 200
    content_type: str = JSON
    seconds: float = 0.0


def document(value: t.Any, status: int = 200) -> Said:
    return Said(json.dumps(value).encode(), status)


class Server:
    """reply: (method, path, body) -> Said."""

    def __init__(self, reply: t.Callable[[str, str, bytes], Said]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def _reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                said = reply(self.command, self.path, body)
                time.sleep(said.seconds)
                self.send_response(said.status)
                self.send_header("Content-Type", said.content_type)
                self.send_header("Content-Length", str(len(said.body)))
                self.end_headers()
                self.wfile.write(said.body)

            do_GET = do_POST = do_PUT = do_DELETE = _reply

            def log_message(self, *_words: t.Any) -> None:
                pass

            def handle(self) -> None:
                # The client may have left.
                with suppress(OSError):
                    super().handle()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[t.Callable[[t.Callable[[str, str, bytes], Said]], str]]:
    servers: list[Server] = []

    def start(reply: t.Callable[[str, str, bytes], Said]) -> str:
        servers.append(Server(reply))
        return servers[-1].url

    yield start
    for server in servers:
        server.end()


def asked(url: str, kind: str, seconds: float = 5, **given: t.Any) -> Look:
    return look(url, "m", True, seconds, kind=[kind], given=proof.Given(**given))


def sound(level: float, seconds: float = 1.0) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        samples = [int(level * 32000 * math.sin(i / 7)) for i in range(int(16000 * seconds))]
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return out.getvalue()


SPOKEN = Said(sound(0.3), content_type="audio/wav")


@pytest.mark.parametrize(
    ("said", "phase", "detail"),
    [
        (SPOKEN, SERVING, "speech was answered"),
        (SPOKEN._replace(body=sound(0.0)), REJECTED, "silent"),
        (SPOKEN._replace(body=sound(0.3, 0.2)), REJECTED, "0.20 s only"),
        (document({"error": "no voice"}), REJECTED, "no audio"),
        (document({"detail": "unknown voice"}, 400), REJECTED, "unknown voice"),
        (document({"detail": "cuFFT"}, 503), REFUSING, "cuFFT"),
        (SPOKEN._replace(seconds=3), HEALTHY, "timed out"),
    ],
)
def test_text_to_speech(serve: Serve, said: Said, phase: str, detail: str) -> None:
    questions: list[t.Any] = []

    def reply(method: str, path: str, body: bytes) -> Said:
        if (method, path) != ("POST", "/v1/audio/speech"):
            return Said(b"")
        questions.append(json.loads(body))
        return said

    seen = asked(serve(reply), "text_to_speech", 1, voice="af_heart")
    assert seen.phase == phase
    assert detail in seen.detail
    (question,) = questions
    assert (question["model"], question["voice"]) == ("m", "af_heart")


@pytest.mark.parametrize(
    ("said", "phase", "detail"),
    [
        (document({"text": " The meeting starts on Monday morning."}), SERVING, "transcription"),
        (document({"text": "the meeting on monday"}), SERVING, "transcription"),
        (document({"text": "Thank you for watching."}), REJECTED, "has not the words"),
        (document({"text": ""}), REJECTED, "has not the words"),
        (document({"segments": []}), REJECTED, "an invalid answer"),
        (Said(b"\x00\xff"), REJECTED, "an invalid answer"),
        (document({"detail": "busy"}, 503), REFUSING, "busy"),
        (document({"text": "x"})._replace(seconds=3), HEALTHY, "timed out"),
    ],
)
def test_speech_to_text(serve: Serve, said: Said, phase: str, detail: str) -> None:
    heard: list[bytes] = []

    def reply(method: str, path: str, body: bytes) -> Said:
        if (method, path) != ("POST", "/v1/audio/transcriptions"):
            return Said(b"")
        heard.append(body)
        return said

    seen = asked(serve(reply), "speech_to_text", 1)
    assert seen.phase == phase
    assert detail in seen.detail
    assert speech.recording() in heard[0]


class Store:
    """Collections in memory, with the paths and the answers of Qdrant 1.20; a stand-in."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[int, list[float]]] = {}
        self.order = 1
        self.broken = ""

    def reply(self, method: str, path: str, body: bytes) -> Said:
        if path == "/readyz":
            return Said(b"all shards are ready", content_type="text/plain")
        if self.broken and self.broken in f"{method} {path}":
            return document({"status": {"error": "Service internal error: No space left"}}, 500)
        if path == "/collections":
            names = [{"name": name} for name in self.collections]
            return document({"result": {"collections": names}, "status": "ok", "time": 0})
        name, _slash, what = urllib.parse.urlsplit(path).path[len("/collections/") :].partition("/")
        question = json.loads(body or b"{}")
        if method == "PUT" and not what:
            assert question == {"vectors": {"size": 2, "distance": "Cosine"}}
            self.collections[name] = {}
        elif method == "DELETE" and not what:
            self.collections.pop(name, None)
        elif name not in self.collections:
            return document({"status": {"error": f"Not found: Collection `{name}`"}}, 404)
        elif method == "PUT":
            self.collections[name] |= {one["id"]: one["vector"] for one in question["points"]}
        else:
            return document({"result": {"points": self.found(name, question)}, "status": "ok"})
        return document({"result": True, "status": "ok", "time": 0})

    def found(self, name: str, question: dict[str, t.Any]) -> list[dict[str, t.Any]]:
        scores = {
            number: sum(a * b for a, b in zip(vector, question["query"]))
            for number, vector in self.collections[name].items()
        }
        ids = sorted(scores, key=lambda number: -scores[number] * self.order)
        return [{"id": number, "version": 0, "score": scores[number]} for number in ids]


def test_a_vector_store_finds_the_nearer_point_and_is_left_as_it_was(serve: Serve) -> None:
    store = Store()
    store.collections = {"documents": {1: [0.5, 0.5]}}
    url = serve(store.reply)
    seen = asked(url, "vector_store")
    assert (seen.phase, seen.answer) == (SERVING, "2 points, the nearer one first")
    assert store.collections == {"documents": {1: [0.5, 0.5]}}
    # A light look writes nothing.
    assert look(url, "m", False, 5, kind=["vector_store"]).phase == HEALTHY


def test_a_store_that_finds_the_far_point_is_left_as_it_was(serve: Serve) -> None:
    store = Store()
    store.order = -1
    seen = asked(serve(store.reply), "vector_store")
    assert seen.phase == REJECTED
    assert "found the points 2, 1" in seen.detail
    assert store.collections == {}


def test_what_a_killed_probe_has_left_is_deleted_by_the_next(serve: Serve) -> None:
    store = Store()
    left = f"dgxspark-health-{int(time.time()) - 7200}-0a0b0c0d"
    running = f"dgxspark-health-{int(time.time()) - 5}-0a0b0c0d"
    store.collections = {left: {}, running: {}}
    assert asked(serve(store.reply), "vector_store").phase == SERVING
    assert list(store.collections) == [running]


@pytest.mark.parametrize("broken", ["PUT /collections/", "/points?wait", "/points/query", "DELETE"])
def test_a_store_without_room_is_asked_again(serve: Serve, broken: str) -> None:
    store = Store()
    store.broken = broken
    seen = asked(serve(store.reply), "vector_store")
    assert seen.phase == REFUSING
    assert "No space left" in seen.detail


def test_probes_at_the_same_time_do_not_meet(serve: Serve) -> None:
    store = Store()
    url = serve(store.reply)
    phases: list[str] = []
    threads = [
        threading.Thread(target=lambda: phases.append(asked(url, "vector_store").phase))
        for _number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert phases == [SERVING] * 8
    assert store.collections == {}


class Redaction:
    """The contract of docs/contracts/redaction.md, for names that are known, with a mistake."""

    def __init__(self, mistake: str = "") -> None:
        self.mistake = mistake
        self.maps: dict[str, dict[str, str]] = {}

    def reply(self, _method: str, path: str, body: bytes) -> Said:
        if path not in ("/scrub", "/rehydrate"):
            return Said(b"")
        question = json.loads(body)
        if path == "/scrub":
            (name,) = question["known_entities"]["persons"]
            self.maps["5f"] = {"[PERSON_1]": name}
            hidden = "[PERSON_1]" if self.mistake != "leaks" else name.upper()
            texts = [re.sub(re.escape(name), hidden, one["text"]) for one in question["items"]]
            items = [{"id": "1", "scrubbed_text": text, "tokens_used": []} for text in texts]
            return document({"task_id": question["task_id"], "map_handle": "5f", "items": items})
        text = question["items"][0]["text"]
        for token, value in self.maps[question["map_handle"]].items():
            text = text.replace(token, value if self.mistake != "forgets" else "somebody")
        return document({"items": [{"id": "1", "text": text}]})


@pytest.mark.parametrize(
    ("mistake", "phase", "detail"),
    [
        ("", SERVING, "a rehydration was answered"),
        ("leaks", REJECTED, "the name is still in the text"),
        ("forgets", REJECTED, "not what it was before"),
    ],
)
def test_redaction(serve: Serve, mistake: str, phase: str, detail: str) -> None:
    seen = asked(serve(Redaction(mistake).reply), "redaction")
    assert seen.phase == phase
    assert detail in seen.detail


def test_a_service_without_its_model_of_names_is_refused(serve: Serve) -> None:
    def reply(_method: str, path: str, _body: bytes) -> Said:
        refused = path == "/scrub"
        return document({"code": "ner_unavailable"}, 422) if refused else Said(b"")

    seen = asked(serve(reply), "redaction")
    assert (seen.phase, "ner_unavailable" in seen.detail) == (REJECTED, True)


@pytest.mark.parametrize(("status", "phase"), [(200, SERVING), (204, SERVING), (503, LOADING)])
def test_http_is_proven_by_the_status_of_its_path(serve: Serve, status: int, phase: str) -> None:
    paths: list[str] = []

    def reply(_method: str, path: str, _body: bytes) -> Said:
        paths.append(path)
        return Said(b"", status if path == "/up" else 404)

    assert asked(serve(reply), "http", light="/up").phase == phase
    assert set(paths) == {"/up"}
