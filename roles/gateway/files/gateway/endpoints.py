# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of services: who serves what, where. Checked completely before it is used."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from gateway.addresses import problem_of

READY: Final = "ready"
FAILED: Final = "failed"
SWAPPING: Final = "swapping"
LIMIT = 4 << 20

# Paths with a JSON body, with a form, and without a body, that are relayed.
JSON_PATHS = frozenset(
    {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/embeddings",
        "/v1/rerank",
        "/rerank",
        "/v1/score",
        "/v1/audio/speech",
        "/scrub",
        "/rehydrate",
    }
)
# Those without a model: the body stays as it is, and all of a task is at one server.
SCRUB_PATHS = frozenset({"/scrub", "/rehydrate"})
FORM_PATHS = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations"})
GET_PATHS = frozenset({"/v1/audio/voices"})
RELAYED = JSON_PATHS | FORM_PATHS | GET_PATHS
MODEL_PATHS = RELAYED - SCRUB_PATHS
# Paths that the gateway answers itself, by services that have them.
SEARCH: Final = "/api/search"
TRANSCRIBE: Final = "/api/audio/transcribe-with-speakers"
DIARIZE: Final = "/api/audio/diarize-chunk"
PATHS = RELAYED | {SEARCH, TRANSCRIBE, DIARIZE}

_Text = Annotated[str, Meta(max_length=300)]


class EndpointsError(Exception):
    """A file that is not used, and why."""


class Service(msgspec.Struct, frozen=True):
    """A server. kind: its kinds, empty if they are not known. paths: that it has.

    model: the name under which it serves, empty if it is not known. light: the path of a GET that
    it answers if it works. state: READY, FAILED (its deep probe) or SWAPPING. why: for people.
    retry_after: seconds that a swap takes, 0 if not known. queue: requests that may wait.
    timeout: seconds without a byte of the answer.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
    url: _Text
    paths: frozenset[_Text]
    node: _Text = ""
    kind: tuple[_Text, ...] = ()
    model: _Text = ""
    light: Annotated[str, Meta(pattern=r"^/[A-Za-z0-9._/-]{0,100}$")] = "/health"
    state: Literal["ready", "failed", "swapping"] = READY
    why: _Text = ""
    retry_after: Annotated[int, Meta(ge=0, le=3600)] = 0
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] = 4
    queue: Annotated[int, Meta(ge=0, le=100_000)] = 8
    timeout: Annotated[int, Meta(ge=1, le=86_400)] = 300


class _File(msgspec.Struct, frozen=True):
    schema: Literal[1]
    services: tuple[Service, ...]


def parse(text: bytes, allowed: Collection[str]) -> tuple[Service, ...]:
    """The services of a file. Raises EndpointsError with all that is wrong.

    allowed: the only addresses that a service may have.
    """
    if len(text) > LIMIT:
        raise EndpointsError("it has more than %d bytes" % LIMIT)
    try:
        services = msgspec.json.decode(text, type=_File).services
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise EndpointsError(str(error)[:300]) from None
    names = [service.name for service in services]
    problems = ["two services are named %s" % n for n in sorted({*names}) if names.count(n) > 1]
    for service in services:
        problem = problem_of(service.url, allowed)
        if problem:
            problems.append("%s: url: %s" % (service.name, problem))
    if problems:
        raise EndpointsError("; ".join(problems)[:1000])
    return services
