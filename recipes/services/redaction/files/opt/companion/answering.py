# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP for the servers of companions: one request at a time, JSON unless they say otherwise."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple

MOST = 200 << 20  # bytes of a request
PORT = 8000


class Reply(NamedTuple):
    body: bytes
    status: int = 200
    content_type: str = "application/json"


class Refused(Exception):
    """A request that is answered with a status and a code."""

    def __init__(self, status: int, code: str, **more: Any) -> None:
        super().__init__(code)
        self.reply = document({"code": code, **more}, status)


def document(value: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(value).encode(), status)


# (body, its Content-Type) -> the answer.
Answer = Callable[[bytes, str], Reply]


def serve(paths: Mapping[str, Answer]) -> None:
    """Serve `POST` of these paths, and `GET /health`, until the process ends."""

    def answer(method: str, path: str, body: bytes, content_type: str) -> Reply:
        if (method, path) == ("GET", "/health"):
            return document({"status": "ok"})
        if method != "POST" or path not in paths:
            raise Refused(404, "not_found", detail="Not Found")
        return paths[path](body, content_type)

    serve_all(answer)


def serve_all(answer: Callable[[str, str, bytes, str], Reply]) -> None:
    """Serve whatever this answers to a method, a path, a body and its type."""

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if length > MOST:
                self._send(document({"code": "too_large"}, 413))
            else:
                self._send(self._answer(self.rfile.read(length)))

        do_GET = do_POST = do_PUT = do_DELETE = _reply

        def _answer(self, body: bytes) -> Reply:
            try:
                return answer(self.command, self.path, body, self.headers.get("Content-Type", ""))
            except Refused as refused:
                return refused.reply
            except (ValueError, LookupError, TypeError) as error:
                return document({"code": "invalid", "detail": type(error).__name__}, 422)

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_words: Any) -> None:
            """No text of a request is logged."""

    HTTPServer(("0.0.0.0", int(os.environ.get("PORT", PORT))), Handler).serve_forever()
