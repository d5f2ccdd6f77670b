# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The rules of the cluster lock: who may change what the cluster serves.

A lock is a map: `token` (whoever knows it holds the lock), `owner`, `reason`, `since` and `expires`
(seconds since 1970), `holder` (the process of the controller), `bound` (whether the lock ends with
that process; earlier versions did not write it) and `run`. A launch takes a lock for itself. A
reservation is a lock that outlives its run; a launch with its token works within it, as its `run`:
a map of `id`, `holder`, `since` and `expires`. The id of a run is as secret as a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.foreign import shown
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import checked, state_files
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.state_files import clock

Lock = Mapping[str, Any]

_RUN: checked.Fields = {
    "id": checked.is_name,
    "holder": checked.is_map,
    "since": checked.is_moment,
    "expires": checked.is_moment,
}
_LOCK: checked.Fields = {
    "token": checked.is_name,
    "owner": checked.is_text,
    "reason": checked.is_text,
    "since": checked.is_moment,
    "expires": checked.is_moment,
    "holder": checked.is_map,
    "run": lambda run: run is None or not checked.misfit(run, _RUN),
}

_PUBLIC: checked.Fields = {
    "owner": checked.is_text,
    "reason": checked.is_text,
    "since": checked.is_text,
    "expires": checked.is_text,
    "run_since": lambda since: since is None or checked.is_text(since),
}


@dataclass(frozen=True)
class Request:
    """A request to take, release or remove the lock.

    token: of the lock. run: id of a launch within a reservation; empty for the lock itself.
    seconds: how long from now. holder: the process that asks; bound: whether the lock ends with it.
    force: take over somebody else's lock. gone: a holder that has ended.
    """

    token: str
    owner: str = ""
    reason: str = ""
    seconds: float = 0
    run: str = ""
    holder: Mapping[str, Any] = field(default_factory=dict)
    bound: bool = False
    force: bool = False
    gone: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LockVerdict:
    """lock: to be written, None to remove it. refusal: why nothing is written.

    blocker: the holder of the lock, or of its run, that blocks the request; empty where it is
    unknown. by_run: whether a launch, stop or update blocks it, which releases the lock at its end.
    taken_from: whose lock was taken over.
    """

    lock: dict[str, Any] | None
    refusal: str = ""
    blocker: Mapping[str, Any] = field(default_factory=dict)
    taken_from: str = ""
    by_run: bool = False


def stored(folder: str) -> dict[str, Any]:
    """The lock in the folder, empty where there is none. Raises state_files.Broken."""
    remedy = "If nobody uses the cluster, remove the file"
    return state_files.read_checked(folder, state_files.LOCK, "a lock", _LOCK, remedy)


def store(folder: str, lock: Lock | None) -> None:
    """Write the lock, or remove it, with its public part. Raises OSError and Blocked.

    The caller has the folder for itself, by state_files.exclusive.
    """
    if lock is None:
        state_files.remove(folder, state_files.LOCK)
    else:
        state_files.write(folder, state_files.LOCK, dict(lock))
    state_files.publish(folder, state_files.PUBLIC_LOCK, public(lock or {}))


def known(folder: str) -> dict[str, Any]:
    """The public part of the lock in the folder, for root and for others. Raises Broken."""
    try:
        return public(stored(folder))
    except state_files.Forbidden:
        return state_files.published(folder, state_files.PUBLIC_LOCK, _PUBLIC)


def acquire(current: Lock, request: Request, now: float) -> LockVerdict:
    """Take the lock, or work within a reservation.

    A launch whose reservation has ended takes the lock for itself, under its own id.
    """
    if current and current["token"] == request.token:
        return _within(dict(current), request, now)
    new: dict[str, Any] = {
        "schema": 1,
        "token": request.run or request.token,
        "owner": request.owner,
        "reason": request.reason,
        "since": now,
        "expires": _end(now, request),
        "holder": dict(request.holder),
        "bound": request.bound,
        "run": None,
    }
    if not current:
        return LockVerdict(new)
    if until(current) <= now:
        return LockVerdict(new, taken_from="%s, which has expired" % describe(current))
    if request.force or _has_ended(current, request):
        return LockVerdict(new, taken_from=describe(current))
    # A launch may outlast the reservation in which it began.
    by_run = current["expires"] <= now or bool(current.get("bound", current["holder"]))
    refusal = "The cluster is locked by %s. To take it over: -e force=true" % describe(current)
    return LockVerdict(dict(current), refusal, current["holder"], by_run=by_run)


def _end(now: float, request: Request) -> float:
    return min(max(now + request.seconds, 0.0), checked.LAST)


def _has_ended(held: Lock, request: Request) -> bool:
    """Whether the holder of the lock, or of its run, is the one that the request knows to be gone.

    An empty holder is unknown, and never gone.
    """
    return bool(request.gone) and held["holder"] == request.gone


def _within(lock: dict[str, Any], request: Request, now: float) -> LockVerdict:
    if not request.run:
        lock["expires"] = _end(now, request)
        return LockVerdict(lock)
    run = lock.get("run") or {}
    other = run and run["id"] != request.run
    busy = other and run["expires"] > now
    if busy and not request.force and not _has_ended(run, request):
        refusal = "A launch has been using this reservation since %s. To take over: -e force=true"
        return LockVerdict(lock, refusal % clock(run["since"]), run["holder"], by_run=True)
    taken = "a launch within this reservation, since %s" % clock(run["since"]) if other else ""
    lock["run"] = {
        "id": request.run,
        "holder": dict(request.holder),
        "since": now,
        "expires": _end(now, request),
    }
    return LockVerdict(lock, taken_from=taken)


def release(current: Lock, request: Request) -> LockVerdict:
    """Release the lock or, with a run, only end that run within a reservation."""
    if not current:
        return LockVerdict(None)
    if current["token"] == request.token:
        lock = dict(current)
        if not request.run:
            return LockVerdict(None)
        if (lock.get("run") or {}).get("id") == request.run:
            lock["run"] = None
        return LockVerdict(lock)
    # Somebody else has taken it over; it stays.
    return LockVerdict(dict(current))


def remove(current: Lock, request: Request) -> LockVerdict:
    """Remove somebody else's lock."""
    if request.force:
        return LockVerdict(None, taken_from=describe(current))
    refusal = "The cluster is locked by %s. To remove the lock: -e force=true" % describe(current)
    return LockVerdict(dict(current), refusal)


def until(lock: Lock) -> float:
    """When the lock is free: a launch within a reservation may outlast it."""
    run = lock.get("run") or {}
    return float(max(lock["expires"], run.get("expires", 0)))


def describe(lock: Lock) -> str:
    """Owner, reason and expiry, in words."""
    why = " (%s)" % lock["reason"] if lock["reason"] else ""
    return "%s until %s" % (shown(lock["owner"] + why), clock(until(lock)))


def public(lock: Lock) -> dict[str, Any]:
    """The lock without its token."""
    if not lock:
        return {}
    run = lock.get("run") or {}
    return {
        "owner": shown(lock["owner"]),
        "reason": shown(lock["reason"]),
        "since": clock(lock["since"]),
        "expires": clock(until(lock)),
        "run_since": clock(run["since"]) if run else None,
    }
