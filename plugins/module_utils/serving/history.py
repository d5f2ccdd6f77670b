# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The history of each service: one line for each change, in a file on the head.

A line is a map: `schema`, `at` (the end of the change, in seconds since 1970, by the head's clock),
`service`, `recipe`, `recipe_path` (absolute, on the controller; empty where unknown), `overrides`,
`plan_hash`, `nodes`, `served_model_name`, `owner`, `result`, `seconds` (how long the change took)
and `run` (the id of the run).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import read_regular
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import MAIN, is_service
from ansible_collections.dgxspark.suite.plugins.module_utils.host.safe_folder import SafeFolder
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    checked,
    journal,
    state_files,
)

STOPPED = "stopped"
RESULTS = (
    journal.COMPLETE,
    journal.ROLLED_BACK,
    journal.FAILED,
    journal.INTERRUPTED,
    STOPPED,
)

SERVICES = "services"
NAME = "history.jsonl"
# How many lines of a service are retained.
LIMIT = 100

# Bytes of a file; a line has less than a kilobyte.
_MOST = 4 << 20
_FOLDER_MODE = 0o700

Line = Mapping[str, Any]

# What a line has of the workload that it is about.
_WORKLOAD: checked.Fields = {
    "service": lambda name: isinstance(name, str) and is_service(name),
    "recipe": checked.is_text,
    "recipe_path": checked.is_text,
    "overrides": checked.is_map,
    "plan_hash": checked.is_text,
    "nodes": lambda nodes: isinstance(nodes, list) and all(map(checked.is_name, nodes)),
    "served_model_name": checked.is_text,
}
_LINE: checked.Fields = {
    **_WORKLOAD,
    "at": checked.is_moment,
    "owner": checked.is_text,
    "result": lambda result: result in RESULTS,
    "seconds": checked.is_moment,
    "run": checked.is_text,
}
# Known of a workload of which the journal of an interrupted swap is all that is left.
_UNKNOWN: Line = {
    "service": MAIN,
    "recipe": "",
    "recipe_path": "",
    "overrides": {},
    "plan_hash": "",
    "nodes": [],
    "served_model_name": "",
}


def of_swap(entry: Line, more: Line, now: float) -> dict[str, Any]:
    """The line of a swap that has ended. Raises ValueError.

    entry: of the journal. more: what only the history has of the workload, such as its overrides.
    """
    seconds = sum(phase["seconds"] for phase in entry["phases"])
    owner = entry.get("owner", "")
    return _line({**entry, **more}, owner, entry["result"], seconds, entry["id"], now)


def of_stop(workload: Line, owner: str, since: float, now: float) -> dict[str, Any]:
    """The line of a workload that was stopped. Raises ValueError.

    workload: of the filter workloads. since: when the run took the lock, which is its id.
    """
    return _line(workload, owner, STOPPED, max(now - since, 0.0), str(since), now)


def _line(
    workload: Line, owner: str, result: str, seconds: float, run: str, now: float
) -> dict[str, Any]:
    known = {key: workload.get(key, unknown) for key, unknown in _UNKNOWN.items()}
    line = {
        "schema": 1,
        "at": now,
        **known,
        "owner": owner,
        "result": result,
        "seconds": round(seconds, 1),
        "run": run,
    }
    problem = misfit(line)
    if problem:
        raise ValueError("a line of the history of services: %s" % problem)
    return line


def misfit(line: object) -> str:
    """Why it is not a line of this version, in words; empty if it is one."""
    return checked.misfit(line, _LINE)


def append(folder: str, line: Line) -> None:
    """Add a line to the history of its service, of which the last LIMIT stay.

    The file is replaced in one step, and is on the disk afterwards. folder: of the state files,
    which is locked. Raises OSError and Blocked.
    """
    place = os.path.join(folder, SERVICES, line["service"])
    SafeFolder.make_all(place, _FOLDER_MODE).close()
    state_files.append(place, NAME, dict(line), LIMIT)


def recorded(folder: str, most: int, now: float, service: str = "") -> dict[str, list[Line]]:
    """Service -> the last lines of its history, the newest first, each with its `age` in seconds.

    most: lines of each service. service: empty for all. Raises state_files.Broken.
    """
    services = [service] if service else _services(folder)
    lines = {name: _lines(os.path.join(folder, SERVICES, name, NAME)) for name in services}
    return {
        name: [{**line, "age": max(round(now - line["at"]), 0)} for line in reversed(own[-most:])]
        for name, own in lines.items()
        if own and most > 0
    }


def _services(folder: str) -> list[str]:
    """The services that may have a history. Raises state_files.Broken, as for who is not root."""
    place = os.path.join(folder, SERVICES)
    try:
        return sorted(filter(is_service, os.listdir(place)))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise state_files.Broken("%s cannot be read: %s" % (place, error.strerror)) from error


def _lines(path: str) -> list[Line]:
    """The lines of a file, the oldest first. Raises state_files.Broken."""
    try:
        text, _status = read_regular(path, _MOST)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, Blocked) as error:
        raise state_files.Broken("%s cannot be read: %s" % (path, error)) from error
    return parsed(text)


def parsed(text: bytes) -> list[Line]:
    """The lines of this version in a text, the oldest first.

    Others are left out: one that a crash has torn, or that another version has written.
    """
    lines = []
    for piece in text.split(b"\n"):
        with suppress(ValueError):
            line = foreign.json_of(piece)
            if not misfit(line):
                lines.append(line)
    return lines
