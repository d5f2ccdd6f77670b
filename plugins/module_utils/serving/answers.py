# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether the servers on this node answer the request of their kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    kinds,
    proof,
    readiness,
    units,
)

_KEY = "/health answers; its requests need an API key, which this user may not read"


def answers(
    docker: str, present: Sequence[containers.Container], timeout: float
) -> dict[str, dict[str, Any]]:
    """Name of a container -> what its server answered; timeout in seconds for each server."""
    return dict(_answers(docker, present, timeout))


def answers_of_units(
    installed: Sequence[units.SupervisedUnit], timeout: float
) -> dict[str, dict[str, Any]]:
    """The same for what the units of this node supervise, without Docker and so without API keys.

    A server that wants a key counts as healthy: it was asked for no more than this user may know.
    """
    found = {}
    for unit in installed:
        if unit.rank == 0 and unit.url and unit.state not in ("inactive", "failed"):
            kind = kinds.known(unit.kind)
            given = proof.Given.of(unit.probe)
            answer = readiness.look(unit.url, unit.model, True, timeout, kind=kind, given=given)
            if answer.denied:
                answer = replace(answer, phase=readiness.HEALTHY, detail=_KEY)
            found[unit.container] = asdict(answer)
    return found


def _answers(
    docker: str, present: Sequence[containers.Container], timeout: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    for container in present:
        url, model, rank = (
            container.labels.get(LABEL + key, "") for key in ("url", "served-model-name", "rank")
        )
        # All ranks have the URL in a label; the server is in the container of rank 0.
        if not (container.ours and container.status == "running" and url and rank == "0"):
            continue
        try:
            key = api_key(docker, container.id)
        except containers.EngineError:
            continue
        kind = kinds.of_labels(container.labels)
        given = proof.Given.of(container.labels.get(LABEL + "probe", ""), container.health)
        seen = readiness.look(url, model, True, timeout, key, kind, given)
        yield container.name, asdict(seen)


def api_key(docker: str, container: str, timeout: float = 30) -> str:
    """The API key of the server in a container, given by its id. Raises EngineError."""
    question = ["inspect", "--type", "container", container]
    return containers.api_key(containers.ask(docker, question, timeout))
