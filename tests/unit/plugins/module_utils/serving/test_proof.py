# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What answers prove: those of vLLM 0.32, those of other servers by their source, and garbage."""

from __future__ import annotations

import email
import email.policy
import io
import json
import math
import struct
import types
import typing as t
import wave

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import audio, proof, speech
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import AUTO, KINDS
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.proof import (
    Answer,
    Given,
    Request,
    Verdict,
    deep,
    prove,
)

Replies = t.Mapping[str, Answer]


def answer(body: t.Any, status: int = 200, content_type: str = "application/json") -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {"content-type": content_type}, raw)


# FastAPI, so vLLM and SGLang, for a path that they do not have.
NO_PATH = answer({"detail": "Not Found"}, 404)
# llama.cpp: its error handler, and --embeddings, and a model that has no memory for tokens.
LLAMA_NO_PATH = answer(
    {"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}, 404
)
LLAMA_NOT_SUPPORTED = answer(
    {
        "error": {
            "code": 501,
            "message": "This server does not support completions. Start it without `--embeddings`",
            "type": "not_supported_error",
        }
    },
    501,
)
LLAMA_NO_TOKENS = answer(
    {
        "error": {
            "code": 500,
            "message": "the current context does not support logits computation. skipping",
            "type": "server_error",
        }
    },
    500,
)
# vLLM 0.32, for a model that it does not serve.
NO_MODEL = answer(
    {"error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}},
    404,
)
COMPLETION = answer({"choices": [{"index": 0, "text": " sparks", "finish_reason": "length"}]})
CHAT = answer({"choices": [{"index": 0, "message": {"role": "assistant", "content": None}}]})


def embedded(*vectors: t.Sequence[t.Any]) -> Answer:
    """As vLLM 0.32 answers /v1/embeddings."""
    return answer(
        {
            "object": "list",
            "model": "minilm",
            "data": [
                {"index": index, "object": "embedding", "embedding": vector}
                for index, vector in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": 27, "total_tokens": 27},
        }
    )


EMBEDDINGS = embedded([1.0, 0.0, 0.2], [0.9, 0.1, 0.2], [0.0, 1.0, -0.3])
SCORES = (0.044, 0.700, 0.157)


def ranked(scores: t.Sequence[float] = SCORES) -> Answer:
    """As vLLM 0.32 answers /v1/rerank, the highest score first."""
    results = [
        {"index": index, "document": {"text": "…"}, "relevance_score": score}
        for index, score in enumerate(scores)
    ]
    results.sort(key=lambda result: -t.cast(float, result["relevance_score"]))
    return answer({"id": "rerank-1", "model": "minilm", "results": results})


# SGLang and Text Embeddings Inference answer with a list, /score of vLLM with `data`.
LISTED = answer([{"index": index, "score": score} for index, score in enumerate(SCORES)])
SCORED = answer(
    {"data": [{"index": i, "object": "score", "score": score} for i, score in enumerate(SCORES)]}
)
VLLM_POOLING = answer(
    {
        "openapi": "3.1.0",
        "paths": {
            path: {}
            for path in ("/health", "/v1/models", "/pooling", "/v1/embeddings", "/rerank", "/score")
        },
    }
)


def tone(seconds: float, level: float = 0.5, rate: int = 16000, width: int = 2) -> bytes:
    frames = [
        int(level * (1 << (8 * width - 1)) * 0.99 * math.sin(i / 5))
        for i in range(int(seconds * rate))
    ]
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(rate)
        raw = b"".join(
            bytes([128 + f]) if width == 1 else f.to_bytes(width, "little", signed=True)
            for f in frames
        )
        file.writeframes(raw)
    return out.getvalue()


WAV = tone(0.6)


def run(probe: proof.Probe, replies: Replies) -> tuple[Verdict, list[Request]]:
    """The verdict, and what was asked; a path without a reply is one that the server lacks."""
    asked: list[Request] = []
    try:
        request = next(probe)
        while True:
            asked.append(request)
            request = probe.send(replies.get(request.path, NO_PATH))
    except StopIteration as end:
        return t.cast(Verdict, end.value), asked


class Case(t.NamedTuple):
    kind: str
    replies: Replies
    passed: bool
    final: bool
    reason: str
    given: Given = Given()


EMBED, RERANK, SPEAK = "/v1/embeddings", "/v1/rerank", "/v1/audio/speech"
COLLECTION = "/collections/dgxspark-health-1764000000-0a0b0c0d"
SEARCH = COLLECTION + "/points/query"
HEAR = "/v1/audio/transcriptions"
SEPARATE = "/asr?output=json&output_format=json&encode=true&diarize=true"


def found(*ids: t.Any) -> Answer:
    points = [{"id": i, "version": 0, "score": 1.0 - i} for i in ids]
    return answer({"result": {"points": points}, "status": "ok", "time": 0.0004})


DONE = answer({"result": True, "status": "ok", "time": 0.0004})


def store(search: Answer, *names: str, **more: Answer) -> Replies:
    """As Qdrant 1.20 answers; names: the collections that it has."""
    listed = {"collections": [{"name": name} for name in names]}
    return {
        "/collections": answer({"result": listed, "status": "ok"}),
        COLLECTION: DONE,
        COLLECTION + "/points?wait=true": DONE,
        SEARCH: search,
        **more,
    }


@pytest.fixture(autouse=True)
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collection of a vector store has the same name in all probes."""
    monkeypatch.setattr(proof, "time", types.SimpleNamespace(time=lambda: 1764000000.9))
    monkeypatch.setattr(proof.secrets, "token_hex", lambda _bytes: "0a0b0c0d")


SCRUBBED = answer(
    {
        "task_id": "dgxspark-health",
        "map_handle": "5f0c",
        "items": [{"id": "1", "scrubbed_text": "[PERSON_1] called", "tokens_used": ["[PERSON_1]"]}],
    }
)


CASES: dict[str, Case] = {
    "completion": Case("completion", {"/v1/completions": COMPLETION}, True, True, "completion"),
    "completion, a web page": Case(
        "completion", {"/v1/completions": answer(b"<html>")}, False, False, "b'<html>'"
    ),
    "completion, engine dead": Case(
        "completion", {"/v1/completions": answer({"error": "dead"}, 500)}, False, False, "500"
    ),
    "completion, another model": Case(
        "completion", {"/v1/completions": NO_MODEL}, False, True, "does not exist"
    ),
    "chat": Case("chat", {"/v1/completions": COMPLETION}, True, True, "a completion"),
    "chat without completions": Case(
        "chat", {"/v1/chat/completions": CHAT}, True, True, "a chat completion"
    ),
    "chat, neither": Case("chat", {}, False, True, "a completion was answered with 404"),
    "embeddings": Case("embeddings", {EMBED: EMBEDDINGS}, True, True, "an embedding was answered"),
    "embeddings, wrong order": Case(
        "embeddings",
        {EMBED: embedded([1, 0], [0, 1], [1, 0.1])},
        False,
        True,
        "two near sentences (cosine 0.000) are no nearer than a far one (0.995)",
    ),
    "embeddings, all the same": Case(
        "embeddings", {EMBED: embedded([1, 0], [1, 0], [1, 0])}, False, True, "no nearer"
    ),
    "embeddings, dimensions": Case(
        "embeddings", {EMBED: embedded([1, 0], [1, 0], [1])}, False, True, "1 and 2 dimensions"
    ),
    "embeddings, empty": Case("embeddings", {EMBED: embedded([], [], [])}, False, True, "0 dim"),
    "embeddings, zeros": Case(
        "embeddings", {EMBED: embedded([0.0], [0.0], [0.0])}, False, True, "no length"
    ),
    "embeddings, too large": Case(
        "embeddings", {EMBED: embedded([1e300], [1e300], [1e300])}, False, True, "no length"
    ),
    # What vLLM makes of NaN.
    "embeddings, null": Case(
        "embeddings", {EMBED: embedded([None], [1], [1])}, False, True, "an invalid answer"
    ),
    "embeddings, NaN": Case(
        "embeddings", {EMBED: embedded([math.nan], [1], [1])}, False, True, "an invalid answer"
    ),
    "embeddings, two": Case(
        "embeddings", {EMBED: embedded([1], [1])}, False, True, "an invalid answer"
    ),
    "embeddings, garbage": Case(
        "embeddings", {EMBED: answer(b"\xff\x00<")}, False, True, "an invalid answer"
    ),
    "embeddings, none here": Case("embeddings", {}, False, True, "answered with 404"),
    "embeddings, overloaded": Case(
        "embeddings", {EMBED: answer(b"busy", 503)}, False, False, "answered with 503: busy"
    ),
    "rerank": Case("rerank", {RERANK: ranked()}, True, True, "a ranking was answered"),
    "rerank as a list": Case("rerank", {RERANK: LISTED}, True, True, "a ranking"),
    "rerank elsewhere": Case("rerank", {"/rerank": LISTED}, True, True, "a ranking"),
    "score": Case("rerank", {"/score": SCORED}, True, True, "a score was answered"),
    "rerank, wrong order": Case(
        "rerank",
        {RERANK: ranked((0.7, 0.1, 0.2))},
        False,
        True,
        "the right document has the score 0.100, another one 0.700",
    ),
    "rerank, all the same": Case("rerank", {RERANK: ranked((1, 1, 1))}, False, True, "the score"),
    "rerank, twice the same": Case(
        "rerank", {RERANK: answer([{"index": 1, "score": 1}] * 3)}, False, True, "an invalid answer"
    ),
    "transcription": Case(
        "speech_to_text",
        {HEAR: answer({"text": "the MEETING starts, on monday!"})},
        True,
        True,
        "transc",
    ),
    "transcription, two words missing": Case(
        "speech_to_text", {HEAR: answer({"text": "A meeting."})}, False, True, "Monday, morning"
    ),
    "transcription, silence": Case(
        "speech_to_text", {HEAR: answer({"text": ""})}, False, True, "has not the words meeting"
    ),
    "transcription, no text": Case(
        "speech_to_text", {HEAR: answer({"words": []})}, False, True, "an invalid answer"
    ),
    "diarization": Case(
        "diarization",
        {SEPARATE: answer({"segments": [{"words": [{"speaker": "SPEAKER_00"}]}]})},
        True,
        True,
        "a separation of speakers was answered",
    ),
    "diarization, nobody": Case(
        "diarization",
        {SEPARATE: answer({"segments": [{"text": "A meeting", "words": None}]})},
        False,
        True,
        "no word has a speaker",
    ),
    "diarization, garbage": Case(
        "diarization", {SEPARATE: answer({"segments": [1]})}, False, True, "an invalid answer"
    ),
    "diarization, none here": Case("diarization", {}, False, True, "answered with 404"),
    "speech": Case("text_to_speech", {SPEAK: answer(WAV)}, True, True, "speech was answered"),
    "speech, short": Case("text_to_speech", {SPEAK: answer(tone(0.4))}, False, True, "0.40 s only"),
    "speech, silent": Case("text_to_speech", {SPEAK: answer(tone(1, 0))}, False, True, "silent"),
    "speech, raw": Case(
        "text_to_speech",
        {SPEAK: answer(WAV[44:], content_type="audio/L16; rate=16000")},
        True,
        True,
        "speech",
    ),
    "speech, raw at OpenAI's rate": Case(
        "text_to_speech", {SPEAK: answer(WAV[44:], content_type="audio/pcm")}, False, True, "0.40 s"
    ),
    "speech, MP3": Case(
        "text_to_speech", {SPEAK: answer(b"ID3" + bytes(4000))}, True, True, "speech was answered"
    ),
    "speech, empty MP3": Case(
        "text_to_speech", {SPEAK: answer(b"ID3" + bytes(40))}, False, True, "43 bytes is too short"
    ),
    "speech, JSON": Case("text_to_speech", {SPEAK: answer({})}, False, True, "no audio"),
    "search": Case("vector_store", store(found(1, 2)), True, True, "a search was answered"),
    "search, the old form": Case(
        "vector_store",
        store(answer({"result": [{"id": 1}, {"id": 2}]})),
        True,
        True,
        "a search was answered",
    ),
    "search, the far one first": Case(
        "vector_store", store(found(2, 1)), False, True, "found the points 2, 1"
    ),
    "search, nothing": Case("vector_store", store(found()), False, True, "the points"),
    "search, garbage": Case("vector_store", store(answer(b"<html>")), False, True, "invalid"),
    "search, a full disk": Case(
        "vector_store",
        store(
            found(1, 2),
            **{
                COLLECTION + "/points?wait=true": answer(
                    {"status": {"error": "Service internal error: No space left on device"}}, 500
                )
            },
        ),
        False,
        False,
        "No space left",
    ),
    "search, no such server": Case("vector_store", {}, False, True, "list of collections"),
    "search, not written": Case(
        "vector_store",
        store(found(1, 2), **{COLLECTION: answer({"result": None, "status": "acknowledged"})}),
        False,
        True,
        "its status is not ok",
    ),
    "redaction": Case(
        "redaction",
        {
            "/scrub": SCRUBBED,
            "/rehydrate": answer({"items": [{"id": "1", "text": proof.LETTER}]}),
        },
        True,
        True,
        "a rehydration was answered",
    ),
    "redaction, the name is left": Case(
        "redaction",
        {"/scrub": answer({"map_handle": "5f", "items": [{"scrubbed_text": "ALICE"}]})},
        False,
        True,
        "the name is still in the text",
    ),
    "redaction, not the same": Case(
        "redaction",
        {"/scrub": SCRUBBED, "/rehydrate": answer({"items": [{"text": "[PERSON_1] called"}]})},
        False,
        True,
        "not what it was before",
    ),
    "bot": Case("bot", {}, True, True, "runs", Given(health="healthy")),
    "bot without health check": Case("bot", {}, True, True, "runs"),
    "bot, unhealthy": Case("bot", {}, False, False, "unhealthy", Given(health="unhealthy")),
    "http": Case("http", {}, True, True, "/health answers"),
    "http, elsewhere": Case("http", {}, True, True, "/up answers", Given(light="/up")),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_answer_proves_the_kind_or_does_not(case: Case) -> None:
    verdict, _asked = run(deep(case.kind, "m", case.given), case.replies)
    assert (verdict.passed, verdict.final, verdict.kind) == (case.passed, case.final, case.kind)
    assert case.reason in verdict.reason


def test_every_kind_has_a_case_that_passes_and_one_that_does_not() -> None:
    verdicts = {(case.kind, case.passed) for case in CASES.values()}
    assert verdicts >= {(kind, True) for kind in KINDS}
    assert verdicts >= {(kind, False) for kind in KINDS if kind != "http"}


def test_the_paths_that_are_asked_are_those_of_the_table() -> None:
    for name, kind in KINDS.items():
        replies = {"/scrub": SCRUBBED} if name == "redaction" else {}
        _verdict, asked = run(deep(name, "m"), replies)
        paths = [request.path.partition("?")[0] for request in asked]
        assert tuple(paths) == kind.asks, name


class Found(t.NamedTuple):
    """What a server of unknown kind answers, what it is found to be, and what was asked."""

    replies: Replies
    kind: str
    asked: t.Sequence[str]


OPENAPI = "/openapi.json"
UNLISTED = ["/v1/completions", OPENAPI, "/v1/completions", "/v1/chat/completions"]
FOUND: dict[str, Found] = {
    # The first request of a server for chat is its only one.
    "completion": Found({"/v1/completions": COMPLETION}, "completion", ["/v1/completions"]),
    "vLLM --runner pooling": Found(
        {OPENAPI: VLLM_POOLING, EMBED: EMBEDDINGS},
        "embeddings",
        ["/v1/completions", OPENAPI, EMBED],
    ),
    "vLLM, a reranker": Found(
        {OPENAPI: answer({"paths": {"/rerank": {}, "/score": {}}}), "/rerank": ranked()},
        "rerank",
        ["/v1/completions", OPENAPI, RERANK, "/rerank"],
    ),
    "vLLM --disable-fastapi-docs": Found(
        {EMBED: EMBEDDINGS},
        "embeddings",
        [*UNLISTED, RERANK, "/rerank", "/score", EMBED],
    ),
    "llama.cpp --reranking": Found(
        {
            **dict.fromkeys(("/v1/completions", "/v1/chat/completions"), LLAMA_NO_TOKENS),
            OPENAPI: LLAMA_NO_PATH,
            RERANK: ranked(),
            EMBED: embedded([0.1], [0.2], [0.1]),
        },
        "rerank",
        [*UNLISTED, RERANK],
    ),
    "chat alone": Found(
        {OPENAPI: answer({"paths": {"/v1/chat/completions": {}}}), "/v1/chat/completions": CHAT},
        "chat",
        ["/v1/completions", OPENAPI, "/v1/completions", "/v1/chat/completions"],
    ),
    **{
        f"llama.cpp, {name}": Found(
            {
                "/v1/completions": refusal,
                "/v1/chat/completions": refusal,
                OPENAPI: LLAMA_NO_PATH,
                **dict.fromkeys((RERANK, "/rerank"), LLAMA_NOT_SUPPORTED),
                "/score": LLAMA_NO_PATH,
                EMBED: EMBEDDINGS,
            },
            "embeddings",
            [*UNLISTED, RERANK, "/rerank", "/score", EMBED],
        )
        for name, refusal in (("501", LLAMA_NOT_SUPPORTED), ("no tokens", LLAMA_NO_TOKENS))
    },
}


@pytest.mark.parametrize("case", FOUND.values(), ids=FOUND)
def test_a_server_is_asked_what_it_is(case: Found) -> None:
    verdict, asked = run(prove((), "m"), case.replies)
    assert (verdict.passed, verdict.kind) == (True, case.kind)
    assert [request.path for request in asked] == case.asked


def test_a_model_that_is_not_there_is_not_taken_for_another_kind() -> None:
    verdict, asked = run(prove((), "x"), {"/v1/completions": NO_MODEL, EMBED: EMBEDDINGS})
    assert (verdict.passed, verdict.final) == (False, True)
    assert "The model `x` does not exist." in verdict.reason
    assert [request.path for request in asked] == ["/v1/completions"]


def test_a_server_of_no_known_kind_is_final() -> None:
    verdict, asked = run(prove((), "m"), {OPENAPI: answer({"paths": {"/classify": {}}})})
    assert (verdict.passed, verdict.final) == (False, True)
    assert all(kind in verdict.reason for kind in AUTO)
    assert [request.path for request in asked] == ["/v1/completions", OPENAPI]


def test_a_document_that_is_too_large_lists_nothing() -> None:
    large = b'{"paths": {"/v1/embeddings": {"x": "%s"}}}' % (b"x" * (4 << 20))
    assert proof.listed_paths(Answer(200, {}, large)) == frozenset()
    assert proof.listed_paths(VLLM_POOLING) >= {"/v1/embeddings", "/rerank"}


def test_all_of_several_kinds_have_to_pass() -> None:
    kinds = ("embeddings", "rerank")
    both = {EMBED: EMBEDDINGS, RERANK: ranked()}
    verdict, asked = run(prove(kinds, "m"), both)
    assert (verdict.passed, verdict.kind, len(asked)) == (True, "embeddings", 2)
    verdict, _asked = run(prove(kinds, "m"), {EMBED: EMBEDDINGS})
    assert (verdict.passed, verdict.kind) == (False, "rerank")
    verdict, asked = run(prove(kinds, "m"), {RERANK: ranked()})
    assert (verdict.passed, verdict.kind, len(asked)) == (False, "embeddings", 1)


def test_a_recording_goes_as_a_form() -> None:
    _verdict, (request,) = run(deep("speech_to_text", "whisper"), {})
    head = b"Content-Type: " + request.content_type.encode() + b"\r\n\r\n"
    form = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    parts = {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
        for part in form.iter_parts()  # type: ignore[attr-defined]
    }
    assert parts == {"model": b"whisper", "response_format": b"json", "file": speech.recording()}


def test_the_recording_is_speech_of_two_seconds() -> None:
    sound = audio.measure(speech.recording())
    assert 1.5 < sound.seconds < 2.5
    assert 0.05 < sound.loudness < 0.5
    assert {word.casefold() for word in speech.WORDS} < set(
        speech.SENTENCE.casefold().strip(".").split()
    )
    assert len(speech.recording()) <= 60 * 1024


def test_a_vector_store_is_left_as_it_was() -> None:
    old, young = "dgxspark-health-1763990000-00000000", "dgxspark-health-1763999999-00000000"
    theirs = ("documents", "dgxspark-health", "dgxspark-health-1-x")
    for search in (found(1, 2), found(2, 1)):
        _verdict, asked = run(
            deep("vector_store", "m"),
            store(search, old, young, *theirs, **{f"/collections/{old}": DONE}),
        )
        assert [(request.method, request.path) for request in asked] == [
            ("GET", "/collections"),
            ("DELETE", f"/collections/{old}"),
            ("PUT", COLLECTION),
            ("PUT", COLLECTION + "/points?wait=true"),
            ("POST", SEARCH),
            ("DELETE", COLLECTION),
        ]


def test_a_collection_that_stays_is_a_failure() -> None:
    read_only = answer({"status": {"error": "read only"}}, 403)

    def denied(probe: proof.Probe) -> proof.Probe:
        """The probe, whose deletions are denied."""
        request = next(probe)  # pylint: disable=stop-iteration-return
        while True:
            reply = yield request
            try:
                request = probe.send(read_only if request.method == "DELETE" else reply)
            except StopIteration as end:
                return t.cast(Verdict, end.value)

    verdict, _asked = run(denied(deep("vector_store", "m")), store(found(1, 2)))
    assert (verdict.passed, verdict.denied) == (False, True)
    assert "the deletion of the collection" in verdict.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Given()),
        ("{}", Given()),
        (
            '{"light": "/up", "first_seconds": 900, "voice": "af_heart"}',
            Given("/up", 900, "af_heart"),
        ),
        ('{"light": "up", "first_seconds": -1, "voice": "a b"}', Given()),
        ('{"light": "/a\\nb", "first_seconds": 1e99, "voice": []}', Given()),
        ('{"first_seconds": true}', Given()),
        ("[1]", Given()),
        ("{", Given()),
        ('{"light": "/%s"}' % ("x" * 3000), Given()),
    ],
)
def test_what_a_recipe_says_of_its_probes(text: str, expected: Given) -> None:
    assert Given.of(text) == expected
    assert Given.of(text, "healthy").health == "healthy"


def test_a_first_answer_has_its_own_limit() -> None:
    assert [Given().first(kind) for kind in ((), ("chat",), ("chat", "text_to_speech"))] == [
        *(180, 180, 600)
    ]
    assert Given(first_seconds=5).first(("speech_to_text",)) == 5


def test_a_rehydration_asks_with_what_the_redaction_answered() -> None:
    _verdict, asked = run(deep("redaction", "m"), {"/scrub": SCRUBBED})
    question = json.loads(asked[1].body)
    assert question["map_handle"] == "5f0c"
    assert question["items"] == [{"id": "1", "text": "[PERSON_1] called"}]


def test_what_a_server_says_does_not_reach_the_terminal_as_it_is() -> None:
    escape = "\x1b[2Jnaughty\u202e"
    for status, body in ((500, escape), (200, {"choices": [{"text": escape}]})):
        said, _asked = run(
            prove(("completion",), "m"),
            {"/v1/completions": answer(body if status == 200 else escape.encode(), status)},
        )
        assert "naughty" in said.reason + said.text
        assert not {"\x1b", "\u202e"} & set(said.reason + said.text)


# --- audio -------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_loudness_does_not_depend_on_the_width_of_samples(width: int) -> None:
    sound = audio.measure(tone(0.5, width=width))
    assert sound.seconds == pytest.approx(0.5, abs=0.01)
    assert sound.loudness == pytest.approx(0.35, abs=0.02)


def test_a_stream_that_does_not_know_its_length_is_measured() -> None:
    streamed = WAV[:4] + b"\xff" * 4 + WAV[8:40] + b"\xff" * 4 + WAV[44:]
    assert audio.measure(streamed) == audio.measure(WAV)


def floats(*values: float) -> bytes:
    layout = struct.pack("<HHIIHH", 3, 1, 8000, 32000, 4, 32)
    data = struct.pack(f"<{len(values)}f", *values)
    chunks = b"fmt \x10\x00\x00\x00" + layout + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_samples_that_are_floats() -> None:
    assert audio.measure(floats(*[0.5] * 8000)) == audio.Sound(1.0, 0.5)
    with pytest.raises(ValueError, match="not numbers"):
        audio.measure(floats(math.nan, 1.0))


# --- whatever is answered ----------------------------------------------------------------------

NAMES = [
    *("choices", "text", "message", "content", "data", "embedding", "index", "results", "result"),
    *("score", "relevance_score", "id", "points", "items", "scrubbed_text", "map_handle", "paths"),
    *("error", "detail"),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
# Three entries with an index are most of what is read.
NEARLY = st.lists(ANYTHING | st.floats(allow_nan=False), min_size=3, max_size=3).map(
    lambda values: [
        {"index": i, "score": value, "relevance_score": value, "embedding": [value, 1.0]}
        for i, value in enumerate(values)
    ]
)
LARGE = st.integers(min_value=10**400, max_value=10**401).map(lambda n: [{"index": n}] * 3)
DOCUMENTS = (
    ANYTHING
    | NEARLY
    | LARGE
    | NEARLY.map(lambda rows: {"data": rows})
    | LARGE.map(lambda rows: {"results": rows})
).map(lambda value: json.dumps(value).encode())
SOUNDS = st.builds(
    lambda head, layout, rest: b"RIFF" + head + b"WAVEfmt \x10\x00\x00\x00" + layout + rest,
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=16, max_size=16),
    st.binary(max_size=30).map(lambda data: b"data\xff\xff\xff\xff" + data),
)
BODIES = st.binary(max_size=300) | DOCUMENTS | SOUNDS
STATUSES = st.sampled_from([200, 201, 204, 301, 400, 404, 405, 500, 501, 503]) | st.integers(0, 999)
ANSWERS = st.builds(
    Answer,
    STATUSES,
    st.dictionaries(
        st.just("content-type"),
        st.text(max_size=20) | st.sampled_from(["audio/pcm; rate=²", "audio/l16;rate=0"]),
    ),
    BODIES,
)


@settings(max_examples=300, deadline=None)
@given(
    kinds=st.lists(st.sampled_from([*KINDS]), max_size=2, unique=True),
    answers=st.lists(ANSWERS, min_size=1, max_size=4),
)
def test_whatever_is_answered_there_is_a_verdict(kinds: list[str], answers: list[Answer]) -> None:
    probe = prove(kinds, "m")
    asked = 0
    verdict: t.Any = None
    try:
        next(probe)
        while True:
            probe.send(answers[asked % len(answers)])
            asked += 1
            assert asked < 20
    except StopIteration as end:
        verdict = end.value
    assert verdict.reason
    assert foreign.shown(verdict.reason + verdict.text) == verdict.reason + verdict.text
    assert len(verdict.reason) < 3000
