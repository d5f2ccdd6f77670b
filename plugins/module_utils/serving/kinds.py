# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The kinds of services, and what proves each. Pure data; proof.py has the requests.

docs/contracts/kinds.md has the table for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL


@dataclass(frozen=True)
class Caps:
    """Defaults of the gateway: requests in flight and waiting, and seconds for each."""

    concurrency: int = 4
    queue: int = 8
    timeout: int = 300


@dataclass(frozen=True)
class Kind:
    """A kind of service.

    light: the path of a GET that a server in order answers with a status below 400; empty where
    there is no server. deep: what passes the deep probe. asks: the paths that it asks, in this
    order, each only where the server does not have those before. gateway: the paths that the
    gateway passes on.
    """

    light: str
    deep: str
    asks: tuple[str, ...] = ()
    gateway: tuple[str, ...] = ()
    caps: Caps = field(default_factory=Caps)


KINDS: Mapping[str, Kind] = {
    "chat": Kind(
        "/health",
        "a completion of one token came",
        ("/v1/completions", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"),
        Caps(timeout=600),
    ),
    "completion": Kind(
        "/health",
        "a completion of one token came",
        ("/v1/completions",),
        ("/v1/completions",),
        Caps(timeout=600),
    ),
    "embeddings": Kind(
        "/health",
        "the vectors of three sentences have equal dimensions and finite numbers, and those of the "
        "two near sentences are nearer than that of the far one",
        ("/v1/embeddings",),
        ("/v1/embeddings",),
    ),
    "rerank": Kind(
        "/health",
        "the right document of three has the highest score",
        ("/v1/rerank", "/rerank", "/score"),
        ("/v1/rerank", "/rerank", "/v1/score"),
    ),
    "speech_to_text": Kind(
        "/health",
        "all key words of a recording but one are in the text",
        ("/v1/audio/transcriptions",),
        ("/v1/audio/transcriptions", "/v1/audio/translations"),
        Caps(concurrency=1),
    ),
    "text_to_speech": Kind(
        "/health",
        "audio of at least half a second that is not silent; of compressed audio only size and "
        "header are checked",
        ("/v1/audio/speech",),
        ("/v1/audio/speech", "/v1/audio/voices"),
        Caps(concurrency=1),
    ),
    "vector_store": Kind(
        "/readyz",
        "a search in the collection `dgxspark-health` has the nearer point first",
        ("/collections/dgxspark-health/points/query",),
        ("/api/search",),
    ),
    "redaction": Kind(
        "/health",
        "the test text comes back without its name, and rehydrates to the same text",
        ("/scrub", "/rehydrate"),
        ("/scrub", "/rehydrate"),
    ),
    "bot": Kind("", "the container runs, and its health check, if any, has passed"),
    "http": Kind("/health", "the light probe passes"),
}
# Asked of a server whose kind is not known, after a completion, in this order.
AUTO = ("chat", "embeddings", "rerank", "speech_to_text")
# The same where the server does not list its paths: a reranker of llama.cpp also answers a request
# for embeddings, with its scores.
AUTO_UNLISTED = ("chat", "rerank", "embeddings", "speech_to_text")


def of_labels(labels: Mapping[str, str]) -> tuple[str, ...]:
    """The kinds of a container, as its recipe says; empty where the server has to be asked."""
    return known(str(labels.get(LABEL + "kind", "")).split(","))


def known(words: Iterable[str]) -> tuple[str, ...]:
    """Those words that are kinds of this version."""
    return tuple(word for word in words if word in KINDS)


def light_path(kinds: Sequence[str]) -> str:
    """The path of the light probe for a service of these kinds; none of them for one unknown."""
    return KINDS[kinds[0]].light if kinds else "/health"


# What was answered by kind, where the kind is not the name of it.
_ANSWERS = {"": "completion", "chat": "completion", "bot": "container", "http": "request"}


def answered(kind: str) -> str:
    """What a server of this kind has answered, as a noun."""
    return _ANSWERS.get(kind, kind)
