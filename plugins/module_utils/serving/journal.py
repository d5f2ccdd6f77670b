# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The journal entry of a swap, phase by phase.

An entry is a map: `schema`, `id`, `recipe`, `service`, `plan_hash`, `nodes`, `owner`, `previous`
(recipe and plan_hash of what was served before, empty for nothing), `started`, `phase`,
`phase_since` (seconds since 1970), `phases` (maps of `phase` and `seconds`), `result`, `why` and
`announced` (whether a controller has sent it to the webhooks; earlier versions did not write it).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import checked, state_files

# How a swap can end. A swap without a result was interrupted if another one begins.
COMPLETE, FAILED, ROLLED_BACK, INTERRUPTED = "complete", "failed", "rolled_back", "interrupted"

Entry = Mapping[str, Any]

_PHASE: checked.Fields = {"phase": checked.is_text, "seconds": checked.is_number}
_ENTRY: checked.Fields = {
    "id": checked.is_name,
    "phase": checked.is_text,
    "phase_since": checked.is_moment,
    "phases": lambda phases: (
        isinstance(phases, list) and not any(checked.misfit(phase, _PHASE) for phase in phases)
    ),
    "result": lambda result: result is None or checked.is_text(result),
}

# Of the public part.
_WORDS = ("recipe", "service", "phase", "owner")
_PUBLIC: checked.Fields = {
    **dict.fromkeys((*_WORDS, "since"), checked.is_text),
    "result": lambda result: result is None or checked.is_text(result),
}


def stored(folder: str) -> dict[str, Any]:
    """The entry of the last swap, empty where there is none. Raises state_files.Broken."""
    return state_files.read_checked(folder, state_files.SWAP, "a journal", _ENTRY)


def store(folder: str, entry: Entry) -> None:
    """Write the entry, with its public part. Raises OSError and Blocked."""
    state_files.write(folder, state_files.SWAP, dict(entry))
    state_files.publish(folder, state_files.PUBLIC_SWAP, public(entry))


def known(folder: str) -> dict[str, Any]:
    """The entry of the last swap, or its public part for a user other than root. Raises Broken."""
    try:
        entry = state_files.read(folder, state_files.SWAP)
        return {**entry, "since": public(entry)["since"]} if entry else {}
    except state_files.Forbidden:
        return state_files.published(folder, state_files.PUBLIC_SWAP, _PUBLIC)


def public(entry: Entry) -> dict[str, Any]:
    """What everybody may know of an entry. Errors and what was served before are not part of it."""
    started: Any = entry.get("started")
    result = entry.get("result")
    return {
        **{key: foreign.line(str(entry.get(key, ""))) for key in _WORDS},
        "since": state_files.clock(started) if checked.is_moment(started) else "",
        "result": None if result is None else foreign.line(str(result)),
    }


def summary(entry: Entry) -> str:
    """The phases with their durations, in one line."""
    parts = ["%s %.1f s" % (done["phase"], done["seconds"]) for done in entry["phases"]]
    total = sum(done["seconds"] for done in entry["phases"])
    return "%s; together %.1f s" % (", ".join(parts), total)
