# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""POST /api/search: the points of a collection that answer a question best.

Requests are as Qdrant's API reference has them, for version 1.20. Its server itself makes the
sparse vector of a question: it has `qdrant/bm25` built in, and asks nobody for it.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gateway.endpoints import SEARCH
from gateway.errors import Refusal, plain
from gateway.routing import Target
from gateway.servers import Answer, Servers

_EMBED = "/v1/embeddings"
_RERANK = "/v1/rerank"
# As Text Embeddings Inference has it.
_RERANK_BARE = "/rerank"
_SPARSE_MODEL = "qdrant/bm25"
# Candidates for the ranking by a model, and of each vector for the fusion: times what is wanted.
_MORE = 3
_MOST = 100

HYBRID: Final = "hybrid"
DENSE: Final = "dense"
SPARSE: Final = "sparse"

_Name = Annotated[str, Meta(max_length=255)]


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """collection: its name. filter: as Qdrant has it. text: the field of a point's payload that a
    model ranks. dense, sparse: names of vectors, needed where the collection has several. language:
    of the sparse vectors. model, rerank_model: as in other requests, empty for the default.
    """

    # Not `$`, before which Python allows the end of a line.
    collection: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
    query: Annotated[str, Meta(min_length=1, max_length=32_768)]
    top_k: Annotated[int, Meta(ge=1, le=_MOST)] = 10
    mode: Literal["hybrid", "dense", "sparse"] = HYBRID
    filter: dict[str, msgspec.Raw] | None = None
    rerank: bool = True
    text: _Name = "text"
    dense: _Name | None = None
    sparse: _Name | None = None
    language: Annotated[str, Meta(pattern=r"^[a-z]{2,20}\Z")] | None = None
    model: _Name = ""
    rerank_model: _Name = ""


class _Vector(msgspec.Struct):
    size: int
    multivector_config: Any = None


class _Sparse(msgspec.Struct):
    modifier: str | None = None


class _Params(msgspec.Struct):
    vectors: dict[str, Any] | None = None
    sparse_vectors: dict[str, _Sparse] | None = None


class _Settings(msgspec.Struct):
    params: _Params


class _Collection(msgspec.Struct):
    config: _Settings


class _Described(msgspec.Struct):
    result: _Collection


class _Point(msgspec.Struct):
    id: int | str
    score: float
    payload: dict[str, Any] | None = None


class _Points(msgspec.Struct):
    points: list[_Point]


class _Found(msgspec.Struct):
    result: _Points


class _Embedding(msgspec.Struct):
    embedding: list[float]


class _Embeddings(msgspec.Struct):
    data: Annotated[list[_Embedding], Meta(min_length=1)]


class _Score(msgspec.Struct):
    index: int
    relevance_score: float | None = None
    score: float | None = None


class _Ranking(msgspec.Struct):
    results: list[_Score]


class Vectors(msgspec.Struct, frozen=True):
    """Of a collection: names to dimensions of dense ones, "" for one without a name; names of
    sparse ones, each with whether the server weighs words by how rare they are.
    """

    dense: dict[str, int]
    sparse: dict[str, bool]


class Way(msgspec.Struct, frozen=True):
    """How to search. dense, sparse: names of vectors, None for none."""

    mode: str
    dense: str | None
    sparse: str | None
    notes: tuple[str, ...] = ()


def question_of(text: bytes) -> Question:
    """Raises Refusal."""
    try:
        return msgspec.json.decode(text, type=Question)
    except msgspec.ValidationError as error:
        # It names the field and what is expected, and nothing of the value.
        raise Refusal(400, "invalid_search", str(error)[:300]) from None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Refusal(400, "invalid_json", "the body is not a JSON object") from None


def vectors_of(params: _Params) -> Vectors:
    """Raises Refusal for what is no description of vectors."""
    given = params.vectors or {}
    named = {"": given} if isinstance(given.get("size"), int) else given
    try:
        dense = {name: msgspec.convert(one, _Vector) for name, one in named.items()}
    except msgspec.ValidationError:
        raise Refusal(502, "server_error", "the vectors of the collection are unclear") from None
    return Vectors(
        # One that has a vector for each word is no vector of a question.
        {name: one.size for name, one in dense.items() if one.multivector_config is None},
        {name: one.modifier == "idf" for name, one in (params.sparse_vectors or {}).items()},
    )


def way_of(question: Question, vectors: Vectors) -> Way:
    """How this collection can be searched. Raises Refusal."""
    dense = sparse = None
    if question.mode != SPARSE:
        dense = _chosen("dense", question.dense, vectors.dense)
    if question.mode != DENSE:
        sparse = _chosen("sparse", question.sparse, vectors.sparse)
    if question.mode != HYBRID or dense is None or sparse is None:
        mode = DENSE if dense is not None else SPARSE
        if (dense, sparse) == (None, None):
            message = "the collection has no %s vector" % question.mode
            raise Refusal(400, "no_such_vector", message.replace(HYBRID + " ", ""))
    else:
        mode = HYBRID
    notes = []
    if question.mode == HYBRID != mode:
        other = "sparse" if mode == DENSE else "dense"
        notes.append("the collection has no %s vector: %s only" % (other, mode))
    if sparse is not None and not vectors.sparse[sparse]:
        notes.append("the sparse vector %r has no modifier idf: all words count the same" % sparse)
    return Way(mode, dense, sparse, tuple(notes))


def _chosen(kind: str, wanted: str | None, there: dict[str, Any]) -> str | None:
    """The name of the vector; None if there is none. Raises Refusal."""
    if wanted is not None and wanted not in there:
        message = "the collection has no %s vector %r" % (kind, wanted)
        raise Refusal(400, "no_such_vector", message, param=kind)
    if wanted is not None or len(there) < 2:
        return wanted if wanted is not None else next(iter(there), None)
    for usual in (kind, ""):
        if usual in there:
            return usual
    names = ", ".join(sorted(there))[:200]
    message = "name one of the %s vectors of the collection: %s" % (kind, names)
    raise Refusal(400, "which_vector", message, param=kind)


def points_query(
    question: Question, way: Way, vector: list[float] | None, limit: int
) -> dict[str, Any]:
    """The body of POST /collections/NAME/points/query."""
    branches: list[dict[str, Any]] = []
    if way.dense is not None:
        branches.append({"query": vector, "using": way.dense})
    if way.sparse is not None:
        document = {"text": question.query, "model": _SPARSE_MODEL}
        options = {"options": {"language": question.language}} if question.language else {}
        branches.append({"query": {**document, **options}, "using": way.sparse})
    for branch in branches:
        # The default vector has no name.
        if not branch["using"]:
            del branch["using"]
        if question.filter:
            branch["filter"] = question.filter
    common = {"limit": limit, "with_payload": True}
    if len(branches) == 1:
        return {**branches[0], **common}
    for branch in branches:
        branch["limit"] = limit * _MORE
    return {"prefetch": branches, "query": {"fusion": "rrf"}, **common}


class Searcher:
    """Searches, by the services for vectors, for embeddings and for ranking."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def answer(self, question: Question) -> dict[str, Any]:
        """Raises Refusal."""
        started = time.monotonic()
        described = await self._store("GET", question)
        vectors = vectors_of(described.read(_Described).result.config.params)
        way = way_of(question, vectors)
        vector = None
        if way.dense is not None:
            vector = await self._embedded(question, vectors.dense[way.dense])
        limit = question.top_k
        if question.rerank:
            limit = min(_MOST, limit * _MORE)
        body = msgspec.json.encode(points_query(question, way, vector, limit))
        found = await self._store("POST", question, "/points/query", body)
        points, reranked, notes = await self._ranked(question, found.read(_Found).result.points)
        return {
            "results": [msgspec.to_builtins(point) for point in points[: question.top_k]],
            "mode": way.mode,
            "reranked": reranked,
            "notes": [*way.notes, *notes],
            "took_ms": round((time.monotonic() - started) * 1000),
        }

    async def _store(
        self, method: str, question: Question, below: str = "", body: bytes | None = None
    ) -> Answer:
        path = "/collections/" + question.collection + below
        answer = await self._servers.at(
            SEARCH, "", lambda target: self._servers.ask(target, method, path, body)
        )
        if answer.status == 404:
            message = "there is no collection %s" % question.collection
            raise Refusal(404, "no_such_collection", message, param="collection")
        if answer.status in (400, 422):
            message = "%s refuses the search: %s" % (answer.name, _error_of(answer.body))
            raise Refusal(400, "invalid_search", message)
        return answer

    async def _embedded(self, question: Question, size: int) -> list[float]:
        def body(model: str) -> bytes:
            named = {"model": model} if model else {}
            return msgspec.json.encode(
                {**named, "input": [question.query], "encoding_format": "float"}
            )

        answer = await self._servers.at(
            _EMBED,
            question.model,
            lambda target: self._servers.ask(target, "POST", _EMBED, body(target.model)),
        )
        vector = answer.read(_Embeddings).data[0].embedding
        if len(vector) != size:
            message = "%s makes vectors of %d dimensions, the collection has %d" % (
                answer.name,
                len(vector),
                size,
            )
            raise Refusal(400, "wrong_dimensions", message, param="model")
        return vector

    async def _ranked(
        self, question: Question, points: list[_Point]
    ) -> tuple[list[_Point], bool, list[str]]:
        """The points in their order, whether a model ranked them, and if not, why."""
        if not question.rerank or not points:
            return points, False, []
        texts = [(point.payload or {}).get(question.text) for point in points]
        documents = [text for text in texts if isinstance(text, str)]
        if len(documents) < len(points):
            return points, False, ["not ranked: not all points have a text %r" % question.text]
        try:
            scores = await self._scores(question, documents)
        except Refusal as refusal:
            # The order by vectors is an answer, too.
            if refusal.code == "no_service":
                return points, False, []
            return points, False, ["not ranked: " + refusal.message]
        ranked = [
            msgspec.structs.replace(points[index], score=score) for index, score in scores.items()
        ]
        return sorted(ranked, key=lambda point: -point.score), True, []

    async def _scores(self, question: Question, documents: list[str]) -> dict[int, float]:
        """Index of a document -> its score, of all of them. Raises Refusal."""
        asked = {"query": question.query, "documents": documents}

        async def ask(target: Target) -> Answer:
            named = {"model": target.model} if target.model else {}
            body = {**named, **asked, "top_n": len(documents)}
            answer = await self._servers.ask(target, "POST", _RERANK, msgspec.json.encode(body))
            if answer.status in (404, 405):
                bare = msgspec.json.encode({"query": question.query, "texts": documents})
                answer = await self._servers.ask(target, "POST", _RERANK_BARE, bare)
            return answer

        answer = await self._servers.at(_RERANK, question.rerank_model, ask)
        # A list, as Text Embeddings Inference and SGLang have it, or an object with it.
        shape: Any = list[_Score] if answer.body.lstrip()[:1] == b"[" else _Ranking
        read = answer.read(shape)
        entries: list[_Score] = read if isinstance(read, list) else read.results
        scores = {
            entry.index: value
            for entry in entries
            for value in (entry.relevance_score, entry.score)
            if value is not None
        }
        if scores.keys() != set(range(len(documents))):
            raise Refusal(502, "server_error", "%s did not rank all documents" % answer.name)
        return scores


def _error_of(body: bytes) -> str:
    """The text of an error of Qdrant."""
    try:
        return plain(str(msgspec.json.decode(body)["status"]["error"]))
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError, RecursionError):
        return "no reason"
