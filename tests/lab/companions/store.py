# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A STAND-IN for Qdrant's server, which no package has: its paths, over the client's local mode.

What it proves of a request is what the client's model of the API says, and nothing of the server:
neither its storage nor its speed. Everything is in memory. Sparse vectors of texts are made by the
code of Qdrant, as its server does. Needs qdrant-client 1.20.0 and qdrant-edge-py 0.9.0.
"""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

import qdrant_client
import qdrant_edge
from answering import Refused, Reply, document, serve_all
from qdrant_client import models


def result(value: Any) -> Reply:
    return document({"result": value, "status": "ok", "time": 0.0})


def embedded(value: Any, document: bool) -> Any:
    """The same with a sparse vector in place of each text for the model `qdrant/bm25`."""
    if isinstance(value, list):
        return [embedded(one, document) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("model") != "qdrant/bm25":
        # A payload may have anything.
        return {
            key: one if key in ("payload", "filter") else embedded(one, document)
            for key, one in value.items()
        }
    if value.get("options"):
        raise Refused(400, "the stand-in knows English only")
    bm25 = qdrant_edge.Bm25(qdrant_edge.Bm25Config())
    vector = (bm25.embed_document if document else bm25.embed_query)(value["text"])
    return {"indices": list(vector.indices), "values": list(vector.values)}


def main() -> None:
    client = qdrant_client.QdrantClient(":memory:")

    def answer(method: str, path: str, body: bytes, _content_type: str) -> Reply:
        if path in ("/readyz", "/healthz", "/livez"):
            return Reply(b"all shards are ready", content_type="text/plain")
        parts = urllib.parse.urlsplit(path).path.strip("/").split("/")
        if parts == ["collections"] and method == "GET":
            listed = client.get_collections().collections
            return result({"collections": [{"name": one.name} for one in listed]})
        if parts[0] != "collections" or len(parts) < 2:
            raise Refused(404, "not_found")
        name, what = urllib.parse.unquote(parts[1]), (method, *parts[2:])
        question = json.loads(body or b"{}")
        if what == ("PUT",):
            made = models.CreateCollection(**question)
            done = client.create_collection(
                name, vectors_config=made.vectors, sparse_vectors_config=made.sparse_vectors
            )
            return result(done)
        if what == ("DELETE",):
            return result(client.delete_collection(name))
        if not client.collection_exists(name):
            error = f"Not found: Collection `{name}` doesn't exist!"
            return document({"status": {"error": error}, "time": 0.0}, 404)
        if what == ("GET",):
            return result(json.loads(client.get_collection(name).model_dump_json()))
        if what == ("PUT", "points"):
            points = embedded(question["points"], True)
            client.upsert(name, [models.PointStruct(**point) for point in points])
            return result({"operation_id": 0, "status": "completed"})
        if what == ("POST", "points", "query"):
            asked = models.QueryRequest(**embedded(question, False))
            found = client.query_points(
                name,
                query=asked.query,
                prefetch=asked.prefetch,
                using=asked.using,
                query_filter=asked.filter,
                limit=asked.limit or 10,
                with_payload=bool(asked.with_payload),
            )
            return result(json.loads(found.model_dump_json()))
        raise Refused(404, "not_found")

    serve_all(answer)


if __name__ == "__main__":
    main()
