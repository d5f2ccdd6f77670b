# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The rules of the cluster lock: who may change what the cluster serves. Pure.

A lock is a map: `token` (whoever knows it holds the lock), `owner`, `reason`, `since` and `expires`
(seconds since 1970), `holder` (the process of the controller) and `run`. A launch takes a lock for
itself. A reservation is a lock that outlives its run; a launch with its token works within it, as
its `run`: a map of `id`, `holder`, `since` and `expires`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.state_files import clock

Lock = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """A request to take, renew, release or remove the lock.

    token: of the lock. run: id of a launch within a reservation; empty for the lock itself.
    seconds: how long from now. force: take over somebody else's lock. gone: a token whose holder
    has ended.
    """

    token: str
    owner: str = ""
    reason: str = ""
    seconds: float = 0
    run: str = ""
    holder: Mapping[str, Any] = field(default_factory=dict)
    force: bool = False
    gone: str = ""


@dataclass(frozen=True)
class LockVerdict:
    """lock: to be written, None to remove it. refusal: why nothing is written.

    blocker: the lock, or its run, that blocks the request. taken_from: whose lock was taken over.
    """

    lock: dict[str, Any] | None
    refusal: str = ""
    blocker: Lock = field(default_factory=dict)
    taken_from: str = ""


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
        "expires": now + request.seconds,
        "holder": dict(request.holder),
        "run": None,
    }
    if not current or until(current) <= now:
        return LockVerdict(new)
    if request.force or request.gone == current["token"]:
        return LockVerdict(new, taken_from=describe(current))
    refusal = "The cluster is locked by %s. To take it over: -e force=true" % describe(current)
    return LockVerdict(dict(current), refusal, current)


def _within(lock: dict[str, Any], request: Request, now: float) -> LockVerdict:
    if not request.run:
        lock["expires"] = now + request.seconds
        return LockVerdict(lock)
    run = lock.get("run") or {}
    busy = run and run["id"] != request.run and run["expires"] > now
    if busy and not request.force and request.gone != run["id"]:
        refusal = "A launch has been using this reservation since %s. To take over: -e force=true"
        return LockVerdict(lock, refusal % clock(run["since"]), {**run, "token": run["id"]})
    taken = "a launch within this reservation, since %s" % clock(run["since"]) if busy else ""
    lock["run"] = {
        "id": request.run,
        "holder": dict(request.holder),
        "since": now,
        "expires": now + request.seconds,
    }
    return LockVerdict(lock, taken_from=taken)


def renew(current: Lock, request: Request, now: float) -> LockVerdict:
    """Check that the request still holds the lock, and extend it.

    An expired lock is still held as long as nobody else has taken it.
    """
    if not current or current["token"] != request.token:
        holder = describe(current) if current else "nobody"
        return LockVerdict(
            dict(current) or None, "The lock was lost: it is now held by %s" % holder, current
        )
    lock = dict(current)
    run = lock.get("run")
    if request.run:
        if not run or run["id"] != request.run:
            return LockVerdict(
                lock, "The lock was lost: another launch has taken over the reservation", current
            )
        lock["run"] = {**run, "expires": max(run["expires"], now + request.seconds)}
        return LockVerdict(lock)
    lock["expires"] = max(lock["expires"], now + request.seconds)
    return LockVerdict(lock)


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
    return LockVerdict(dict(current), refusal, current)


def until(lock: Lock) -> float:
    """When the lock is free: a launch within a reservation may outlast it."""
    run = lock.get("run") or {}
    return float(max(lock["expires"], run.get("expires", 0)))


def describe(lock: Lock) -> str:
    """Owner, reason and expiry, in words."""
    why = " (%s)" % lock["reason"] if lock.get("reason") else ""
    return "%s%s until %s" % (lock["owner"], why, clock(until(lock)))


def public(lock: Lock) -> dict[str, Any]:
    """The lock without its token."""
    if not lock:
        return {}
    run = lock.get("run") or {}
    return {
        "owner": lock["owner"],
        "reason": lock["reason"],
        "since": clock(lock["since"]),
        "expires": clock(until(lock)),
        "run_since": clock(run["since"]) if run else None,
    }
