# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""A node's part of a swap, on its disk; and what everybody may know of it.

    /var/lib/dgxspark/services/SERVICE/swap/swap.json   what the swap is, written once
                                            state/WORD  its name is the state
                                            tries/N     attempts of the new plan, at the decider
                                            wish/WORD   of a controller: none, go, abort, and
                                                        alone, alone-new to a participant
                                            decided/WORD  as what it ended: none, old, new
                                            without/    nodes that are not waited for, by a person
                                            probe       a unit's text by which the server is asked
                                            ballast     deleted once it is decided
                                      ended/ID/         the last swaps, as they ended
    /run/dgxspark/swaps/SERVICE.json                    the progress, readable by all

States, attempts and wishes change by a rename, which needs no new block on a full disk, and which
is on the disk before it counts. Programs on nodes carry a copy of this module.
"""

from __future__ import annotations

import json
import os
import shutil
import typing as t
from contextlib import suppress

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign, labels
from ansible_collections.dgxspark.suite.plugins.module_utils.host.safe_folder import SafeFolder
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    checked,
    history,
    state_files,
    supervisor,
    swap_rules,
)

FOLDER = state_files.FOLDER
PROGRESS = "/run/dgxspark/swaps"
SCHEMA = 1

# What a follower knows of a swap that has not ended, or that its guard does not know.
OPEN, UNKNOWN = "open", "unknown"
# The step during which the server of the new plan is worth a look.
PROVES = "waits until the new plan answers"

NO_WISH = "none"
WISHES = (
    NO_WISH,
    swap_rules.WISH_GO,
    swap_rules.WISH_ABORT,
    swap_rules.WISH_ALONE,
    swap_rules.WISH_ALONE_NEW,
)
NOT_DECIDED = "none"
DECISIONS = (NOT_DECIDED, swap_rules.OLD, swap_rules.NEW)
STATES = (
    swap_rules.ARMED,
    swap_rules.JOINED,
    swap_rules.GO,
    swap_rules.NEW,
    swap_rules.OLD,
    swap_rules.ENDED,
)
# How many ended swaps of a service stay.
ENDED_SWAPS = 5

_BALLAST = 1 << 20
_MOST = 4 << 20  # bytes of swap.json, at most
_PROGRESS_MOST = 1 << 16


def _is_rank(rank: object) -> bool:
    return not checked.misfit(rank, _RANK)


def _is_leftover(leftover: object) -> bool:
    return not checked.misfit(leftover, _LEFTOVER)


def _is_plan(plan: object) -> bool:
    return plan == {} or not checked.misfit(plan, _PLAN)


_LEFTOVER: checked.Fields = {
    "name": checked.is_name,
    "id": checked.is_text,
    "unit": lambda value: isinstance(value, bool),
}
_RANK: checked.Fields = {
    "node": checked.is_name,
    "rank": checked.is_number,
    "id": checked.is_text,
    "name": checked.is_name,
    "supervised": lambda value: isinstance(value, bool),
}
_PLAN: checked.Fields = {
    "recipe": checked.is_text,
    "plan_hash": checked.is_text,
    "ranks": lambda ranks: isinstance(ranks, list) and all(map(_is_rank, ranks)),
}
_SWAP: checked.Fields = {
    "schema": lambda value: value == SCHEMA,
    "id": checked.is_name,
    "service": lambda name: isinstance(name, str) and labels.is_service(name),
    "decider": checked.is_name,
    "me": checked.is_name,
    "port": checked.is_number,
    "secret": checked.is_name,
    "owner": checked.is_text,
    "members": checked.is_map,
    "old": _is_plan,
    "new": lambda plan: plan != {} and _is_plan(plan),
    "remove": lambda leftovers: isinstance(leftovers, list) and all(map(_is_leftover, leftovers)),
    "limits": checked.is_map,
    "entry": checked.is_map,
    "workload": checked.is_map,
    "lock": checked.is_map,
    "docker": checked.is_name,
}


class Unreadable(Exception):
    """The files of a swap cannot be understood; the text says which and why."""


class Part(t.NamedTuple):
    """The part of this node in a swap.

    swap: the content of swap.json. tries: attempts so far. without: nodes not to be waited for.
    decided: the decision, as far as this node knows it: OLD, NEW, or NOT_DECIDED.
    """

    swap: t.Mapping[str, t.Any]
    state: str
    tries: int
    wish: str
    without: frozenset[str] = frozenset()
    decided: str = NOT_DECIDED

    @property
    def id(self) -> str:
        return str(self.swap["id"])


def place_of(service: str, folder: str = FOLDER) -> str:
    """The folder of the swap of a service."""
    return os.path.join(folder, history.SERVICES, service, "swap")


def read(service: str, folder: str = FOLDER) -> Part | None:
    """The part of this node, None where there is none. Raises Unreadable, and OSError."""
    place = place_of(service, folder)
    path = os.path.join(place, "swap.json")
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read(_MOST + 1)
        content = foreign.json_of(text, _MOST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise Unreadable("%s: %s" % (path, error)) from error
    problem = checked.misfit(content, _SWAP)
    if problem:
        raise Unreadable("%s is not of this version: %s" % (path, problem))
    state = _word(place, "state", STATES)
    return Part(
        content,
        state,
        int(_word(place, "tries", tuple(map(str, range(swap_rules.TRIES + 1))))),
        _word(place, "wish", WISHES),
        frozenset(os.listdir(os.path.join(place, "without"))) & set(content["members"]),
        state if state in DECISIONS else _word(place, "decided", DECISIONS),
    )


def _word(place: str, name: str, words: t.Sequence[str]) -> str:
    """The name of the one file of a folder. Raises Unreadable, and OSError."""
    path = os.path.join(place, name)
    found = [entry for entry in os.listdir(path) if entry in words]
    if len(found) != 1:
        raise Unreadable("%s has %s" % (path, " and ".join(sorted(found)) or "no state"))
    return found[0]


def arm(swap: t.Mapping[str, t.Any], probe: str, folder: str = FOLDER) -> Part:
    """Make this node part of a swap. probe: the unit's text by which its server is asked.

    A swap that has ended is put away. Raises FileExistsError where one has not, OSError, Blocked,
    and ValueError for what no guard could read.
    """
    problem = checked.misfit(dict(swap), _SWAP)
    if problem:
        raise ValueError("this is no swap: %s" % problem)
    service = str(swap["service"])
    place = place_of(service, folder)
    before = read(service, folder)
    if before and before.state != swap_rules.ENDED:
        raise FileExistsError("the swap %s of this service has not ended" % before.id)
    if before:
        end(service, folder)
    draft = place + ".new"
    shutil.rmtree(draft, ignore_errors=True)
    SafeFolder.make_all(os.path.dirname(draft), 0o700).close()
    os.mkdir(draft, 0o700)
    _write(os.path.join(draft, "swap.json"), json.dumps(dict(swap), sort_keys=True).encode())
    _write(os.path.join(draft, "probe"), probe.encode())
    _write(os.path.join(draft, "ballast"), b"\0" * _BALLAST)
    os.mkdir(os.path.join(draft, "without"), 0o700)
    words = {"state": swap_rules.ARMED, "tries": "0", "wish": NO_WISH, "decided": NOT_DECIDED}
    for name, word in words.items():
        os.mkdir(os.path.join(draft, name), 0o700)
        _write(os.path.join(draft, name, word), b"")
        _sync(os.path.join(draft, name))
    _sync(draft)
    os.rename(draft, place)
    _sync(os.path.dirname(place))
    return Part(swap, swap_rules.ARMED, 0, NO_WISH)


def become(part: Part, state: str, folder: str = FOLDER) -> Part:
    """Take a state; it is on the disk afterwards. Raises OSError."""
    place = place_of(str(part.swap["service"]), folder)
    if state == swap_rules.ENDED and _word(place, "decided", DECISIONS) != part.decided:
        _rename(os.path.join(place, "decided"), NOT_DECIDED, part.decided)
    _rename(os.path.join(place, "state"), part.state, state)
    if state in (swap_rules.NEW, swap_rules.OLD):
        part = part._replace(decided=state)
        # Room for the history, where the disk is full.
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(place, "ballast"))
    return part._replace(state=state)


def count_try(part: Part, folder: str = FOLDER) -> Part:
    """Count an attempt before it begins. Raises OSError."""
    place = os.path.join(place_of(str(part.swap["service"]), folder), "tries")
    _rename(place, str(part.tries), str(part.tries + 1))
    return part._replace(tries=part.tries + 1)


def wish(part: Part, word: str, folder: str = FOLDER) -> Part:
    """What a controller wishes of the decider. Raises OSError."""
    place = os.path.join(place_of(str(part.swap["service"]), folder), "wish")
    if word != part.wish:
        _rename(place, part.wish, word)
    return part._replace(wish=word)


def leave_out(part: Part, nodes: t.Iterable[str], folder: str = FOLDER) -> None:
    """Wait for these nodes no longer, by the word of a person. Raises OSError."""
    place = os.path.join(place_of(str(part.swap["service"]), folder), "without")
    for node in set(nodes) & set(part.swap["members"]):
        _write(os.path.join(place, os.path.basename(node)), b"")
    _sync(place)


def end(service: str, folder: str = FOLDER) -> None:
    """Put the swap of a service away; the last ones stay. Raises OSError."""
    place = place_of(service, folder)
    part = read(service, folder)
    if part is None:
        return
    ended = os.path.join(os.path.dirname(place), "ended")
    os.makedirs(ended, mode=0o700, exist_ok=True)
    goal = os.path.join(ended, os.path.basename(part.id))
    shutil.rmtree(goal, ignore_errors=True)
    os.rename(place, goal)
    _sync(ended)
    _sync(os.path.dirname(place))
    old = sorted(os.listdir(ended), key=lambda name: os.stat(os.path.join(ended, name)).st_mtime)
    for name in old[:-ENDED_SWAPS]:
        shutil.rmtree(os.path.join(ended, name), ignore_errors=True)


def services(folder: str = FOLDER) -> list[str]:
    """The services that have a swap on this node, for root alone; none for others."""
    place = os.path.join(folder, history.SERVICES)
    try:
        names = os.listdir(place)
    except OSError:
        return []
    return [name for name in sorted(names) if os.path.isdir(os.path.join(place, name, "swap"))]


def described(part: Part) -> dict[str, t.Any]:
    """What everybody may know of a swap of which no guard has published anything."""
    return {
        "id": part.id,
        "owner": part.swap["owner"],
        "recipe": part.swap["new"]["recipe"],
        "decider": part.swap["decider"],
        "state": part.state,
        "step": "",
        "attempt": part.tries,
        "since": part.swap["entry"].get("started", ""),
    }


def kept_log(service: str, swap: str, folder: str = FOLDER) -> str:
    """The log of the new rank of a swap that this node has dropped; empty for none."""
    place = place_of(service, folder)
    for home in (os.path.join(os.path.dirname(place), "ended", os.path.basename(swap)), place):
        try:
            names = sorted(name for name in os.listdir(home) if name.startswith("log-"))
            with open(os.path.join(home, names[0]), encoding="utf-8", errors="replace") as stream:
                return stream.read(_MOST)
        except (OSError, IndexError):
            continue
    return ""


def keep(service: str, name: str, data: bytes, folder: str = FOLDER) -> None:
    """Put a file, such as the log of a rank, beside the swap. Never raises."""
    with suppress(OSError):
        _write(os.path.join(place_of(service, folder), name), data)


# The progress, for people.


def publish(progress: t.Mapping[str, t.Any], folder: str = PROGRESS) -> None:
    """Let everybody read how far a swap is. Never raises: nothing depends on it."""
    path = os.path.join(folder, "%s.json" % progress["service"])
    with suppress(OSError):
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o755)
        supervisor.write_state(path, progress)


def published(folder: str = PROGRESS) -> dict[str, dict[str, t.Any]]:
    """Service -> the progress of its last swap since the boot; what cannot be read is left out."""
    found = {}
    with suppress(OSError):
        for name in sorted(os.listdir(folder)):
            service, dot, kind = name.rpartition(".")
            if not (dot and kind == "json" and labels.is_service(service)):
                continue
            with suppress(OSError, ValueError):
                with open(os.path.join(folder, name), encoding="utf-8") as stream:
                    content = foreign.json_of(stream.read(_PROGRESS_MOST + 1), _PROGRESS_MOST)
                if isinstance(content, dict) and content.get("service") == service:
                    found[service] = content
    return found


def _write(path: str, data: bytes) -> None:
    """A file that is on the disk afterwards."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _rename(place: str, before: str, after: str) -> None:
    os.rename(os.path.join(place, before), os.path.join(place, after))
    _sync(place)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
