# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who says what in a recording: /api/audio/transcribe-with-speakers, diarize-chunk, label-merge.

Servers that separate speakers have `POST /asr` as whisper-asr-webservice and whisperx-asr-service
do; words with their times come from any that has them in OpenAI's `verbose_json`.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from gateway.endpoints import DIARIZE, TRANSCRIBE
from gateway.errors import Refusal
from gateway.label_merge import UNKNOWN, Merged, Turn, Word, merge, merge_channels
from gateway.parts import Parts
from gateway.routing import Target
from gateway.servers import Answer, Servers

MERGE = "/api/audio/label-merge"
_WORDS = "/v1/audio/transcriptions"
_ASR = "/asr"
# Seconds after which clients may expect a speech server to work again.
RETRY = 60
# Fields of a form that go on to the server.
_PASSED = ("language", "num_speakers", "min_speakers", "max_speakers")

_Seconds = Annotated[float, Meta(ge=0, le=1_000_000)]
_Text = Annotated[str, Meta(max_length=10_000)]
_Name = Annotated[str, Meta(min_length=1, max_length=200)]


class _Heard(msgspec.Struct):
    """A word; of vLLM and of the clients of this gateway `word` or `text`."""

    start: _Seconds | None = None
    end: _Seconds | None = None
    word: _Text = ""
    text: _Text = ""
    speaker: str | None = None
    level: float | None = None


class _Segment(_Heard):
    words: list[_Heard] | None = None


class _Recognised(msgspec.Struct):
    """Of /asr."""

    segments: list[_Segment]
    language: str | None = None
    speaker_embeddings: dict[str, list[float]] | None = None


class _Transcribed(msgspec.Struct):
    """Of /v1/audio/transcriptions."""

    language: str | None = None
    words: list[_Heard] | None = None


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    """A time in which somebody speaks."""

    start: _Seconds
    end: _Seconds
    name: _Name
    confidence: float = 0.0


class _Time(msgspec.Struct):
    start: _Seconds
    end: _Seconds


class Labels(msgspec.Struct, forbid_unknown_fields=True):
    """The body of label-merge: one channel with words, or two with mic_words and system_words."""

    timeline: list[_Said]
    words: list[_Heard] | None = None
    mic_words: list[_Heard] | None = None
    system_words: list[_Heard] | None = None
    self_name: _Name = "self"
    self_vad: list[_Time] | None = None


class Speakers:
    """Answers of the three paths, by the services for speech."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def transcribed(self, parts: Parts) -> dict[str, Any]:
        """Raises Refusal."""
        answer, found = await self._separated(TRANSCRIBE, parts)
        words, untimed = words_of(found.segments)
        merged = await asyncio.to_thread(merge, words, ())
        return {
            **_as_answer(merged, untimed),
            "language": found.language,
            "models": {"transcription": _model_of(answer), "diarization": _model_of(answer)},
        }

    async def diarized(self, parts: Parts) -> dict[str, Any]:
        """Raises Refusal."""
        answer, found = await self._separated(DIARIZE, parts)
        words, untimed = words_of(found.segments)
        merged = await asyncio.to_thread(merge, words, ())
        turns = [one for one in merged.blocks if one.speaker != UNKNOWN]
        return {
            "duration": max((one.end for one in merged.blocks), default=0.0),
            "segments": [
                {"start_s": one.start, "end_s": one.end, "speaker": one.speaker} for one in turns
            ],
            "speakers_detected": len(merged.speakers),
            "fingerprints": found.speaker_embeddings or {},
            "models": {"diarization": _model_of(answer)},
            "limits": _limits(merged, untimed),
        }

    async def merged_form(self, parts: Parts) -> dict[str, Any]:
        """label-merge of recordings, which are transcribed first. Raises Refusal."""
        texts = parts.texts
        given: dict[str, Any] = {name: texts[name] for name in ("self_name",) if name in texts}
        try:
            for name in ("timeline", "self_vad"):
                if name in texts:
                    given[name] = msgspec.json.decode(texts[name])
            labels = msgspec.convert(given, Labels)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _invalid(error) from None
        names = {"file": "words", "mic_file": "mic_words", "system_file": "system_words"}
        heard: dict[str, list[_Heard]] = {}
        about: dict[str, Any] = {}
        for name, field in names.items():
            if name in parts:
                answer, found = await self._words(name, parts)
                heard[field] = found.words or []
                about = {"language": found.language, "models": {"transcription": _model_of(answer)}}
        labels = msgspec.structs.replace(labels, **heard)
        return {**await merged(labels), **about}

    async def _separated(self, path: str, parts: Parts) -> tuple[Answer, _Recognised]:
        _needs(parts, "file")
        passed = {name: parts.texts[name] for name in _PASSED if parts.texts.get(name)}
        query = urlencode(
            {
                "output": "json",
                "encode": "true",
                "word_timestamps": "true",
                "diarize": "true",
                "return_speaker_embeddings": "true",
                **passed,
            }
        )

        async def ask(target: Target) -> Answer:
            form = parts.form("file", "audio_file")
            return await self._servers.ask(target, "POST", f"{_ASR}?{query}", form)

        try:
            answer = await self._servers.at(path, parts.texts.get("model", ""), ask)
        except Refusal as refusal:
            if refusal.code == "no_service":
                raise _no_speakers("no service separates speakers") from None
            raise
        found = _read(answer, _Recognised)
        if found.segments and not any(_has_speaker(one) for one in found.segments):
            raise _no_speakers("%s separated no speakers" % answer.name)
        return answer, found

    async def _words(self, name: str, parts: Parts) -> tuple[Answer, _Transcribed]:
        language = {"language": parts.texts["language"]} if parts.texts.get("language") else {}

        async def ask(target: Target) -> Answer:
            fields = {"model": target.model} if target.model else {}
            fields |= {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
            form = parts.form(name, "file", **fields, **language)
            return await self._servers.ask(target, "POST", _WORDS, form)

        answer = await self._servers.at(_WORDS, parts.texts.get("model", ""), ask)
        found = _read(answer, _Transcribed)
        if found.words is None:
            message = "%s has no times of words in its answer" % answer.name
            raise Refusal(501, "no_word_times", message)
        return answer, found


def labels_of(text: bytes) -> Labels:
    """Raises Refusal."""
    try:
        return msgspec.json.decode(text, type=Labels)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _invalid(error) from None


async def merged(labels: Labels) -> dict[str, Any]:
    """The answer of label-merge. Raises Refusal."""
    two = labels.mic_words is not None or labels.system_words is not None
    if two == (labels.words is not None):
        raise Refusal(
            400, "invalid_labels", "expected the words of one channel, or those of two channels"
        )
    turns = [Turn(one.start, one.end, one.name, one.confidence) for one in labels.timeline]
    words, untimed = _words_of(labels.words or [])
    if not two:
        return _as_answer(await asyncio.to_thread(merge, words, turns), untimed)
    mine, first = _words_of(labels.mic_words or [])
    others, second = _words_of(labels.system_words or [])
    local = labels.self_vad
    own = None if local is None else [Turn(one.start, one.end, labels.self_name) for one in local]
    found = await asyncio.to_thread(merge_channels, mine, others, turns, labels.self_name, own)
    return _as_answer(found, first + second)


def words_of(segments: list[_Segment]) -> tuple[list[Word], int]:
    """Of /asr: words with their speakers, and how many have no time of their own.

    A segment without words, as of a language without an alignment, counts as one word.
    """
    found: list[_Heard] = []
    for segment in segments:
        # The first word of a segment begins with it.
        start = segment.start
        for word in segment.words or [segment]:
            begin = word.start if word.start is not None else start
            speaker = word.speaker or segment.speaker
            found.append(_Heard(begin, word.end, word.word or word.text, "", speaker))
            start = None
    return _words_of(found)


def _words_of(heard: list[_Heard]) -> tuple[list[Word], int]:
    """Words, and how many have the time of the end of the one before, as they have none."""
    words: list[Word] = []
    untimed = 0
    last = 0.0
    for one in heard:
        untimed += one.start is None
        start = last if one.start is None else one.start
        end = start if one.end is None else max(start, one.end)
        words.append(Word(one.word or one.text, start, end, one.speaker or "", one.level))
        last = end
    return words, untimed


def _as_answer(found: Merged, untimed: int) -> dict[str, Any]:
    return {
        "duration": max((one.end for one in found.blocks), default=0.0),
        "speakers_detected": len(found.speakers),
        "segments": [
            {
                "start_ms": round(one.start * 1000),
                "end_ms": round(one.end * 1000),
                "speaker": one.speaker,
                "text": one.text,
            }
            for one in found.blocks
        ],
        "limits": _limits(found, untimed),
    }


def _limits(found: Merged, untimed: int) -> list[str]:
    more = ["%d words have no time, and that of the word before them" % untimed] if untimed else []
    return [*found.limits, *more]


def _has_speaker(segment: _Segment) -> bool:
    return bool(segment.speaker) or any(word.speaker for word in segment.words or ())


def _model_of(answer: Answer) -> str:
    return answer.target.model or answer.name


def _read(answer: Answer, shape: Any) -> Any:
    """Raises Refusal."""
    if answer.status >= 500:
        message = "%s failed with status %d" % (answer.name, answer.status)
        raise Refusal(503, "server_error", message, RETRY)
    if answer.status >= 400:
        message = "%s refuses the recording with status %d" % (answer.name, answer.status)
        raise Refusal(400, "invalid_recording", message, param="file")
    return answer.read(shape)


def _needs(parts: Parts, name: str) -> None:
    if name not in parts:
        raise Refusal(400, "invalid_form", "the form has no file %r" % name, param=name)


def _no_speakers(message: str) -> Refusal:
    return Refusal(501, "no_diarization", message)


def _invalid(error: Exception) -> Refusal:
    # It names the field and what is expected, and nothing of the value.
    why = str(error)[:300] if isinstance(error, msgspec.ValidationError) else "it is no JSON"
    return Refusal(400, "invalid_labels", why)
