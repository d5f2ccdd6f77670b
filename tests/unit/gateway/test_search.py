# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search: what is asked of Qdrant, on answers as its API documents them; then its stand-in."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from gateway import search
from gateway.errors import Refusal
from gateway.search import DENSE, HYBRID, SPARSE, Vectors, Way
from gateway_fakes import Companion, Process, free_port, until
from hypothesis import given, settings
from hypothesis import strategies as st

SEARCH, EMBED, RERANK = "/api/search", "/v1/embeddings", "/v1/rerank"
ROOT = Path(__file__).resolve().parents[3]
STORE = ROOT / "tests/lab/companions/store.py"
# What it imports.
ANSWERING = ROOT / "recipes/services/piper/files/opt/companion"
SIZE = 3
# Of GET /collections/NAME, and of POST .../points/query (api.qdrant.tech, v1.20).
COLLECTION = {
    "result": {
        "status": "green",
        "optimizer_status": "ok",
        "segments_count": 5,
        "config": {
            "params": {
                "vectors": {"dense": {"size": SIZE, "distance": "Cosine"}},
                "sparse_vectors": {"sparse": {"modifier": "idf"}},
                "shard_number": 1,
                "on_disk_payload": True,
            },
            "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
        },
        "payload_schema": {},
    },
    "status": "ok",
    "time": 2.1e-05,
}
POINTS = {
    "result": {
        "points": [
            {"id": 4, "version": 3, "score": 0.5, "payload": {"text": "apples"}},
            {"id": "6f1c", "version": 3, "score": 0.25, "payload": {"text": "pears"}},
        ]
    },
    "status": "ok",
    "time": 0.0002,
}
UNNAMED = {"size": SIZE, "distance": "Cosine"}


def collection(vectors: Any, sparse: Any = None) -> Any:
    params = {"vectors": vectors, "sparse_vectors": sparse}
    return {"result": {"config": {"params": params}}, "status": "ok"}


class Store:
    """Answers as Qdrant documents them, or as a test sets it."""

    def __init__(self) -> None:
        self.collection: tuple[int, Any] = (200, COLLECTION)
        self.points: tuple[int, Any] = (200, POINTS)

    def __call__(self, method: str, path: str, _body: bytes) -> tuple[int, Any]:
        return self.collection if (method, path) == ("GET", "/collections/notes") else self.points


def embeddings(_method: str, _path: str, body: bytes) -> tuple[int, Any]:
    asked = json.loads(body)
    vectors = [{"index": at, "embedding": [1, 0.5, 0]} for at in range(len(asked["input"]))]
    return 200, {"data": vectors, "model": asked["model"]}


def ranking(_method: str, _path: str, body: bytes) -> tuple[int, Any]:
    """The last document is the best."""
    count = len(json.loads(body)["documents"])
    return 200, {"results": [{"index": at, "relevance_score": at / 10} for at in range(count)]}


class Setup:
    def __init__(self, folder: Path, ranks: Any = ranking) -> None:
        self.answers = Store()
        self.store, self.vectors = Companion(self.answers), Companion(embeddings)
        self.ranks = Companion(ranks) if ranks else None
        services = [
            self.store.entry("store", SEARCH),
            self.vectors.entry("vectors", EMBED, model="bge"),
        ]
        if self.ranks:
            services.append(self.ranks.entry("ranks", RERANK, model="reranker"))
        self.gateway = Process(folder, services)

    def post(self, **body: Any) -> httpx.Response:
        return self.gateway.post(SEARCH, {"collection": "notes", "query": "fruit", **body})

    def asked(self) -> Any:
        return json.loads(self.store.asked[-1][2])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    made = Setup(tmp_path_factory.mktemp("gateway"))
    assert made.ranks
    with made.store, made.vectors, made.ranks, made.gateway:
        yield made


@pytest.fixture
def setup(running: Setup) -> Setup:
    """As new."""
    running.answers.collection, running.answers.points = (200, COLLECTION), (200, POINTS)
    running.store.asked.clear()
    running.vectors.asked.clear()
    return running


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["code"])


def test_hybrid_and_ranked(setup: Setup) -> None:
    kept = {"must": [{"key": "year", "match": {"value": 2026}}]}
    answer = setup.post(filter=kept, top_k=2).json()
    # As hybrid queries of Qdrant's documentation are: prefetch, and fusion by rrf.
    dense = {"query": [1.0, 0.5, 0.0], "using": "dense", "filter": kept, "limit": 18}
    document = {"text": "fruit", "model": "qdrant/bm25"}
    sparse = {"query": document, "using": "sparse", "filter": kept, "limit": 18}
    assert setup.asked() == {
        "prefetch": [dense, sparse],
        "query": {"fusion": "rrf"},
        "limit": 6,
        "with_payload": True,
    }
    assert [path for _method, path, _body in setup.store.asked] == [
        "/collections/notes",
        "/collections/notes/points/query",
    ]
    assert json.loads(setup.vectors.asked[0][2])["model"] == "bge"
    assert answer["results"] == [
        {"id": "6f1c", "score": 0.1, "payload": {"text": "pears"}},
        {"id": 4, "score": 0.0, "payload": {"text": "apples"}},
    ]
    assert (answer["mode"], answer["reranked"], answer["notes"]) == (HYBRID, True, [])
    assert answer["took_ms"] >= 0
    log = setup.gateway.log.read_text()
    assert '"path": "/api/search"' in log
    assert "fruit" not in log


def test_without_a_sparse_vector_it_is_dense_and_says_so(setup: Setup) -> None:
    setup.answers.collection = (200, collection(UNNAMED))
    answer = setup.post(rerank=False).json()
    assert (answer["mode"], answer["reranked"]) == (DENSE, False)
    assert answer["notes"] == ["the collection has no sparse vector: dense only"]
    # The vector without a name is not named.
    assert setup.asked() == {"query": [1.0, 0.5, 0.0], "limit": 10, "with_payload": True}


def test_sparse_asks_for_no_embedding(setup: Setup) -> None:
    answer = setup.post(mode="sparse", language="german", rerank=False).json()
    assert (answer["mode"], setup.vectors.asked) == (SPARSE, [])
    assert setup.asked()["query"]["options"] == {"language": "german"}


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        *(
            ({"collection": name}, 400, "invalid_search")
            for name in ("", "a" * 65, "../x", "a/b", "a%2Fb", "a\n", "a b", "\u00e4")
        ),
        ({"top_k": 0}, 400, "invalid_search"),
        ({"top_k": 101}, 400, "invalid_search"),
        ({"filter": "x"}, 400, "invalid_search"),
        ({"mode": "exact"}, 400, "invalid_search"),
        ({"topk": 3}, 400, "invalid_search"),
        ({"dense": "other"}, 400, "no_such_vector"),
        ({"language": "de&x"}, 400, "invalid_search"),
    ],
)
def test_what_is_refused(setup: Setup, body: dict[str, Any], status: int, why: str) -> None:
    assert code(setup.post(**body)) == (status, why)
    assert all(path == "/collections/notes" for _method, path, _body in setup.store.asked)


def test_errors_of_the_store(setup: Setup) -> None:
    missing = {"status": {"error": "Not found: Collection `notes` doesn't exist!"}, "time": 0.0}
    setup.answers.collection = (404, missing)
    assert code(setup.post()) == (404, "no_such_collection")
    setup.answers.collection = (200, COLLECTION)
    wrong = "Format error in JSON body: unknown\nfield \x1b[2J"
    setup.answers.points = (400, {"status": {"error": wrong}, "time": 0.0})
    answer = setup.post(filter={"x": 1})
    assert code(answer) == (400, "invalid_search")
    assert "unknown field  [2J" in answer.json()["error"]["message"]
    for garbage in ({"result": []}, {"result": {"points": [{"score": 1}]}}, [], "x", None):
        setup.answers.points = (200, garbage)
        assert code(setup.post()) == (502, "server_error")
    setup.answers.points = (500, {})
    assert code(setup.post()) == (502, "server_error")


def test_vectors_of_another_size(setup: Setup) -> None:
    setup.answers.collection = (200, collection({"size": 1024, "distance": "Cosine"}))
    assert code(setup.post()) == (400, "wrong_dimensions")


def test_no_store_no_embeddings(tmp_path: Path) -> None:
    with Process(tmp_path, []) as gateway:
        answer = gateway.post(SEARCH, {"collection": "notes", "query": "x"})
        assert code(answer) == (404, "no_service")


def bare(method: str, path: str, body: bytes) -> tuple[int, Any]:
    """As Text Embeddings Inference ranks."""
    if path != "/rerank":
        return 404, {}
    count = len(json.loads(body)["texts"])
    return 200, [{"index": at, "score": at / 10} for at in range(count)]


@pytest.mark.parametrize(
    ("ranks", "reranked", "notes"),
    [
        (None, False, []),
        (bare, True, []),
        (lambda *_: (500, {}), False, ["not ranked: ranks failed with status 500"]),
        (
            lambda *_: (200, {"results": [{"index": 0, "relevance_score": 1}]}),
            False,
            ["not ranked: ranks did not rank all documents"],
        ),
    ],
)
def test_a_ranking_that_fails_is_no_failure(
    tmp_path: Path, ranks: Any, reranked: bool, notes: list[str]
) -> None:
    made = Setup(tmp_path, ranks)
    with made.store, made.vectors, made.ranks or Companion(ranking), made.gateway:
        answer = made.post().json()
    assert (answer["reranked"], answer["notes"], len(answer["results"])) == (reranked, notes, 2)


def test_points_without_the_text_are_not_ranked(setup: Setup) -> None:
    answer = setup.post(text="body").json()
    assert answer["notes"] == ["not ranked: not all points have a text 'body'"]
    assert [one["id"] for one in answer["results"]] == [4, "6f1c"]


# Pure.


def question(**body: Any) -> search.Question:
    text = json.dumps({"collection": "notes", "query": "x", **body})
    return search.question_of(text.encode())


@pytest.mark.parametrize(
    ("mode", "dense", "sparse", "way"),
    [
        (HYBRID, {"": 3}, {}, (DENSE, "", None)),
        (HYBRID, {}, {"s": True}, (SPARSE, None, "s")),
        (HYBRID, {"a": 3, "dense": 3}, {"s": True, "sparse": True}, (HYBRID, "dense", "sparse")),
        (DENSE, {"a": 3}, {"s": True}, (DENSE, "a", None)),
        (SPARSE, {"a": 3}, {"s": True}, (SPARSE, None, "s")),
        (HYBRID, {}, {}, "no_such_vector"),
        (SPARSE, {"a": 3}, {}, "no_such_vector"),
        (DENSE, {}, {"s": True}, "no_such_vector"),
        (DENSE, {"a": 3, "b": 3}, {}, "which_vector"),
    ],
)
def test_which_vectors(mode: str, dense: dict[str, int], sparse: dict[str, bool], way: Any) -> None:
    if isinstance(way, str):
        with pytest.raises(Refusal) as refusal:
            search.way_of(question(mode=mode), Vectors(dense, sparse))
        assert refusal.value.code == way
        return
    found = search.way_of(question(mode=mode), Vectors(dense, sparse))
    assert (found.mode, found.dense, found.sparse) == way


def test_a_sparse_vector_without_idf_is_noted() -> None:
    way = search.way_of(question(), Vectors({"": 3}, {"s": False}))
    assert "no modifier idf" in way.notes[0]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), VALUES), st.text(min_size=1, max_size=20))
def test_a_filter_and_a_question_stay_what_they_are(kept: Any, text: str) -> None:
    asked = question(filter=kept, query=text)
    body = search.points_query(asked, Way(HYBRID, "d", "s"), [1.0], 10)
    sent = json.loads(search.msgspec.json.encode(body))
    first, second = sent["prefetch"]
    assert second["query"]["text"] == text
    assert first.get("filter", {}) == second.get("filter", {}) == kept


@settings(deadline=None)
@given(st.text(max_size=70))
def test_names_of_collections(name: str) -> None:
    allowed = 0 < len(name) <= 64 and name.isascii() and all(c.isalnum() or c in "_-" for c in name)
    try:
        assert question(collection=name).collection == name
        assert allowed
    except Refusal:
        assert not allowed


# The stand-in of the lab: the model that Qdrant's own client has of its API, in memory.


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("qdrant_client", "qdrant_edge"))),
    reason="the stand-in for Qdrant needs qdrant-client 1.20.0 and qdrant-edge-py 0.9.0",
)
def test_with_the_stand_in(tmp_path: Path) -> None:
    texts = {
        1: "The invoice of March is paid.",
        2: "Rotate the keys of ZX-81 each spring.",
        3: "Lunch is at noon.",
    }
    angles = {1: 0.3, 2: 1.2, 3: 0.1}

    def near(_method: str, _path: str, _body: bytes) -> tuple[int, Any]:
        return 200, {"data": [{"index": 0, "embedding": [1.0, 0.0]}]}

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    path = os.pathsep.join([str(ANSWERING), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PORT": str(port), "PYTHONPATH": path}
    process = subprocess.Popen([sys.executable, str(STORE)], env=env, stderr=subprocess.PIPE)

    def up() -> bool:
        try:
            return httpx.get(url + "/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            assert process.poll() is None
            return False

    try:
        until(up, 60)
        vectors = {"vectors": {"dense": {"size": 2, "distance": "Cosine"}}}
        sparse = {"sparse_vectors": {"sparse": {"modifier": "idf"}}}
        points = [
            {
                "id": number,
                "vector": {
                    "dense": [math.cos(angles[number]), math.sin(angles[number])],
                    "sparse": {"text": text, "model": "qdrant/bm25"},
                },
                "payload": {"text": text, "odd": number % 2 == 1},
            }
            for number, text in texts.items()
        ]
        for path, body in (("", {**vectors, **sparse}), ("/points?wait=true", {"points": points})):
            done = httpx.put(f"{url}/collections/notes{path}", json=body, trust_env=False)
            assert done.json()["status"] == "ok"
        with Companion(near) as embed:
            services = [
                {"name": "store", "url": url, "kind": ["vector_store"], "paths": [SEARCH]},
                embed.entry("vectors", EMBED),
            ]
            with Process(tmp_path, services) as gateway:

                def ids(**body: Any) -> list[int]:
                    asked = {"collection": "notes", "query": "keys of ZX-81", **body}
                    answer = gateway.post(SEARCH, asked)
                    assert answer.status_code == 200, answer.text
                    return [one["id"] for one in answer.json()["results"]]

                assert ids(mode="dense") == [3, 1, 2]
                assert ids(mode="sparse")[0] == 2
                # Third by its vector and first by its words.
                assert ids().index(2) < 2
                odd = {"must": [{"key": "odd", "match": {"value": True}}]}
                assert set(ids(filter=odd)) == {1, 3}
    finally:
        process.kill()
        process.wait()
