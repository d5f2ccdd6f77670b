# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The kinds of services, and what proves each. Pure data; proof.py has the requests.

docs/contracts/kinds.md has the table for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL

_LONGEST = 2000  # characters of what a recipe says of its probes


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
    gateway passes on. first_seconds: for the first answer after a start, in which a server may
    compile; a recipe may have its own.
    """

    light: str
    deep: str
    asks: tuple[str, ...] = ()
    gateway: tuple[str, ...] = ()
    caps: Caps = field(default_factory=Caps)
    first_seconds: int = 180


KINDS: Mapping[str, Kind] = {
    "chat": Kind(
        "/health",
        "a completion of one token came",
        ("/v1/completions", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"),
        Caps(64, 64, 600),
    ),
    "completion": Kind(
        "/health",
        "a completion of one token came",
        ("/v1/completions",),
        ("/v1/completions",),
        Caps(64, 64, 600),
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
        # On a GB10 users measured 150 to 276 s, in which PTX is compiled for sm_121.
        600,
    ),
    "diarization": Kind(
        "/health",
        "a word of a recording has a speaker",
        ("/asr",),
        ("/api/audio/transcribe-with-speakers", "/api/audio/diarize-chunk"),
        Caps(concurrency=1, timeout=600),
        600,
    ),
    "text_to_speech": Kind(
        "/health",
        "audio of at least half a second that is not silent; of compressed audio only size and "
        "header are checked",
        ("/v1/audio/speech",),
        ("/v1/audio/speech", "/v1/audio/voices"),
        Caps(concurrency=1),
        # On a GB10 users measured 150 to 276 s, in which PTX is compiled for sm_121.
        600,
    ),
    "vector_store": Kind(
        "/readyz",
        "a collection is written, a search in it has the nearer point first, and it is deleted",
        ("/collections",),
        ("/api/search",),
    ),
    "redaction": Kind(
        "/health",
        "the test text comes back without its name, and rehydrates to the same text",
        ("/scrub", "/rehydrate"),
        ("/scrub", "/rehydrate"),
    ),
    "bot": Kind("", "the container runs, and its health check, if any, has passed"),
    "http": Kind("/health", "the light probe passes; a recipe may name its path"),
}
# Asked of a server whose kind is not known, after a completion, in this order.
AUTO = ("chat", "embeddings", "rerank", "speech_to_text")
# The same where the server does not list its paths: a reranker of llama.cpp also answers a request
# for embeddings, with its scores.
AUTO_UNLISTED = ("chat", "rerank", "embeddings", "speech_to_text")


def of_labels(labels: Mapping[str, str]) -> tuple[str, ...]:
    """The kinds of a container, as its recipe says; empty where the server has to be asked."""
    return known(str(labels.get(LABEL + "kind", "")).split(","))


def probe_of(text: str) -> dict[str, Any]:
    """What a recipe says of its probes, from the JSON of a label or a unit; empty for nothing."""
    try:
        fields = foreign.json_of(text or "{}", _LONGEST)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def known(words: Iterable[str]) -> tuple[str, ...]:
    """Those words that are kinds of this version."""
    return tuple(word for word in words if word in KINDS)


def endpoint(url: str, kinds: Sequence[str]) -> str:
    """What clients are configured with: with /v1 where the requests of a kind are below it."""
    asks = [path for kind in kinds for path in KINDS[kind].asks]
    below = not kinds or any(path.startswith("/v1/") for path in asks)
    return url + ("/v1" if url and below else "")


def first_seconds(kinds: Sequence[str]) -> int:
    """The limit for the first answer of a service of these kinds; none of them for one unknown."""
    return max([KINDS[kind].first_seconds for kind in kinds], default=Kind("", "").first_seconds)


def light_path(kinds: Sequence[str]) -> str:
    """The path of the light probe for a service of these kinds; none of them for one unknown."""
    return KINDS[kinds[0]].light if kinds else "/health"


# What was answered by kind, where the kind is not the name of it.
_ANSWERS = {"": "completion", "chat": "completion", "bot": "container", "http": "request"}


def answered(kind: str) -> str:
    """What a server of this kind has answered, as a noun."""
    return _ANSWERS.get(kind, kind)
