# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Proves the service of a unit by a request of its kind; a program that the supervisor runs.

A process of its own, so that a server that does not answer keeps no supervisor from its peers. Its
last line of output is JSON: `phase`, `detail`, `seconds` and `kind` as of readiness.Look, or the
phase `busy` of a server that does not answer in time and works off requests of others; and with
until, `loaded`, the seconds after which the server was up, null if it never was.

    python3 prove.py /etc/systemd/system/dgxspark-NAME-0.service SECONDS once|until
"""

# A program and no module.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    proof,
    readiness,
    supervisor,
    traffic,
)

PAUSE = 2.0
QUICK = 0.5  # as long as the server is not up
BUSY = "busy"
_FINAL = (readiness.SERVING, readiness.REJECTED)
_COMING = (readiness.STARTING, readiness.LOADING)


def prove(
    workload: supervisor.Workload, seconds: float, until: bool
) -> tuple[readiness.Look, float | None]:
    """What the server answers, and with until what it answers at last within so many seconds.

    And the seconds until it was up, None where that is not known.
    """
    if not until:
        return _or_busy(workload, seconds), None
    started = time.monotonic()
    first = float(proof.Given.of(workload.probe).first(workload.kind))
    loaded = None
    while True:
        left = started + seconds - time.monotonic()
        # As long as the server is not up, a request could only fail.
        seen = _once(workload, max(min(first, left), 1.0), ask=loaded is not None)
        now = time.monotonic()
        if seen.phase in _FINAL or now > started + seconds:
            return seen, loaded
        if loaded is not None:
            time.sleep(PAUSE)
        elif seen.phase in _COMING:
            time.sleep(QUICK)
        else:
            loaded = now - started


def _or_busy(workload: supervisor.Workload, seconds: float) -> readiness.Look:
    before = readiness.traffic_of(workload.url)
    seen = _once(workload, seconds)
    if seen.phase == readiness.HEALTHY:
        working = traffic.in_flight(before, readiness.traffic_of(workload.url), asking=True)
        if working:
            return replace(seen, phase=BUSY, detail=working)
    return seen


def _once(workload: supervisor.Workload, seconds: float, ask: bool = True) -> readiness.Look:
    question = ["inspect", "--type", "container", workload.container]
    try:
        inspected = containers.ask(workload.docker, question, 30)
        key, health = containers.api_key(inspected), containers.health(inspected)
    except containers.EngineError as error:
        return readiness.Look(readiness.STARTING, str(error))
    given = proof.Given.of(workload.probe, health)
    return readiness.look(workload.url, workload.model, ask, seconds, key, workload.kind, given)


def main(argv: list[str]) -> int:
    unit, seconds, how = argv
    with open(unit, encoding="utf-8") as stream:
        workload = supervisor.read_unit(stream.read())
    seen, loaded = prove(workload, float(seconds), how == "until")
    answer = {"phase": seen.phase, "detail": seen.detail, "seconds": seen.seconds}
    print(json.dumps({**answer, "kind": seen.kind, "loaded": loaded}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
