# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether the services of this node answer, asked without root and all at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import (
    LABEL,
    RETAINED,
    service_of,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import (
    Container,
    EngineError,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    kinds,
    proof,
    readiness,
    supervisor,
    traffic,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.units import SupervisedUnit

UP, BUSY, DOWN, UNKNOWN = "up", "busy", "down", "unknown"
# The phase of a service whose container, or unit, does not run.
STOPPED = "stopped"

# Seconds after which a probe is late: then /metrics is asked as well.
LATE = 1.0

# Id of a container -> the API key of its server. Raises EngineError.
Key = Callable[[str], str]


@dataclass(frozen=True)
class Target:
    """A service to ask.

    given: what the recipe says of its probes, and its container of its health. container: the id;
    empty where Docker was not asked or has none. status: the container's. unit: the unit's state,
    empty without one. activity: what its supervisor reports. watched: it is not of this collection.
    started: of a bot, when its container was started last.
    """

    name: str
    url: str = ""
    model: str = ""
    kind: tuple[str, ...] = ()
    given: proof.Given = proof.NOTHING
    container: str = ""
    status: str = ""
    unit: str = ""
    activity: str = ""
    watched: bool = False
    started: str = ""


@dataclass(frozen=True)
class Health:
    """The state of a service: UP, BUSY, DOWN or UNKNOWN.

    phase: of readiness.Look, or STOPPED, or empty where nothing was asked. deep: the state is that
    of the deep probe. seconds: how long the answer took, None without one.
    """

    state: str
    phase: str = ""
    detail: str = ""
    seconds: float | None = None
    deep: bool = False


def targets(
    installed: Sequence[SupervisedUnit],
    present: Sequence[Container],
    watch: Sequence[Any],
    bots: Sequence[Any] = (),
    asked: bool = True,
) -> list[Target]:
    """The services whose rank 0 is on this node, the bots, and what is watched.

    watch: each {name, url, kind}. bots: each {name, container}. asked: whether Docker has answered.
    What a container's labels say goes before what its unit says.
    """
    found: dict[str, Target] = {}
    for unit in installed:
        if unit.rank == 0:
            found[unit.service] = Target(
                unit.service,
                unit.url,
                unit.model,
                kinds.known(unit.kind),
                proof.Given.of(unit.probe),
                unit=unit.state,
                activity=unit.status_text,
            )
    for container in present:
        labels = container.labels
        if (
            not container.ours
            or container.name.endswith(RETAINED)
            or labels.get(LABEL + "rank") != "0"
        ):
            continue
        name = service_of(labels)
        unit_of = found.get(name, Target(name))
        found[name] = Target(
            name,
            labels.get(LABEL + "url", "") or unit_of.url,
            labels.get(LABEL + "served-model-name", "") or unit_of.model,
            kinds.of_labels(labels) or unit_of.kind,
            proof.Given.of(labels.get(LABEL + "probe", ""), container.health),
            container.id,
            container.status,
            unit_of.unit,
            unit_of.activity,
        )
    watched = [
        Target(
            str(entry["name"]),
            str(entry["url"]).rstrip("/"),
            # Of a server that is only watched, nothing is asked that nobody has named.
            kind=kinds.known(entry.get("kind") or ()) or ("http",),
            watched=True,
        )
        for entry in watch
    ]
    return [
        *(found[name] for name in sorted(found)),
        *(_bot(str(bot["name"]), str(bot["container"]), present, asked) for bot in bots),
        *watched,
    ]


def _bot(name: str, container: str, present: Sequence[Container], asked: bool) -> Target:
    """A bot by its container; its status is `missing` where the node has none of that name."""
    one = next((one for one in present if one.name == container), None)
    if one is None:
        return Target(name, kind=("bot",), status="missing" if asked else "")
    given = proof.Given.of("", one.health)
    return Target(
        name, kind=("bot",), given=given, container=one.id, status=one.status, started=one.started
    )


def ask_all(
    wanted: Sequence[Target], deep: bool, timeout: float, key: Key
) -> list[tuple[Target, Health]]:
    """Ask all of them at once, each for at most timeout seconds and two more."""
    if not wanted:
        return []
    with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        answers = pool.map(lambda target: ask(target, deep, timeout, key), wanted)
        return list(zip(wanted, answers))


def ask(target: Target, deep: bool, timeout: float, key: Key) -> Health:
    """The state of one service."""
    if target.status and target.status != "running":
        return Health(DOWN, STOPPED, "its container is %s" % target.status)
    if not target.given.light_path(target.kind):
        return _without_server(target)
    if not target.url:
        return Health(UNKNOWN, "", "its unit does not have its address; the next launch writes it")
    secret, readable = "", False
    if deep and target.container:
        with suppress(EngineError):
            secret, readable = key(target.container), True
    # Its deep probe writes, and what is watched is never changed.
    deep = deep and not (target.watched and "vector_store" in target.kind)
    sampler = _Sampler(target.url)
    started = time.monotonic()
    answer = readiness.look(
        target.url, target.model, deep, timeout, secret, target.kind, target.given
    )
    seconds = time.monotonic() - started
    first, second = sampler.end(), None
    if answer.phase == readiness.STARTING or (deep and answer.phase == readiness.HEALTHY):
        second = readiness.traffic_of(target.url)
    health = judge(answer, seconds, deep, readable, traffic.in_flight(first, second, deep))
    if health.state == DOWN and target.unit not in ("", "active"):
        return replace(health, detail="%s; its unit is %s" % (health.detail, target.unit))
    return health


def judge(
    answer: readiness.Look, seconds: float, deep: bool, readable: bool, working: str
) -> Health:
    """The state that a probe of so many seconds shows. Pure.

    readable: the API key was to be had, if the server has one. working: of traffic.in_flight.
    """
    phase, detail, taken = answer.phase, answer.detail, round(seconds, 3)
    if phase == readiness.SERVING:
        return Health(UP, phase, detail, answer.seconds, True)
    if answer.denied and not readable:
        missing = "it is up; the deep probe needs an API key that this user cannot read"
        return Health(UP, readiness.HEALTHY, missing, taken)
    if phase == readiness.HEALTHY and not deep:
        if working and seconds >= LATE:
            return Health(BUSY, phase, "%s late; %s" % (detail, working), taken)
        return Health(UP, phase, detail, taken)
    if phase in (readiness.STARTING, readiness.HEALTHY) and working:
        return Health(BUSY, phase, "%s; %s" % (detail, working), None, deep)
    return Health(DOWN, phase, detail, None, deep and phase != readiness.STARTING)


def _without_server(target: Target) -> Health:
    """Of a service that answers no requests: what its container says, or its supervisor."""
    if target.status:
        # Sends no request.
        answer = readiness.look("", "", True, 1, "", target.kind[:1], target.given)
        passed = answer.phase == readiness.SERVING or target.given.health == "starting"
        since = ", started %s" % target.started if target.started else ""
        return Health(UP if passed else DOWN, answer.phase, answer.detail + since, deep=True)
    if target.unit == "active" and target.activity.startswith(supervisor.MET):
        return Health(UP, readiness.HEALTHY, "its supervisor %s" % target.activity)
    if target.unit in ("failed", "inactive"):
        return Health(DOWN, STOPPED, "its unit is %s" % target.unit)
    return Health(UNKNOWN, "", "only Docker has its state")


class _Sampler:
    """Reads the traffic of a server once, if its probe is late."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._sample: traffic.Traffic | None = None
        self._timer = threading.Timer(LATE, self._read)
        self._timer.daemon = True
        self._timer.start()

    def _read(self) -> None:
        self._sample = readiness.traffic_of(self._url)

    def end(self) -> traffic.Traffic | None:
        self._timer.cancel()
        self._timer.join(readiness.METRICS_SECONDS)
        return self._sample
