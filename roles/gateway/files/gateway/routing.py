# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the path and the model of a request to the servers that may answer it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway import waits
from gateway.endpoints import FAILED, MODEL_PATHS, READY, SCRUB_PATHS, SWAPPING, Service
from gateway.errors import Refusal

# The service of a request without a model, if several could answer.
MAIN = "main"


@dataclass(frozen=True)
class Live:
    """What an inspection of a server found. models: the names that it serves, in its order."""

    answers: bool = True
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """A server for a request, and the name of the model that it has to be asked for."""

    service: Service
    model: str


class Table:
    """The services, what they serve at present, and other names for it.

    swaps: of services that are being replaced, with the step.
    """

    def __init__(
        self,
        services: Sequence[Service] = (),
        live: Mapping[str, Live] | None = None,
        aliases: Mapping[str, str] | None = None,
        swaps: Mapping[str, str] | None = None,
    ) -> None:
        self.services = tuple(services)
        self.live = live if live is not None else {}
        self.aliases = aliases if aliases is not None else {}
        self.swaps = swaps if swaps is not None else {}

    def models_of(self, service: Service) -> tuple[str, ...]:
        """The names that it serves: those of the file until the server has answered."""
        found = self.live.get(service.name, Live()).models
        return found or ((service.model,) if service.model else ())

    def answers(self, service: Service) -> bool:
        return service.state == READY and self.live.get(service.name, Live()).answers

    def route(self, path: str, wanted: str) -> list[Target]:
        """The servers for this path and model, all of one model. Raises Refusal.

        wanted: a model, a service, an alias or "*KIND"; empty for the default of the path.
        """
        name = self.aliases.get(wanted, wanted)
        on_path = [service for service in self.services if path in service.paths]
        if not on_path:
            raise Refusal(404, "no_service", "no service is configured for %s" % path)
        if not name or name.startswith("*"):
            chosen = self._default(on_path, name[1:])
        else:
            chosen = self._named(on_path, name)
        if not chosen:
            raise self._unknown(on_path, wanted)
        if path in SCRUB_PATHS:
            # Only the server that has made a map can undo it.
            chosen = chosen[:1]
        usable = [service for service in chosen if self.answers(service)]
        if not usable:
            raise _not_ready(chosen, self.swaps)
        return [Target(service, self._asked(service, name)) for service in usable]

    def models(self, created: int) -> list[dict[str, Any]]:
        """The answer of /v1/models: what is served, then the aliases of it."""
        owners: dict[str, str] = {}
        for service in self.services:
            if self.answers(service) and service.paths & MODEL_PATHS:
                for name in self.models_of(service) or (service.name,):
                    owners.setdefault(name, service.node)
        for alias, name in self.aliases.items():
            if self._serves(name):
                owners.setdefault(alias, "alias")
        return [
            {"id": name, "object": "model", "created": created, "owned_by": owner or "dgxspark"}
            for name, owner in owners.items()
        ]

    def _serves(self, name: str) -> bool:
        """Whether a model, a service or "*KIND" is served at present."""
        return any(
            self.answers(service)
            and (
                name in (service.name, *self.models_of(service))
                or (name[:1] == "*" and name[1:] in service.kind)
            )
            for service in self.services
        )

    def _asked(self, service: Service, name: str) -> str:
        models = self.models_of(service)
        if name in models:
            return name
        if models:
            return models[0]
        return "" if name.startswith("*") or name == service.name else name

    def _named(self, on_path: Sequence[Service], name: str) -> list[Service]:
        found = [one for one in on_path if name in self.models_of(one)]
        found = found or [one for one in on_path if one.name == name]
        # A server that does not say what it serves may have it.
        return found or [one for one in on_path if not self.models_of(one)]

    def _default(self, on_path: Sequence[Service], kind: str) -> list[Service]:
        """The service for requests that name no model, with all that serve the same model."""
        if kind:
            known = [one for one in on_path if kind in one.kind]
            on_path = known or [one for one in on_path if not one.kind]
            if not on_path:
                return []
        models = {self.models_of(one)[:1] for one in on_path}
        if len(models) == 1 and (len(on_path) == 1 or models != {()}):
            return list(on_path)
        first = next((one for one in on_path if one.name == MAIN), None)
        if first is None:
            names = ", ".join(sorted(self._names(on_path)))
            raise Refusal(
                400, "model_required", "name a model; served here: %s" % names, param="model"
            )
        model = self.models_of(first)[:1]
        return [
            one for one in on_path if one is first or (model and model == self.models_of(one)[:1])
        ]

    def _names(self, services: Sequence[Service]) -> Iterator[str]:
        for service in services:
            yield from self.models_of(service) or (service.name,)

    def _unknown(self, on_path: Sequence[Service], wanted: str) -> Refusal:
        names = ", ".join(sorted({*self._names([one for one in on_path if self.answers(one)])}))
        message = "the model %r is not served; now served here: %s" % (wanted[:80], names or "none")
        return Refusal(404, "model_not_found", message, param="model")


def _not_ready(chosen: Sequence[Service], swaps: Mapping[str, str]) -> Refusal:
    """Why none of these services is asked."""
    swapping = [one for one in chosen if one.state == SWAPPING or one.name in swaps]
    if swapping:
        one = swapping[0]
        step = swaps.get(one.name) or one.why
        message = "%s is being replaced%s" % (one.name, ": " + step if step else "")
        return Refusal(503, "swapping", message, one.retry_after or waits.NOT_READY)
    if all(service.state == FAILED for service in chosen):
        one = chosen[0]
        message = "%s failed its last test%s" % (one.name, ": " + one.why if one.why else "")
        return Refusal(503, "failed", message, 60)
    name = chosen[0].name
    return Refusal(
        503, "not_ready", "%s does not answer; its model may be loading" % name, waits.NOT_READY
    )
