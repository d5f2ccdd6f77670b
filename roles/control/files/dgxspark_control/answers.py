# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bodies of answers, as /openapi.json has them.

Moments are such as 2026-11-25T02:00:00Z. What is not known is null or empty.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

State = Literal["up", "busy", "suspect", "down", "unknown", "off"]
Map = dict[str, Any]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """application/problem+json. code: for programs. hint: what to do. Some have further keys."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str


class Node(_Answer):
    """containers_unknown: why its containers are not known; empty if they are."""

    name: str
    address: str
    state: State
    since: str | None
    detail: str
    memory_total_bytes: int | None
    memory_available_bytes: int | None
    containers_unknown: str


class Down(_Answer):
    """When a rank went down last, in seconds since 1970, and why."""

    at: float
    why: str


class Unit(_Answer):
    """The systemd unit of a rank."""

    state: str
    enabled: bool
    restarts: int
    status_text: str
    down: Down | None


class Rank(_Answer):
    """A container of a service."""

    rank: int
    node: str
    container: str
    status: str
    started: str
    unit: Unit | None


class Deep(_Answer):
    """The last deep probe."""

    at: str
    state: State
    detail: str
    seconds: float | None


class Service(_Answer):
    """confirm: what a change of it has to send. drift: of the plan from its recipe, in words.

    endpoint: what clients are configured with. watched: it is not of this collection. commands:
    action -> the command to type.
    """

    name: str
    state: State
    since: str | None
    detail: str
    kind: list[str]
    recipe: str
    served_model_name: str
    url: str
    endpoint: str
    head: str
    nodes: list[str]
    plan_hash: str
    confirm: str
    runs: str
    drift: str
    watched: bool
    deep: Deep | None
    ranks: list[Rank]
    ray: list[str]
    commands: dict[str, str]


class Lock(_Answer):
    """held: as of `expires`. run_since: since when a launch works within the reservation."""

    held: bool
    owner: str
    reason: str
    since: str | None
    expires: str | None
    run_since: str | None


class OpenSwap(_Answer):
    """A swap that has not ended. missing: nodes that do not answer its decider."""

    service: str
    id: str
    recipe: str
    owner: str
    decider: str
    state: str
    step: str
    attempt: int
    since: str
    missing: list[str]
    nodes: list[str]
    what: str


class Announced(_Answer):
    """An announced use of the cluster."""

    id: str
    owner: str
    reason: str
    begin: str
    end: str


class Phase(_Answer):
    """A part of a job. seconds: null while it goes on."""

    name: str
    seconds: float | None


class Job(_Answer):
    """A playbook that runs, or ran.

    subject: what it is about: a recipe, a model. task: the name of the current task. step: how far
    that is, its last line. phase: of a launch. lines: the last 20. code, why: of one that failed.
    result: by kind.
    """

    id: str
    kind: str
    service: str
    subject: str
    owner: str
    command: str
    state: Literal["running", "succeeded", "failed", "cancelled", "lost"]
    task: str
    step: str
    phase: str
    phases: list[Phase]
    lines: list[str]
    started: str
    ended: str | None
    code: str
    why: str
    result: Map


class Jobs(_Answer):
    """The newest first, without their lines."""

    jobs: list[Job]


class Status(_Answer):
    """at: when the nodes were polled last. facts_at: when a play asked them. stale: either is late.

    last_swap: as of the journal's public part, and of the journal where control reads as root.
    jobs: those that run.
    """

    at: str | None
    facts_at: str | None
    stale: bool
    why: str
    nodes: list[Node]
    services: list[Service]
    lock: Lock
    swaps: list[OpenSwap]
    last_swap: Map
    schedule: list[Announced]
    jobs: list[Job]
    gateway: str


class Recipe(_Answer):
    """A recipe of the controller. memory: GiB for each node. error: why it cannot be used."""

    name: str
    title: str
    description: str
    model: str
    runtime: str
    mode: str
    nodes: str
    memory: float | None
    fits: str
    confidence: str
    on_disk: bool | None
    errors: int
    error: str
    command: str


class Recipes(_Answer):
    """at: when they were read."""

    at: str | None
    recipes: list[Recipe]


class Models(_Answer):
    """models: rows of docs/contracts/models.md, each with `commands`."""

    at: str | None
    nodes: list[str]
    unknown: dict[str, str]
    ignored: Map
    models: list[Map]
    download_command: str


class Services(_Answer):
    """The services of the status."""

    at: str | None
    facts_at: str | None
    services: list[Service]


class Subject(_Answer):
    """A row of docs/contracts/health.md."""

    subject: str
    what: Literal["node", "service"]
    name: str
    state: State
    detail: str
    node: str
    url: str
    model: str
    kind: list[str]
    phase: str
    seconds: float | None
    deep: bool
    watched: bool


class Container(_Answer):
    """A container of a node."""

    name: str
    service: str
    rank: str
    status: str
    health: str


class HealthReport(_Answer):
    """at: of the last health.yml; deep_at: of the last one with deep probes."""

    at: str | None
    deep_at: str | None
    subjects: list[Subject]
    containers: dict[str, list[Container]]
    command: str


class OutageLine(_Answer):
    """A line of the log of outages; `is` is the state after it."""

    model_config = ConfigDict(extra="allow")

    at: str
    subject: str
    was: State
    seconds: int
    why: str
    source: str


class Outages(_Answer):
    """lines: the newest first. minutes_down, count: by subject, since `since`."""

    since: str
    lines: list[OutageLine]
    minutes_down: dict[str, float]
    count: dict[str, int]


class Drift(_Answer):
    """report: drift.json of the last audit, docs/contracts/drift_report.md; null before one."""

    at: str | None
    report: Map | None
    command: str


class Schedule(_Answer):
    """Announced uses, by time."""

    at: str | None
    entries: list[Announced]
    command: str


class Endpoint(_Answer):
    """A service for clients. ready: it answers. why: it does not."""

    name: str
    kind: list[str]
    ready: bool
    state: str
    model: str
    base_url: str
    why: str


class Endpoints(_Answer):
    """gateway: one address for all of them; empty without one."""

    gateway: str
    services: list[Endpoint]


class Swaps(_Answer):
    """history: service -> lines of docs/contracts/services.md, the newest first."""

    facts_at: str | None
    open: list[OpenSwap]
    last: Map
    history: dict[str, list[Map]]


class Reservation(Lock):
    """A lock that was taken. token: shown once."""

    token: str
    taken_from: str


class Released(_Answer):
    """taken_from: whose lock was removed; empty if it was the caller's own."""

    taken_from: str


class Access(_Answer):
    """token_required: of requests. signed_in: this request has the token. public_key: of control.

    commands: what to type so that nodes accept the key.
    """

    token_required: bool
    signed_in: bool
    bind: str
    public_key: str
    fingerprint: str
    commands: list[str]


class Alive(_Answer):
    """The process answers."""

    status: Literal["ok"]
