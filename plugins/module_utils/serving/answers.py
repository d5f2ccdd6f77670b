# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether the servers on this node answer the request of their kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import kinds, proof, readiness


def answers(
    docker: str, present: Sequence[containers.Container], timeout: float
) -> dict[str, dict[str, Any]]:
    """Name of a container -> what its server answered; timeout in seconds for each server."""
    return dict(_answers(docker, present, timeout))


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
        given = proof.Given(health=container.health)
        seen = readiness.look(url, model, True, timeout, key, kind, given)
        yield container.name, asdict(seen)


def api_key(docker: str, container: str, timeout: float = 30) -> str:
    """The API key of the server in a container, given by its id. Raises EngineError."""
    question = ["inspect", "--type", "container", container]
    return containers.api_key(containers.ask(docker, question, timeout))
