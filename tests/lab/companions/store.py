# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A STAND-IN for Qdrant's server, which no package has: its paths, over the client's local mode.

What it proves of a request is what the client's model of the API says, and nothing of the server:
neither its storage nor its speed. Everything is in memory. Needs qdrant-client 1.20.0.
"""

from __future__ import annotations

import json
import urllib.parse
from typing import Any

import qdrant_client
from answering import Refused, Reply, document, serve_all
from qdrant_client import models


def result(value: Any) -> Reply:
    return document({"result": value, "status": "ok", "time": 0.0})


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
            vectors = models.VectorParams(**question["vectors"])
            return result(client.create_collection(name, vectors_config=vectors))
        if what == ("DELETE",):
            return result(client.delete_collection(name))
        if not client.collection_exists(name):
            error = f"Not found: Collection `{name}` doesn't exist!"
            return document({"status": {"error": error}, "time": 0.0}, 404)
        if what == ("PUT", "points"):
            client.upsert(name, [models.PointStruct(**point) for point in question["points"]])
            return result({"operation_id": 0, "status": "completed"})
        if what == ("POST", "points", "query"):
            found = client.query_points(name, query=question["query"], limit=question["limit"])
            return result(json.loads(found.model_dump_json()))
        raise Refused(404, "not_found")

    serve_all(answer)


if __name__ == "__main__":
    main()
