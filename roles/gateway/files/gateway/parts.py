# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a form that the gateway reads itself: recordings, and texts about them."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO

import aiohttp
from aiohttp import web

from gateway.errors import Refusal

_CHUNK = 1 << 18
_PARTS = 20
# Of a part that is no file.
_TEXT = 1 << 20


class Parts:
    """texts: by the names of fields. Files are without a name on the disk."""

    def __init__(self, folder: str) -> None:
        self.texts: dict[str, str] = {}
        self._files: dict[str, tuple[IO[bytes], str]] = {}
        self._folder = folder
        self._open = ExitStack()

    async def read(
        self, request: web.Request, seconds: float, limit: int, take: Callable[[int], None]
    ) -> None:
        """Read all of a form. Raises Refusal.

        seconds: in which something of the body has to come. limit: bytes of all parts. take: is
        called with the size of each piece.
        """
        left = limit
        try:
            reader = await request.multipart()
            while True:
                async with asyncio.timeout(seconds):
                    part = await reader.next()
                if part is None:
                    return
                if not isinstance(part, aiohttp.BodyPartReader) or not part.name:
                    raise _invalid("expected parts with names")
                if part.name in self.texts or part.name in self._files:
                    raise _invalid("two parts have the name %r" % part.name[:40])
                if len(self.texts) + len(self._files) >= _PARTS:
                    raise _invalid("more than %d parts" % _PARTS)
                left = await self._part(part, seconds, left, take)
        except TimeoutError:
            raise Refusal(408, "slow_client", "the body of the request does not come") from None
        except (ValueError, LookupError, AssertionError, web.RequestPayloadError):
            raise _invalid("the body is not a complete multipart form") from None
        except OSError as error:
            why = "the form could not be stored: %s" % error.strerror
            raise Refusal(507, "no_room", why) from None

    async def _part(
        self,
        part: aiohttp.BodyPartReader,
        seconds: float,
        left: int,
        take: Callable[[int], None],
    ) -> int:
        """Read one part; the bytes that others may still have."""
        name, file_name = part.name or "", part.filename
        text = bytearray()
        file: IO[bytes] | None = None
        if file_name is not None:
            opened = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - close() does
            file = self._open.enter_context(opened)
            self._files[name] = (file, file_name)
        while True:
            async with asyncio.timeout(seconds):
                piece = await part.read_chunk(_CHUNK)
            if not piece:
                break
            left -= len(piece)
            if left < 0:
                raise Refusal(413, "too_large", "the parts of the form are too large")
            take(len(piece))
            if file is not None:
                await asyncio.to_thread(file.write, piece)
            elif len(text) + len(piece) > _TEXT:
                raise _invalid("the field %r is too long" % name[:40])
            else:
                text += piece
        if file is None:
            self.texts[name] = text.decode("utf-8", "replace")
        else:
            file.flush()
        return left

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def form(self, name: str, sent_as: str, **fields: str) -> aiohttp.FormData:
        """A form with this file under another name, and with these fields."""
        file, file_name = self._files[name]
        form = aiohttp.FormData()
        for field, text in fields.items():
            form.add_field(field, text)
        file.seek(0)
        # The client closes what it has sent; the next attempt needs the file again.
        again = os.fdopen(os.dup(file.fileno()), "rb")
        form.add_field(sent_as, again, filename=file_name or "recording")
        return form

    def close(self) -> None:
        self._open.close()


def _invalid(message: str) -> Refusal:
    return Refusal(400, "invalid_form", message)
