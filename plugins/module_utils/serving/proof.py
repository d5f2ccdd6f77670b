# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What proves a service: real requests by its kind, whose answers are checked. Pure.

A probe is a generator: it yields Request, is sent the Answer to it, and returns a Verdict. Whoever
runs one does the HTTP.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import secrets
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import audio, kinds, speech
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import (
    AUTO,
    AUTO_UNLISTED,
    KINDS,
)

# Nothing is asked twice that is answered so: a wrong question, no key, not allowed, no such model,
# no such method, a field that is not taken, not implemented.
_FINAL = (400, 401, 403, 404, 405, 422, 501)
# How FastAPI (vLLM, SGLang), llama.cpp, Go's net/http and servers without a text answer a path
# that they do not have. A model that is not there is answered with 404 and another text.
_NO_SUCH_PATH = ("not found", "file not found", "404 page not found", "")
# llama.cpp says so of a model that computes no tokens.
_NO_TOKENS = "logits computation"

_PATH = re.compile(r"/[!-~]{0,500}")
_WORD = re.compile(r"[!-~]{1,100}")
_DAY = 86400

_SAID = 2000  # characters of an error that are shown
_DOCUMENT = 1 << 20
_OPENAPI = 4 << 20
_AUDIO = 8 << 20


@dataclass(frozen=True)
class Request:
    """A request to the server.

    what: for people, "a completion". timeout: in seconds, 0 where the caller decides alone. limit:
    bytes of the answer that are read. retry: an answer of another form is not final.
    """

    method: str
    path: str
    what: str
    body: bytes = b""
    content_type: str = ""
    timeout: float = 0.0
    limit: int = _DOCUMENT
    retry: bool = False


@dataclass(frozen=True)
class Answer:
    """headers: by name in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Verdict:
    """What an answer proves.

    final: asking again changes nothing. reason: for people. text: what was answered, in short.
    kind: the kind that was asked for. absent: the server does not have this path, or not for this
    model. denied: it wants an API key, or another one.
    """

    passed: bool
    final: bool
    reason: str
    text: str = ""
    kind: str = ""
    absent: bool = False
    denied: bool = False


@dataclass(frozen=True)
class Given:
    """What a recipe or a container says besides the kind and the name of the model.

    light: the path of the light probe, empty for that of the kind. first_seconds: the limit for the
    first answer after a start, 0 for that of the kind. voice: for text_to_speech, empty for the
    server's own. health: of a bot's container, as Docker has it; empty without health check.
    """

    light: str = ""
    first_seconds: int = 0
    voice: str = ""
    health: str = ""

    @classmethod
    def of(cls, probe: str, health: str = "") -> Given:
        """From the label `probe` of a container or the line of its unit, which is JSON.

        What is not of its form there counts as not given.
        """
        fields = kinds.probe_of(probe)
        light, voice = (str(fields.get(key) or "") for key in ("light", "voice"))
        try:
            seconds = foreign.whole(str(fields.get("first_seconds", 0)))
        except ValueError:
            seconds = 0
        return cls(
            light if _PATH.fullmatch(light) else "",
            seconds if 0 < seconds <= _DAY else 0,
            voice if _WORD.fullmatch(voice) else "",
            health,
        )

    def light_path(self, kind: Sequence[str]) -> str:
        """The path of the light probe; empty where there is no server."""
        return self.light or kinds.light_path(kind)

    def first(self, kind: Sequence[str]) -> int:
        """Seconds for the first answer after a start."""
        return self.first_seconds or kinds.first_seconds(kind)


NOTHING = Given()

Probe = Generator[Request, Answer, Verdict]
# Returns what was answered in short. Raises Foreign for an answer that is not of this kind, _Wrong
# for one that is, and is wrong.
Check = Callable[[Answer], str]


class _Wrong(Exception):
    """An answer of the right form that proves the contrary."""


def prove(wanted: Sequence[str], model: str, given: Given = NOTHING) -> Probe:
    """The deep probe of a service of these kinds. None of them: the server is asked for its kind.

    All have to pass; the text of the verdict is that of the first.
    """
    if not wanted:
        return (yield from _auto(model, given))
    first = yield from deep(wanted[0], model, given)
    for kind in wanted[1:] if first.passed else ():
        verdict = yield from deep(kind, model, given)
        if not verdict.passed:
            return verdict
    return first


def deep(kind: str, model: str, given: Given = NOTHING) -> Probe:
    """The deep probe of one kind."""
    verdict = yield from _PROBES[kind](model, given)
    return replace(verdict, kind=kind)


def _auto(model: str, given: Given) -> Probe:
    first = yield from deep("completion", model, given)
    if not first.absent:
        return first
    listed = listed_paths(
        (yield Request("GET", "/openapi.json", "/openapi.json", timeout=10, limit=_OPENAPI + 1))
    )
    for kind in AUTO if listed else AUTO_UNLISTED:
        if listed and not listed.intersection(KINDS[kind].asks):
            continue
        verdict = yield from deep(kind, model, given)
        if not verdict.absent:
            return verdict
    return replace(
        first,
        reason="%s. It does not offer %s either; if it is of another kind, the recipe has to say so"
        % (first.reason, ", ".join(AUTO)),
    )


def listed_paths(answer: Answer) -> frozenset[str]:
    """The paths in an OpenAPI document; none where it is not one, as llama.cpp has none."""
    try:
        paths = foreign.json_of(answer.body, _OPENAPI)["paths"] if answer.status == 200 else {}
    except (ValueError, KeyError, TypeError, IndexError):
        return frozenset()
    return frozenset(paths) if isinstance(paths, dict) else frozenset()


def judge(request: Request, check: Check, answer: Answer) -> Verdict:
    """What this answer to this request proves."""
    what = request.what
    if 200 <= answer.status < 300:
        try:
            text = check(answer)
        except _Wrong as error:
            return Verdict(False, True, "%s was answered, but %s" % (what, error))
        except ValueError as error:
            return Verdict(False, not request.retry, "%s was answered with %s" % (what, error))
        return Verdict(True, True, "%s was answered" % what, text)
    said = foreign.shown(answer.body.decode("utf-8", "replace").strip()[:_SAID])
    absent = _is_absent(answer)
    final = absent or answer.status in _FINAL
    reason = "%s was answered with %d: %s" % (what, answer.status, said)
    return Verdict(False, final, reason, absent=absent, denied=answer.status in (401, 403))


def _is_absent(answer: Answer) -> bool:
    if answer.status in (405, 501):
        return True
    message = _message(answer.body)
    if answer.status == 404:
        return message.strip().lower() in _NO_SUCH_PATH
    return answer.status == 500 and _NO_TOKENS in message


def _message(body: bytes) -> str:
    """The text of an error: of its JSON in one of the usual forms, else all of it."""
    try:
        value = foreign.json_of(body, _SAID)
    except ValueError:
        return body[:_SAID].decode("utf-8", "replace")
    for key in ("error", "message", "detail"):
        if isinstance(value, dict) and key in value:
            value = value[key]
    return value if isinstance(value, str) else json.dumps(value)


def _asked(request: Request, check: Check) -> Probe:
    answer = yield request
    return judge(request, check, answer)


def _first_offered(*steps: tuple[Request, Check]) -> Probe:
    """The verdict of the first request whose path the server has; else that of the first."""
    first: Verdict | None = None
    for request, check in steps:
        verdict = yield from _asked(request, check)
        if not verdict.absent:
            return verdict
        first = first or verdict
    if first is None:
        raise AssertionError("a probe has a step")
    return first


def _post(path: str, what: str, question: Mapping[str, Any], limit: int = _DOCUMENT) -> Request:
    body = json.dumps(question).encode()
    return Request("POST", path, what, body, "application/json", limit=limit)


def _read(answer: Answer, read: Callable[[Any], Any]) -> Any:
    """A part of a JSON answer. Raises Foreign, with a quote, where it is not there."""
    try:
        return read(foreign.json_of(answer.body))
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        raise foreign.Foreign("an invalid answer: %r" % answer.body[:200]) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return foreign.shown(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("not a number")
    return float(value)


# --- chat, completion ------------------------------------------------------------------------


def _completion_step(model: str) -> tuple[Request, Check]:
    question = {"model": model, "prompt": "1", "max_tokens": 1, "temperature": 0}
    request = _post("/v1/completions", "a completion", question)
    return replace(request, retry=True), check_completion


def check_completion(answer: Answer) -> str:
    return str(_read(answer, lambda value: _text(value["choices"][0]["text"])))


def check_chat(answer: Answer) -> str:
    # The one token of a model that reasons is no content yet.
    return str(
        _read(answer, lambda value: _text(value["choices"][0]["message"].get("content") or ""))
    )


def _completion(model: str, _given: Given) -> Probe:
    return (yield from _first_offered(_completion_step(model)))


def _chat(model: str, _given: Given) -> Probe:
    question = {
        "model": model,
        "messages": [{"role": "user", "content": "1"}],
        "max_tokens": 1,
        "temperature": 0,
    }
    request = _post("/v1/chat/completions", "a chat completion", question)
    step = replace(request, retry=True), check_chat
    return (yield from _first_offered(_completion_step(model), step))


# --- embeddings --------------------------------------------------------------------------------

# The first two are near, the third is far.
SENTENCES = (
    "A cat sleeps on the sofa.",
    "A kitten is napping on the couch.",
    "The central bank raised its interest rate by a quarter of a percent.",
)


def _embeddings(model: str, _given: Given) -> Probe:
    question = {"model": model, "input": list(SENTENCES), "encoding_format": "float"}
    # Three vectors of 8192 numbers are 600 kB.
    request = _post("/v1/embeddings", "an embedding", question, limit=_AUDIO)
    return (yield from _asked(request, check_embeddings))


def check_embeddings(answer: Answer) -> str:
    vectors: list[list[float]] = _read(answer, _vectors)
    sizes = {len(vector) for vector in vectors}
    if len(sizes) > 1 or sizes == {0}:
        raise _Wrong("the vectors have %s dimensions" % " and ".join(map(str, sorted(sizes))))
    near, far = _cosine(vectors[0], vectors[1]), _cosine(vectors[0], vectors[2])
    if not (math.isfinite(near) and math.isfinite(far)):
        raise _Wrong("a vector has no length")
    if near <= far:
        raise _Wrong(
            "two near sentences (cosine %.3f) are no nearer than a far one (%.3f)" % (near, far)
        )
    return "%d dimensions, cosine %.3f and %.3f" % (sizes.pop(), near, far)


def _vectors(value: Any) -> list[list[float]]:
    entries = _by_index(value["data"])
    return [[_number(number) for number in entry["embedding"]] for entry in entries]


def _by_index(entries: Any) -> list[Any]:
    """Three entries in the order of what was asked."""
    if not isinstance(entries, list) or len(entries) != len(SENTENCES):
        raise TypeError("not three entries")
    found = {int(_number(entry["index"])): entry for entry in entries}
    return [found[index] for index in range(len(SENTENCES))]


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """NaN for a vector without length, or of numbers that are too large."""
    lengths = [math.sqrt(sum(value * value for value in vector)) for vector in (one, other)]
    if not all(length and math.isfinite(length) for length in lengths):
        return math.nan
    return sum(a / lengths[0] * (b / lengths[1]) for a, b in zip(one, other))


# --- rerank ------------------------------------------------------------------------------------

QUERY = "Which animal says meow?"
DOCUMENTS = (
    "The stock market closed higher on Friday.",
    "A cat is the animal that says meow.",
    "Concrete hardens within a day.",
)
_RIGHT = 1


def _rerank(model: str, _given: Given) -> Probe:
    documents = list(DOCUMENTS)
    question = {"model": model, "query": QUERY, "documents": documents}
    return (
        yield from _first_offered(
            (_post("/v1/rerank", "a ranking", question), check_rerank),
            # Text Embeddings Inference calls them texts.
            (_post("/rerank", "a ranking", {**question, "texts": documents}), check_rerank),
            (
                _post("/score", "a score", {"model": model, "text_1": QUERY, "text_2": documents}),
                check_rerank,
            ),
        )
    )


def check_rerank(answer: Answer) -> str:
    scores: list[float] = _read(answer, _scores)
    others = [score for index, score in enumerate(scores) if index != _RIGHT]
    if scores[_RIGHT] <= max(others):
        raise _Wrong(
            "the right document has the score %.3f, another one %.3f"
            % (scores[_RIGHT], max(others))
        )
    return "scores %s" % ", ".join("%.3f" % score for score in scores)


def _scores(value: Any) -> list[float]:
    """Of vLLM and llama.cpp (`results`), of /score (`data`), of SGLang and TEI (a list)."""
    entries = value if isinstance(value, list) else value.get("results", value.get("data"))
    return [
        _number(entry.get("relevance_score", entry.get("score"))) for entry in _by_index(entries)
    ]


# --- speech ------------------------------------------------------------------------------------


def _speech_to_text(model: str, _given: Given) -> Probe:
    body, content_type = multipart(
        {"model": model, "response_format": "json"}, "speech.wav", speech.recording()
    )
    request = Request("POST", "/v1/audio/transcriptions", "a transcription", body, content_type)
    return (yield from _asked(request, lambda answer: check_transcription(answer, speech.WORDS)))


def multipart(
    fields: Mapping[str, str], name: str, content: bytes, field: str = "file"
) -> tuple[bytes, str]:
    """(body, Content-Type) of a form with these fields, and the WAV file `name` in its own one."""
    boundary = "dgxspark-" + hashlib.sha256(content).hexdigest()
    parts = [
        b'Content-Disposition: form-data; name="%s"\r\n\r\n%s' % (key.encode(), value.encode())
        for key, value in fields.items()
    ]
    parts.append(
        b'Content-Disposition: form-data; name="%s"; filename="%s"\r\n'
        b"Content-Type: audio/wav\r\n\r\n%s" % (field.encode(), name.encode(), content)
    )
    mark = b"--" + boundary.encode()
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
    return body, "multipart/form-data; boundary=" + boundary


def check_transcription(answer: Answer, words: Sequence[str]) -> str:
    """The text, which has all of these words but one."""
    text = str(_read(answer, lambda value: _text(value["text"])))
    heard = set(re.findall(r"\w+", text.casefold()))
    missing = [word for word in words if word.casefold() not in heard]
    if len(missing) > 1 or len(missing) == len(words):
        raise _Wrong("%r has not the words %s" % (text[:200], ", ".join(missing)))
    return text


# Of whisper-asr-webservice and whisperx-asr-service, which call the format differently.
_ASR = "/asr?output=json&output_format=json&encode=true&diarize=true"


def _diarization(_model: str, _given: Given) -> Probe:
    body, content_type = multipart({}, "speech.wav", speech.recording(), "audio_file")
    request = Request("POST", _ASR, "a separation of speakers", body, content_type)
    return (yield from _asked(request, check_diarization))


def check_diarization(answer: Answer) -> str:
    speakers = _read(answer, _speakers)
    if not speakers:
        raise _Wrong("no word has a speaker")
    return "%d speakers" % len(speakers)


def _speakers(value: Any) -> set[str]:
    segments = value["segments"]
    said = [*segments, *(word for one in segments for word in one.get("words") or ())]
    return {_text(one["speaker"]) for one in said if one.get("speaker")}


SPEECH = "The quick brown fox jumps over the lazy dog."
_LENGTH = 0.5  # seconds
_SILENCE = 0.002  # 54 dB below the loudest
# Half a second at 24 kbit/s, the lowest rate of speech that servers use.
_COMPRESSED = 1500


def _text_to_speech(model: str, given: Given) -> Probe:
    question = {"model": model, "input": SPEECH, "response_format": "wav"}
    if given.voice:
        question["voice"] = given.voice
    request = _post("/v1/audio/speech", "speech", question, limit=_AUDIO)
    return (yield from _asked(request, check_speech))


def check_speech(answer: Answer) -> str:
    body = answer.body
    name = audio.compressed(body)
    if name:
        if len(body) < _COMPRESSED:
            raise _Wrong("%s of %d bytes is too short" % (name, len(body)))
        return "%s, %d bytes; only size and header are checked" % (name, len(body))
    try:
        sound = audio.measure(body, answer.headers.get("content-type", ""))
    except ValueError as error:
        raise foreign.Foreign("no audio: %s: %r" % (error, body[:200])) from None
    if sound.seconds < _LENGTH:
        raise _Wrong("it has %.2f s only" % sound.seconds)
    if sound.loudness < _SILENCE:
        raise _Wrong("its %.2f s are silent" % sound.seconds)
    return "%.2f s of audio" % sound.seconds


# --- vector store ------------------------------------------------------------------------------

# The points of the collection: id -> vector. The search is near the first one.
POINTS = {1: (1.0, 0.0), 2: (0.0, 1.0)}
_SEARCH = (0.9, 0.1)
# Each probe has a collection of its own, so that two at once do not meet. The number in the name is
# when it was written, in seconds since 1970.
_COLLECTION = "dgxspark-health"
_OWN = re.compile(_COLLECTION + r"-([0-9]{1,12})-[0-9a-f]{8}")
# Of a probe that was killed: nobody else has a collection of such a name for so many seconds.
_LEFT = 3600


def _vector_store(_model: str, _given: Given) -> Probe:
    now = int(time.time())
    path = "/collections/%s-%d-%s" % (_COLLECTION, now, secrets.token_hex(4))
    listed: list[str] = []

    def check_listed(answer: Answer) -> str:
        listed.extend(_read(answer, _collections))
        return ""

    verdict = yield from _asked(
        Request("GET", "/collections", "the list of collections"), check_listed
    )
    if not verdict.passed:
        return verdict
    for name in left_over(listed, now):
        yield Request("DELETE", "/collections/" + name, "the deletion of an old collection")
    verdict = yield from _written_and_found(path)
    answer = yield Request("DELETE", path, "the deletion of the collection")
    deleted = judge(Request("DELETE", path, "the deletion of the collection"), check_done, answer)
    return verdict if not verdict.passed or deleted.passed else deleted


def left_over(listed: Sequence[str], now: int) -> list[str]:
    """Collections that probes have left behind, a few of them. now: in seconds since 1970."""
    named = [(name, _OWN.fullmatch(name)) for name in listed]
    old = [name for name, own in named if own and abs(now - int(own[1])) > _LEFT]
    return sorted(old)[:5]


def _written_and_found(path: str) -> Probe:
    size = len(_SEARCH)
    points = [{"id": number, "vector": list(vector)} for number, vector in POINTS.items()]
    settings = {"vectors": {"size": size, "distance": "Cosine"}}
    question = {"query": list(_SEARCH), "limit": len(POINTS)}
    steps = (
        (_put(path, "a new collection", settings), check_done),
        (_put(path + "/points?wait=true", "a write", {"points": points}), check_done),
        (_post(path + "/points/query", "a search", question), check_search),
    )
    for request, check in steps[:-1]:
        verdict = yield from _asked(request, check)
        if not verdict.passed:
            return verdict
    return (yield from _asked(*steps[-1]))


def _put(path: str, what: str, content: Mapping[str, Any]) -> Request:
    return replace(_post(path, what, content), method="PUT")


def _collections(value: Any) -> list[str]:
    return [str(entry["name"]) for entry in value["result"]["collections"]]


def check_done(answer: Answer) -> str:
    """Of a change: Qdrant says `status: ok`."""
    if _read(answer, lambda value: value["status"]) != "ok":
        raise _Wrong("its status is not ok")
    return "ok"


def check_search(answer: Answer) -> str:
    ids: list[float] = _read(
        answer, lambda value: [_number(point["id"]) for point in _points(value["result"])]
    )
    if ids != list(POINTS):
        raise _Wrong("it found the points %s, expected 1, 2" % ", ".join("%g" % i for i in ids))
    return "2 points, the nearer one first"


def _points(result: Any) -> Any:
    return result["points"] if isinstance(result, dict) else result


# --- redaction ---------------------------------------------------------------------------------

NAME = "Alice Example"
LETTER = "Alice Example called about the invoice of March."
_TASK = "dgxspark-health"


def _redaction(_model: str, _given: Given) -> Probe:
    handle = ""
    scrubbed = ""

    def check_scrubbed(answer: Answer) -> str:
        nonlocal handle, scrubbed
        handle, scrubbed = _read(
            answer, lambda value: (value["map_handle"], value["items"][0]["scrubbed_text"])
        )
        if not (isinstance(handle, str) and isinstance(scrubbed, str)):
            raise foreign.Foreign("an invalid answer: %r" % answer.body[:200])
        if any(part.casefold() in scrubbed.casefold() for part in NAME.split()):
            raise _Wrong("the name is still in the text")
        return scrubbed

    question = {
        "task_id": _TASK,
        "actor": _TASK,
        "items": [{"id": "1", "text": LETTER}],
        "known_entities": {"persons": [NAME]},
        "tier1_action": "drop",
        "ner": "auto",
    }
    verdict = yield from _asked(_post("/scrub", "a redaction", question), check_scrubbed)
    if not verdict.passed:
        return verdict
    question = {
        "task_id": _TASK,
        "map_handle": handle,
        "items": [{"id": "1", "text": scrubbed}],
    }
    request = _post("/rehydrate", "a rehydration", question)
    return (yield from _asked(request, check_rehydrated))


def check_rehydrated(answer: Answer) -> str:
    text = _read(answer, lambda value: _text(value["items"][0]["text"]))
    if text != LETTER:
        raise _Wrong("the text is not what it was before")
    return "the text came back"


# --- without a request of its own --------------------------------------------------------------


def _http(_model: str, given: Given) -> Probe:
    yield from ()  # it asks nothing
    return Verdict(True, True, "%s answers" % given.light_path(("http",)))


def _bot(_model: str, given: Given) -> Probe:
    yield from ()  # it asks nothing
    if given.health in ("", "healthy"):
        return Verdict(True, True, "the container runs", given.health)
    return Verdict(False, False, "its health check says %s" % foreign.line(given.health))


_PROBES: Mapping[str, Callable[[str, Given], Probe]] = {
    "chat": _chat,
    "completion": _completion,
    "embeddings": _embeddings,
    "rerank": _rerank,
    "speech_to_text": _speech_to_text,
    "diarization": _diarization,
    "text_to_speech": _text_to_speech,
    "vector_store": _vector_store,
    "redaction": _redaction,
    "bot": _bot,
    "http": _http,
}
