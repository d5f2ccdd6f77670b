# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speakers at the gateway, before servers that answer as whisperx-asr-service and OpenAI do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from gateway import speakers
from gateway_fakes import Companion, Process

TRANSCRIBE = "/api/audio/transcribe-with-speakers"
DIARIZE = "/api/audio/diarize-chunk"
MERGE = "/api/audio/label-merge"
WORDS = "/v1/audio/transcriptions"
SOUND = b"RIFF" + bytes(range(256)) * 8


def word(text: str, start: float | None, end: float | None, speaker: str | None) -> Any:
    timed = {"start": start, "end": end, "score": 0.9} if start is not None else {}
    return {"word": text, **timed, **({"speaker": speaker} if speaker else {})}


# Of POST /asr with diarize=true. WhisperX gives no time to what it cannot align, such as digits.
ASR = {
    "language": "en",
    "segments": [
        {
            "start": 0.5,
            "end": 2.0,
            "text": " Hello, at 9.",
            "speaker": "SPEAKER_00",
            "words": [
                word("Hello,", 0.5, 0.9, "SPEAKER_00"),
                word("at", 1.0, 1.2, "SPEAKER_00"),
                word("9.", None, None, None),
            ],
        },
        {"start": 2.1, "end": 3.0, "text": " Good.", "speaker": "SPEAKER_01"},
    ],
    "word_segments": [],
    "speaker_embeddings": {"SPEAKER_00": [0.5, 0.25], "SPEAKER_01": [0.0, 1.0]},
}
HEARD = {
    "text": "nine it is",
    "language": "english",
    "words": [
        {"word": "nine", "start": 1.0, "end": 1.3},
        {"word": "it", "start": 5.0, "end": 5.2},
        {"word": "is", "start": 5.3, "end": 5.5},
    ],
}


class Answers:
    def __init__(self) -> None:
        self.asr: tuple[int, Any] = (200, ASR)
        self.words: tuple[int, Any] = (200, HEARD)

    def __call__(self, _method: str, path: str, _body: bytes) -> tuple[int, Any]:
        return self.asr if path.startswith("/asr?") else self.words


class Setup:
    def __init__(self, folder: Path) -> None:
        self.answers = Answers()
        self.server = Companion(self.answers)
        paths = (TRANSCRIBE, DIARIZE, WORDS)
        self.gateway = Process(
            folder, [self.server.entry("ears", *paths, model="whisper-1")], audio_mib=1
        )

    def post(self, path: str, files: Any = None, **fields: str) -> httpx.Response:
        sent = {"file": ("talk.wav", SOUND, "audio/wav")} if files is None else files
        url = self.gateway.url + path
        return httpx.post(url, files=sent, data=fields, trust_env=False, timeout=30)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    made = Setup(tmp_path_factory.mktemp("gateway"))
    with made.server, made.gateway:
        yield made


@pytest.fixture
def setup(running: Setup) -> Setup:
    """As new."""
    running.answers.asr, running.answers.words = (200, ASR), (200, HEARD)
    running.server.asked.clear()
    return running


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["code"])


def test_transcribe_with_speakers(setup: Setup) -> None:
    answer = setup.post(TRANSCRIBE, language="en", max_speakers="3")
    assert answer.json() == {
        "duration": 3.0,
        "language": "en",
        "speakers_detected": 2,
        "segments": [
            {"start_ms": 500, "end_ms": 1200, "speaker": "SPEAKER_00", "text": "Hello, at 9."},
            {"start_ms": 2100, "end_ms": 3000, "speaker": "SPEAKER_01", "text": "Good."},
        ],
        "limits": ["1 words have no time, and that of the word before them"],
        "models": {"transcription": "whisper-1", "diarization": "whisper-1"},
    }
    ((_method, path, body),) = setup.server.asked
    assert path.startswith("/asr?output=json&")
    assert path.endswith("&language=en&max_speakers=3")
    assert b'name="audio_file"; filename="talk.wav"' in body
    assert SOUND in body


def test_diarize_chunk(setup: Setup) -> None:
    answer = setup.post(DIARIZE).json()
    assert answer["segments"] == [
        {"start_s": 0.5, "end_s": 1.2, "speaker": "SPEAKER_00"},
        {"start_s": 2.1, "end_s": 3.0, "speaker": "SPEAKER_01"},
    ]
    assert answer["fingerprints"] == ASR["speaker_embeddings"]
    assert answer["speakers_detected"] == 2


TIMELINE = [
    {"start": 0, "end": 2, "name": "Alice", "confidence": 0.9},
    {"start": 4.8, "end": 6, "name": "Bob"},
]


def test_label_merge_of_a_recording(setup: Setup) -> None:
    answer = setup.post(MERGE, timeline=json.dumps(TIMELINE)).json()
    assert [(one["speaker"], one["text"]) for one in answer["segments"]] == [
        ("Alice", "nine"),
        ("Bob", "it is"),
    ]
    assert answer["models"] == {"transcription": "whisper-1"}
    ((_method, path, body),) = setup.server.asked
    assert path == WORDS
    assert b"verbose_json" in body
    assert b"timestamp_granularities[]" in body
    assert b"whisper-1" in body


def test_label_merge_of_two_channels(setup: Setup) -> None:
    files = {"mic_file": ("m.wav", SOUND), "system_file": ("s.wav", SOUND)}
    answer = setup.post(MERGE, files, timeline=json.dumps(TIMELINE), self_name="Carol").json()
    # All words are on both channels, without a level.
    assert [one["speaker"] for one in answer["segments"]] == ["Alice", "Bob"]
    assert answer["limits"][0].startswith("3 words are in both channels")


def test_label_merge_of_words_asks_no_server(setup: Setup) -> None:
    words = [{"text": "one", "start": 0.1, "end": 0.4}, {"text": "two", "start": 5, "end": 5.5}]
    body: dict[str, Any] = {"timeline": TIMELINE, "words": words}
    answer = setup.gateway.post(MERGE, body).json()
    assert [one["speaker"] for one in answer["segments"]] == ["Alice", "Bob"]
    body = {"timeline": TIMELINE, "mic_words": words, "system_words": [], "self_name": "Carol"}
    answer = setup.gateway.post(MERGE, body).json()
    assert {one["speaker"] for one in answer["segments"]} == {"Carol"}
    body["self_vad"] = [{"start": 0, "end": 1}]
    answer = setup.gateway.post(MERGE, body).json()
    assert [one["speaker"] for one in answer["segments"]] == ["Carol", "Bob"]
    assert setup.server.asked == []


@pytest.mark.parametrize(
    "body",
    [
        {"timeline": TIMELINE},
        {"timeline": TIMELINE, "words": [], "mic_words": []},
        {"words": []},
        {"timeline": [{"start": -1, "end": 2, "name": "x"}], "words": []},
        {"timeline": [{"start": 1e999, "end": 2, "name": "x"}], "words": []},
        {"timeline": [{"start": 1, "end": 2, "name": ""}], "words": []},
        {"timeline": [], "words": [{"start": "secret-value"}]},
    ],
)
def test_labels_that_are_refused(setup: Setup, body: dict[str, Any]) -> None:
    text = json.dumps(body).replace("Infinity", "1e999")
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(setup.gateway.url + MERGE, content=text, headers=headers, trust_env=False)
    assert answer.status_code == 400
    assert "secret-value" not in answer.text


def test_no_service_that_separates_speakers_is_501(tmp_path: Path) -> None:
    with Process(tmp_path, []) as gateway:
        for path in (TRANSCRIBE, DIARIZE):
            answer = httpx.post(gateway.url + path, files={"file": SOUND}, trust_env=False)
            assert code(answer) == (501, "no_diarization")


def test_a_server_that_separates_none_is_501(setup: Setup) -> None:
    plain = [{"start": 0, "end": 1, "text": "Hello"}]
    setup.answers.asr = (200, {"segments": plain, "language": "en"})
    assert code(setup.post(TRANSCRIBE)) == (501, "no_diarization")
    # Nobody speaks.
    setup.answers.asr = (200, {"segments": [], "language": "en"})
    assert setup.post(TRANSCRIBE).json()["segments"] == []
    setup.answers.words = (200, {"text": "without times"})
    assert code(setup.post(MERGE, timeline="[]")) == (501, "no_word_times")


def test_a_server_that_fails(setup: Setup) -> None:
    setup.answers.asr = (500, {"detail": "secret of the server"})
    answer = setup.post(TRANSCRIBE)
    assert (*code(answer), answer.headers["Retry-After"]) == (503, "server_error", "60")
    assert "secret" not in answer.text
    setup.answers.asr = (400, {"detail": "no audio"})
    assert code(setup.post(TRANSCRIBE)) == (400, "invalid_recording")
    for garbage in ([], {"segments": 1}, {"segments": [{"start": -1}]}, "x"):
        setup.answers.asr = (200, garbage)
        assert code(setup.post(TRANSCRIBE)) == (502, "server_error")


def test_forms_that_are_refused(setup: Setup) -> None:
    assert code(setup.post(TRANSCRIBE, {"other": SOUND})) == (400, "invalid_form")
    assert code(setup.post(MERGE, timeline="{")) == (400, "invalid_labels")
    assert code(setup.post(TRANSCRIBE, {"file": bytes(1 << 21)})) == (413, "too_large")
    many = {f"f{number}": b"x" for number in range(30)}
    assert code(setup.post(TRANSCRIBE, many)) == (400, "invalid_form")
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for text in (
        b"",
        b"--b\r\n",
        b"--b\r\n\r\nx\r\n--b--",
        b"\0" * 100,
        b"--b\r\nA: \xff\r\n\r\nx",
    ):
        url = setup.gateway.url + TRANSCRIBE
        answer = httpx.post(url, content=text, headers=headers, trust_env=False)
        assert code(answer) == (400, "invalid_form")
    assert code(setup.gateway.post(TRANSCRIBE, {})) == (415, "not_a_form")
    assert setup.post(TRANSCRIBE).status_code == 200


def test_segments_without_words_are_words() -> None:
    segment = speakers._Segment(start=1.0, end=2.0, text=" all of it ", speaker="A")
    (found,), untimed = speakers.words_of([segment])
    assert (found.text.strip(), found.start, found.speaker, untimed) == ("all of it", 1.0, "A", 0)
