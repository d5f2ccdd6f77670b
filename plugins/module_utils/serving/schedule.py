# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The schedule of announced uses of the cluster.

It blocks nobody; the cluster lock does. An entry is a map: `id`, `owner`, `reason`, `begin` and
`end` (seconds since 1970).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.foreign import shown
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import checked, state_files
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.state_files import clock

Entry = Mapping[str, Any]

_ENTRY: checked.Fields = {
    "id": checked.is_name,
    "owner": checked.is_text,
    "reason": checked.is_text,
    "begin": checked.is_moment,
    "end": checked.is_moment,
}


class ScheduleRefused(Exception):
    """The request is refused; the text says why."""


def entries(stored: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    """The entries of the file that have not ended, by time. Raises state_files.Broken."""
    listed = stored.get("entries") or []
    problem = "" if isinstance(listed, list) else "'entries' is not a list"
    for entry in listed if not problem else ():
        problem = problem or checked.misfit(entry, _ENTRY)
    if problem:
        raise state_files.Broken(
            "%s is not a schedule of this version: %s. Inspect it, then remove it"
            % (state_files.SCHEDULE, problem)
        )
    current = [dict(entry) for entry in listed if entry["end"] > now]
    return sorted(current, key=_order)


def announce(listed: Sequence[Entry], entry: Entry, now: float) -> list[dict[str, Any]]:
    """The entries and a new one; an equal one changes nothing. Raises ScheduleRefused."""
    if not (checked.is_moment(entry["begin"]) and checked.is_moment(entry["end"])):
        raise ScheduleRefused("the begin and the end must be between 1970 and 9999")
    if entry["end"] <= now:
        raise ScheduleRefused("the end %s is in the past" % clock(entry["end"]))
    if not entry["owner"]:
        raise ScheduleRefused("an owner is required")
    others = []
    for other in listed:
        if all(other[key] == entry[key] for key in ("owner", "reason", "begin", "end")):
            return [dict(known) for known in listed]
        if other["begin"] < entry["end"] and entry["begin"] < other["end"]:
            others.append(describe(other))
    if others:
        raise ScheduleRefused("announced already: %s. Choose another time" % "; ".join(others))
    return sorted([*map(dict, listed), dict(entry)], key=_order)


def cancel(listed: Sequence[Entry], wanted: str, owner: str, force: bool) -> list[dict[str, Any]]:
    """The entries without the wanted id, if there is one. Raises Refused."""
    for entry in listed:
        if entry["id"] == wanted and entry["owner"] != owner and not force:
            raise ScheduleRefused(
                "%s was announced by %s, not by %s. To cancel it anyway: -e force=true"
                % (wanted, entry["owner"], owner or "nobody")
            )
    return [dict(entry) for entry in listed if entry["id"] != wanted]


def between(listed: Sequence[Entry], owner: str, begin: float, end: float) -> list[str]:
    """What others have announced between two moments, each in words."""
    return [
        describe(entry)
        for entry in listed
        if entry["owner"] != owner and entry["begin"] < end and begin < entry["end"]
    ]


def _order(entry: Entry) -> tuple[float, str]:
    return entry["begin"], entry["id"]


def describe(entry: Entry) -> str:
    why = " (%s)" % entry["reason"] if entry["reason"] else ""
    return "%s from %s to %s" % (
        shown(entry["owner"] + why),
        clock(entry["begin"]),
        clock(entry["end"]),
    )


def public(entry: Entry) -> dict[str, Any]:
    """An entry with readable times."""
    return {**entry, "begin": clock(entry["begin"]), "end": clock(entry["end"])}


def moment(text: str) -> float:
    """Seconds since 1970 of 2026-12-01T14:00, in UTC unless it has an offset. Raises Refused."""
    try:
        # Python 3.9 and 3.10 reject Z.
        parsed = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError as error:
        raise ScheduleRefused(
            "%r is not a time, expected one like 2026-12-01T14:00" % text
        ) from error
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).timestamp()
