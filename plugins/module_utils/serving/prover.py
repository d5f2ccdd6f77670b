# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Proves the service of a unit by a request of its kind; a program that the supervisor runs.

A process of its own, so that a server that does not answer keeps no supervisor from its peers. Its
last line of output is JSON: `phase`, `detail` and `seconds` as of readiness.Look, or the phase
`busy` of a server that does not answer in time and works off requests of others.

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

# A first completion may compile kernels.
ONE = 180.0
PAUSE = 2.0
BUSY = "busy"
_FINAL = (readiness.SERVING, readiness.REJECTED)


def prove(workload: supervisor.Workload, seconds: float, until: bool) -> readiness.Look:
    """What the server answers; with until, what it answers at last within so many seconds."""
    if not until:
        return _or_busy(workload, seconds)
    deadline = time.monotonic() + seconds
    while True:
        seen = _once(workload, max(min(ONE, deadline - time.monotonic()), 1.0))
        if seen.phase in _FINAL or time.monotonic() > deadline:
            return seen
        time.sleep(PAUSE)


def _or_busy(workload: supervisor.Workload, seconds: float) -> readiness.Look:
    before = readiness.traffic_of(workload.url)
    seen = _once(workload, seconds)
    if seen.phase == readiness.HEALTHY:
        working = traffic.in_flight(before, readiness.traffic_of(workload.url), asking=True)
        if working:
            return replace(seen, phase=BUSY, detail=working)
    return seen


def _once(workload: supervisor.Workload, seconds: float) -> readiness.Look:
    question = ["inspect", "--type", "container", workload.container]
    try:
        inspected = containers.ask(workload.docker, question, 30)
        key, health = containers.api_key(inspected), containers.health(inspected)
    except containers.EngineError as error:
        return readiness.Look(readiness.STARTING, str(error))
    given = proof.Given(health=health)
    return readiness.look(workload.url, workload.model, True, seconds, key, workload.kind, given)


def main(argv: list[str]) -> int:
    unit, seconds, how = argv
    with open(unit, encoding="utf-8") as stream:
        workload = supervisor.read_unit(stream.read())
    seen = prove(workload, float(seconds), how == "until")
    print(json.dumps({"phase": seen.phase, "detail": seen.detail, "seconds": seen.seconds}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
