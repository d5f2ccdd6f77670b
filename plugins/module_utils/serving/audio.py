# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""How long and how loud an audio file is, as far as the standard library can tell."""

from __future__ import annotations

import array
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

# What OpenAI's API calls "pcm": 24 kHz, one channel, 16 bits, little endian.
_RAW_RATE = 24000
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# Loudness is measured over so many samples at most.
_SAMPLES = 2_000_000
_HEADERS = (
    ("MP3", (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xfa")),
    ("Ogg", (b"OggS",)),
    ("FLAC", (b"fLaC",)),
    ("AAC", (b"\xff\xf1", b"\xff\xf9")),
)


@dataclass(frozen=True)
class Sound:
    """seconds: its length. loudness: root mean square of its samples, 1 for the loudest."""

    seconds: float
    loudness: float


def compressed(body: bytes) -> str:
    """The name of the compressed format by its header; empty for any other bytes."""
    for name, starts in _HEADERS:
        if body.startswith(starts):
            return name
    return ""


def is_raw(content_type: str) -> bool:
    """Whether the Content-Type means samples without a header."""
    return content_type.partition(";")[0].strip().lower() in ("audio/pcm", "audio/l16")


def measure(body: bytes, content_type: str = "") -> Sound:
    """Length and loudness of WAV, or of raw samples by their Content-Type. Raises Foreign."""
    if body.startswith(b"RIFF") and body[8:12] == b"WAVE":
        return _wav(body)
    if is_raw(content_type):
        return _sound(body, _rate_of(content_type), 1, 16, False)
    raise foreign.Foreign("it is neither WAV nor raw audio")


def _rate_of(content_type: str) -> int:
    for part in content_type.split(";")[1:]:
        name, _equals, value = part.partition("=")
        if name.strip().lower() == "rate":
            return foreign.whole(value)
    return _RAW_RATE


def _wav(body: bytes) -> Sound:
    layout = b""
    for name, content in _chunks(body):
        if name == b"fmt ":
            layout = content
        elif name == b"data":
            if len(layout) < 16:
                break
            coding = _number(layout, 0, 2)
            if coding == _EXTENSIBLE:
                coding = _number(layout, 24, 26)
            if coding not in (_PCM, _FLOAT):
                raise foreign.Foreign("it is WAV of an unknown coding, %d" % coding)
            channels, rate, bits = (
                _number(layout, first, last) for first, last in ((2, 4), (4, 8), (14, 16))
            )
            return _sound(content, rate, channels, bits, coding == _FLOAT)
    raise foreign.Foreign("it is WAV without samples")


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a WAV file. The last one of a stream says it is longer than it is."""
    at = 12
    while at + 8 <= len(body):
        length = _number(body, at + 4, at + 8)
        yield body[at : at + 4], body[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _number(data: bytes, first: int, last: int) -> int:
    return int.from_bytes(data[first:last], "little")


def _sound(data: bytes, rate: int, channels: int, bits: int, is_float: bool) -> Sound:
    width = bits // 8
    if not 0 < rate <= 1_000_000 or not 0 < channels <= 64:
        raise foreign.Foreign("it is audio at %d Hz in %d channels" % (rate, channels))
    count = len(data) // max(width, 1)
    used = data[: min(count, _SAMPLES) * width]
    values = _samples(used, bits, is_float)
    loudness = math.sqrt(math.fsum(value * value for value in values) / max(len(values), 1))
    if not math.isfinite(loudness):
        raise foreign.Foreign("it is audio with samples that are not numbers")
    return Sound(count / channels / rate, loudness)


def _samples(data: bytes, bits: int, is_float: bool) -> list[float]:
    """Samples between -1 and 1. Raises Foreign for a width that there is not."""
    if is_float and bits == 32:
        return [min(max(value, -1.0), 1.0) for value in _array("f", data)]
    if not is_float and bits == 8:
        return [(value - 128) / 128 for value in data]
    if not is_float and bits == 16:
        return [value / 32768 for value in _array("h", data)]
    if not is_float and bits == 24:
        return [
            int.from_bytes(data[at : at + 3], "little", signed=True) / 8388608
            for at in range(0, len(data), 3)
        ]
    if not is_float and bits == 32:
        return [value / 2147483648 for value in _array("i", data)]
    raise foreign.Foreign("it is audio of %d bits" % bits)


def _array(code: str, data: bytes) -> array.array[float]:
    values: array.array[float] = array.array(code)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values
