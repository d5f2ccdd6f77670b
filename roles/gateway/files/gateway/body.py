# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies of requests: the model that they name, and another one in its place."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import IO

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.errors import Refusal

# Bytes of a form that stay in memory; what is longer goes to a file.
IN_MEMORY = 1 << 20
_CHUNK = 1 << 18
_NAME = 300  # bytes of a model's name
_Fields = dict[str, msgspec.Raw]


class Json:
    """A JSON object. Only its first level is read; values stay the bytes that they are."""

    def __init__(self, data: bytes) -> None:
        try:
            self._fields = msgspec.json.decode(data, type=_Fields)
            model = msgspec.json.decode(self._fields.get("model", b'""'), type=str)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise Refusal(
                400, "invalid_json", "the body is not a JSON object with a text as its model"
            ) from None
        self.model = model

    def asking_for(self, model: str) -> bytes:
        """The same with this model, empty for its own; of a name that comes twice the last."""
        fields = self._fields
        if model and model != self.model:
            fields = {**fields, "model": msgspec.Raw(msgspec.json.encode(model))}
        return msgspec.json.encode(fields)


class Form:
    """A multipart form, read piece by piece. Large ones are in a file without a name."""

    def __init__(self, content_type: str, folder: str) -> None:
        _kind, options = parse_options_header(content_type)
        self._boundary = options.get(b"boundary", b"")
        if not 0 < len(self._boundary) <= 70:
            raise Refusal(400, "invalid_form", "expected a multipart form with a boundary")
        self._parser = MultipartParser(
            self._boundary,
            {
                "on_part_begin": self._part,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )
        self._folder = folder
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._size = 0
        self._header = (bytearray(), bytearray())
        self._is_model = False
        self._models = 0
        self._name = bytearray()
        self._span = (0, 0)
        self._complete = False

    async def feed(self, piece: bytes) -> None:
        """Raises Refusal for what is no form, OSError."""
        try:
            self._parser.write(piece)
        except FormParserError:
            raise Refusal(400, "invalid_form", "the body is not a multipart form") from None
        self._memory += piece
        self._size += len(piece)
        if len(self._memory) > IN_MEMORY:
            await asyncio.to_thread(self._spool)

    def finish(self) -> str:
        """The model that the form names, empty for none. Raises Refusal for an incomplete form."""
        if not self._complete:
            raise Refusal(400, "invalid_form", "the multipart form is incomplete")
        if self._models > 1:
            raise Refusal(400, "invalid_form", "the form names its model twice", param="model")
        return self._name.decode("utf-8", "replace").strip()

    def asking_for(self, model: str) -> tuple[int, AsyncIterator[bytes]]:
        """Length and pieces of the same form with this model, empty for its own."""
        start, end = self._span
        new = model.encode()
        if not new:
            start = end = 0
        elif not self._models:
            start = end = 0
            new = b'--%s\r\nContent-Disposition: form-data; name="model"\r\n\r\n%s\r\n' % (
                self._boundary,
                new,
            )
        return self._size - (end - start) + len(new), self._pieces(start, new, end)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    async def _pieces(self, start: int, new: bytes, end: int) -> AsyncIterator[bytes]:
        async for piece in self._part_of(0, start):
            yield piece
        if new:
            yield new
        async for piece in self._part_of(end, self._size):
            yield piece

    async def _part_of(self, at: int, end: int) -> AsyncIterator[bytes]:
        if self._file is None:
            yield bytes(self._memory[at:end])
            return
        if self._memory:
            await asyncio.to_thread(self._spool)
        while at < end:
            piece = await asyncio.to_thread(_read, self._file, at, min(_CHUNK, end - at))
            if not piece:
                raise OSError("the spool file is shorter than what was written")
            at += len(piece)
            yield piece

    def _spool(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - close() does
        self._file.seek(0, 2)
        self._file.write(self._memory)
        self._memory = bytearray()

    def _part(self) -> None:
        self._is_model = False

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _header_end(self) -> None:
        name, value = map(bytes, self._header)
        self._header = (bytearray(), bytearray())
        if name.lower() == b"content-disposition":
            _kind, options = parse_options_header(value)
            if options.get(b"name") == b"model" and b"filename" not in options:
                self._is_model = True
                self._models += 1

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_model:
            return
        at = self._size + start
        self._span = (self._span[0] if self._name else at, at + end - start)
        self._name += data[start:end]
        if len(self._name) > _NAME:
            raise Refusal(400, "invalid_form", "the name of the model is too long", param="model")

    def _end(self) -> None:
        self._complete = True


def _read(file: IO[bytes], at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
