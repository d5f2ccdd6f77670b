# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps on the disk: one file each, for its user alone, until it expires."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from redaction.scrubbing import Map

LIFE = 24 * 3600.0  # seconds
_HANDLE = re.compile(r"[0-9a-f]{32}")
# Bytes of a map.
_MOST = 64 << 20


class Stored(msgspec.Struct):
    """handle: SHA-256 of the handle, which is nowhere on the disk. until: in seconds since 1970."""

    handle: str
    task: str
    until: float
    values: dict[str, str]


class Maps:
    """The maps of all tasks, by their handles of 128 random bits. clock: in seconds since 1970."""

    def __init__(
        self, folder: Path, life: float = LIFE, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._life = life
        self._clock = clock
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)

    def new(self, task: str) -> tuple[str, Stored]:
        """(handle, map). It is on the disk once it is stored."""
        handle = secrets.token_hex(16)
        return handle, Stored(_hash(handle), task, self._clock() + self._life, {})

    def get(self, handle: str, task: str) -> Stored | None:
        """The map of this task; None where the handle is of another one, wrong, or expired."""
        if not _HANDLE.fullmatch(handle):
            return None
        found = self._read(self._path(_hash(handle)))
        if found is None:
            return None
        same = hmac.compare_digest(found.handle, _hash(handle))
        of_task = hmac.compare_digest(found.task.encode(), task.encode())
        return found if same and of_task and found.until > self._clock() else None

    def store(self, stored: Stored, values: Map) -> None:
        """Raises OSError."""
        path = self._path(stored.handle)
        new = path.with_suffix(".new")
        with suppress(FileNotFoundError):
            new.unlink()
        data = msgspec.json.encode(msgspec.structs.replace(stored, values=values.values))
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)

    def sweep(self) -> int:
        """Delete what has expired, and what a killed process has left; how many files."""
        deleted = 0
        for path in [*self._folder.glob("*.json"), *self._folder.glob("*.new")]:
            found = self._read(path) if path.suffix == ".json" else None
            with suppress(OSError):
                # Files that cannot be read expire by their age.
                until = found.until if found else path.stat().st_mtime + self._life
                if until <= self._clock():
                    path.unlink()
                    deleted += 1
        return deleted

    def _path(self, handle: str) -> Path:
        return self._folder / (handle + ".json")

    def _read(self, path: Path) -> Stored | None:
        try:
            with path.open("rb") as file:
                return msgspec.json.decode(file.read(_MOST), type=Stored)
        except (OSError, msgspec.MsgspecError, ValueError):
            return None


def _hash(handle: str) -> str:
    return hashlib.sha256(handle.encode()).hexdigest()
