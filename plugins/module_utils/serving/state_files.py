# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The files of the head: the cluster lock, the schedule and the journal of swaps.

They are on a disk, so that they survive a reboot, and are replaced in one step, so that a reader
gets the old or the new text and never a part of it. Only root reads them; what everybody may know
of the lock and the journal is in files of their own, in the folder `public` beside them.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    locked,
    make_directories,
    own_folder,
    replace_file,
    rightful_owner,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import read_text
from ansible_collections.dgxspark.suite.plugins.module_utils.host.safe_folder import (
    FOLDER_MODE,
    SafeFolder,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import checked

FOLDER = "/var/lib/dgxspark"
LOCK = "lock.json"
SWAP = "swap.json"
SCHEDULE = "schedule.json"
HISTORY = "swaps.jsonl"
# Only root reads the token of a lock.
MODE = 0o600
# Everybody reads these; they have no token and no secret.
PUBLIC = "public"
PUBLIC_LOCK = "lock.public.json"
PUBLIC_SWAP = "swap.public.json"
PUBLIC_MODE = 0o644

_REMEDY = "Inspect it, then remove it"


class Broken(Exception):
    """A file that cannot be understood; the text names it and says what to do."""


class Forbidden(Broken):
    """A file that this user may not read."""


@contextmanager
def exclusive(folder: str) -> Iterator[None]:
    """Let nobody else change the files of the folder meanwhile. Raises Blocked, and OSError."""
    make_directories(folder)
    with locked(folder):
        yield


def read(folder: str, name: str) -> dict[str, Any]:
    """The map in a file, empty where there is none. Raises Broken."""
    path = os.path.join(folder, name)
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        content = foreign.json_of(text) if text.strip("\0 \n") else {}
    except FileNotFoundError:
        return {}
    except PermissionError as error:
        raise Forbidden("%s is readable by root only. Run with -b" % path) from error
    except (OSError, ValueError) as error:
        raise Broken("%s cannot be read: %s. %s" % (path, error, _REMEDY)) from error
    if not isinstance(content, dict):
        raise Broken("%s has no JSON object. %s" % (path, _REMEDY))
    return content


def read_checked(
    folder: str, name: str, what: str, fields: checked.Fields, remedy: str = _REMEDY
) -> dict[str, Any]:
    """The map in a file, which has the fields, or is empty where there is none. Raises Broken.

    what: what the file is, for a message.
    """
    content = read(folder, name)
    problem = checked.misfit(content, fields) if content else ""
    if problem:
        path = os.path.join(folder, name)
        raise Broken("%s is not %s of this version: %s. %s" % (path, what, problem, remedy))
    return content


def write(folder: str, name: str, value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=1, sort_keys=True) + "\n"
    replace_file(os.path.join(folder, name), text.encode(), MODE, rightful_owner(os.geteuid()))


def append(folder: str, name: str, value: dict[str, Any], limit: int) -> None:
    """Add one line to a file of JSON lines, of which the last `limit` stay."""
    path = os.path.join(folder, name)
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            lines = [line for line in stream.read().split("\n") if line]
    except FileNotFoundError:
        lines = []
    lines = [*lines, json.dumps(value, sort_keys=True)][-limit:]
    data = "".join(line + "\n" for line in lines).encode()
    replace_file(path, data, MODE, rightful_owner(os.geteuid()))


def remove(folder: str, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, name))


def publish(folder: str, name: str, value: Mapping[str, Any]) -> None:
    """Write what everybody may know, or remove it where value is empty. Never raises.

    name: PUBLIC_LOCK or PUBLIC_SWAP. It is for display only: what cannot be written is removed, so
    that nobody reads an old state, and the lock and the journal work without it.
    """
    public = os.path.join(folder, PUBLIC)
    try:
        if value:
            with own_folder(public) as opened:
                if stat.S_IMODE(opened.status.st_mode) != FOLDER_MODE:
                    opened.set_mode(FOLDER_MODE)
                data = (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
                opened.replace(name, data, PUBLIC_MODE, rightful_owner(os.geteuid()))
            return
    except (OSError, Blocked):
        pass
    with suppress(OSError, Blocked), SafeFolder.open(public) as opened:
        opened.unlink(name)


def published(folder: str, name: str, fields: checked.Fields) -> dict[str, Any]:
    """What everybody may know; empty where it is missing, unreadable or lacks one of the fields."""
    try:
        content = foreign.json_of(read_text(os.path.join(folder, PUBLIC, name)) or "{}")
    except ValueError:
        return {}
    return {} if checked.misfit(content, fields) else {field: content[field] for field in fields}


def clock(seconds: float) -> str:
    """A moment, in seconds since 1970, as people and programs read it: 2026-11-25T02:00:00Z."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
