# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bodies of requests. A field that is not listed is an error."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

# Bytes of a body: the largest is a map of overrides.
LIMIT = 64 << 10

SERVICE = r"^[a-z0-9][a-z0-9-]{0,30}$"
Service = Annotated[str, StringConstraints(pattern=SERVICE)]
# Text for people: no control characters.
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=300)]
Name = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=300)]
Node = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$")]
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]*$", max_length=128)]
Repository = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"),
]
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,99}$")]
Value = Annotated[str, StringConstraints(max_length=4000)] | bool | int | float | None
Action = Literal["start", "stop", "restart", "update", "reapply"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Nothing(_Body):
    """A request that says nothing beside its path."""


class Change(_Body):
    """What is common to all that changes a service.

    confirm: the `confirm` of the service as the client knows it, empty for one that does not run.
    owner: for the lock and the history; empty for the user of control. token: of a reservation.
    """

    confirm: Line
    owner: Line = ""
    token: Token = ""
    force: bool = False


class Plan(_Body):
    """What is launched. recipe: of the listing. back: what was proven before, in its place."""

    recipe: Line = ""
    back: bool = False
    service: Service = "main"
    nodes: Annotated[list[Node], Field(max_length=64)] = []
    overrides: Annotated[dict[Key, Value], Field(max_length=64)] = {}

    @model_validator(mode="after")
    def _one_of_two(self) -> Plan:
        if bool(self.recipe) == self.back:
            raise ValueError("expected either recipe or back")
        if self.back and (self.nodes or self.overrides):
            raise ValueError("back takes its nodes and overrides from the history")
        return self


class Swap(Plan, Change):
    """A launch."""


class Stop(Change):
    """A stop of one service."""

    service: Service = "main"


class Again(Change):
    """An action on a service."""


class Logs(_Body):
    """Which lines of the logs of a service."""

    lines: Annotated[int, Field(ge=1, le=2000)] = 100


class Lock(_Body):
    """A reservation. token: of one that is extended."""

    owner: Name
    reason: Line = ""
    seconds: Annotated[int, Field(ge=1, le=604_800)] = 3600
    token: Token = ""
    force: bool = False


class Announcement(_Body):
    """A use of the cluster that is announced. begin: as 2026-12-01T14:00, in UTC."""

    owner: Name
    begin: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}Z)?Z?$")]
    hours: Annotated[float, Field(gt=0, le=8760)] = 1.0
    reason: Line = ""


class Model(_Body):
    """A model of the menu."""

    model: Name


class Setup(Model):
    """A recipe for a model. confirm: its name, to write the recipe; empty to propose it."""

    confirm: Line = ""
    image: Annotated[
        str, StringConstraints(pattern=r"^([a-z0-9][A-Za-z0-9._:/@-]*)?$", max_length=300)
    ] = ""
    quant: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]*$", max_length=64)] = ""


class Download(_Body):
    """A download from the Hugging Face Hub."""

    model: Repository
    revision: Annotated[
        str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9._/-]*)?$", max_length=128)
    ] = ""
    quant: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]*$", max_length=64)] = ""


class Delete(Model):
    """A removal from the disks. confirm: the name, typed once more."""

    confirm: Line


class Health(_Body):
    """deep: a request of its kind to each server."""

    deep: bool = False


class HealthEvent(_Body):
    """What an application reports of a service. ms: how long the answer took."""

    service: Service
    ok: bool
    source: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    error: Line = ""
    ms: Annotated[int, Field(ge=0, le=86_400_000)] | None = None


class Login(_Body):
    """The token of the control application."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=256)]
