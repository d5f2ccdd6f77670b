# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the control application: it serves the page, and the examples of its contract."""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "roles" / "control" / "files" / "dgxspark_control" / "page"
EXAMPLES = ROOT / "tests" / "fixtures" / "control"
TYPES = {
    ".html": "text/html",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
# When the examples were written, by themselves.
WRITTEN = datetime(2026, 11, 27, 23, 14, 12, tzinfo=timezone.utc)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
SECONDS = re.compile(r'("at": )(\d{10}\.\d+)')
LISTS = ("models", "recipes", "swap", "health", "outages", "drift", "schedule", "access", "jobs")

Reply = tuple[int, Any]
# What opens the page: (width, expected=text that is awaited, …) -> page.
Open = Callable[..., Any]


def example(name: str, since: datetime | None = None) -> Any:
    """An example of the contract, as if it were of now. since: when it was written."""
    shift = datetime.now(timezone.utc) - (since or WRITTEN)

    def moved(match: re.Match[str]) -> str:
        at = datetime.fromisoformat(match.group().replace("Z", "+00:00")) + shift
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")

    text = MOMENT.sub(moved, (EXAMPLES / f"{name}.json").read_text("utf-8"))
    text = SECONDS.sub(lambda match: f"{match[1]}{float(match[2]) + shift.total_seconds()}", text)
    return json.loads(text)


def moment(ago: float = 0) -> str:
    return (datetime.now(timezone.utc) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


class StandIn:
    """answers: path -> body of GET. replies: "METHOD PATH" -> what a request gets, or a function
    of its body. asked: method, path and body of each request that is no GET.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {f"/api/{name}": example(name) for name in LISTS}
        self.answers["/api/status"] = example("status")
        self.replies: dict[str, Reply | Callable[[Any], Reply]] = {}
        self.asked: list[tuple[str, str, Any]] = []
        self.streams: list[queue.Queue[str | None]] = []
        self.job_streams: list[tuple[str, str]] = []
        self.opened = 0
        self.job_events = (EXAMPLES / "job_events.txt").read_text("utf-8")
        self.calm()
        page = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: object) -> None:
                pass

            def do_GET(self) -> None:
                page.get(self)

            def do_POST(self) -> None:
                page.change(self)

            def do_DELETE(self) -> None:
                page.change(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def calm(self) -> None:
        """Nothing runs, and nobody holds the lock."""
        status = self.answers["/api/status"]
        status.update(lock=example("lock_free"), swaps=[], jobs=[])
        for node in status["nodes"]:
            node.update(state="up", detail="")
        self.answers["/api/jobs"] = {"jobs": [example("job_done")]}
        self.answers["/api/access"].update(
            token_required=False, signed_in=True, bind="127.0.0.1:9999"
        )
        self.answers["/api/swap"]["open"] = []

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.answers["/api/status"]
        status["at"] = moment()
        return status

    def __enter__(self) -> StandIn:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.hang_up()
        self.server.shutdown()
        self.server.server_close()

    def push(self, name: str, data: Any) -> None:
        """An event for all that listen."""
        for stream in list(self.streams):
            stream.put(f"event: {name}\ndata: {json.dumps(data)}\n\n")

    def hang_up(self) -> None:
        """Break the connections of all that listen."""
        for stream in list(self.streams):
            stream.put(None)

    def job(self, job: Any, **changes: Any) -> Any:
        """A job as the application knows it from now on, also for those that listen."""
        job = {**job, **changes}
        self.answers[f"/api/jobs/{job['id']}"] = job
        self.push("job", {**job, "lines": []})
        return job

    def get(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        reply = self.replies.get(f"GET {path}")
        if isinstance(reply, tuple):
            self._send(handler, *reply)
        elif path == "/api/events":
            self._events(handler)
        elif re.fullmatch(r"/api/jobs/[^/]+/events", path):
            self._job_events(handler, path)
        elif path == "/api/status":
            self._send(handler, 200, self.status)
        elif path in self.answers:
            self._send(handler, 200, self.answers[path])
        elif path.startswith("/api/"):
            self._send(handler, 404, {"code": "not_found", "detail": f"There is no {path}"})
        else:
            self._file(handler, path)

    def change(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        body = json.loads(handler.rfile.read(length) or "null")
        self.asked.append((handler.command, handler.path, body))
        reply = self.replies.get(f"{handler.command} {handler.path.partition('?')[0]}")
        answer = reply(body) if callable(reply) else reply
        self._send(
            handler, *(answer or (404, {"code": "not_found", "detail": "Not expected here"}))
        )

    def _file(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        file = PAGE / (path.lstrip("/") or "index.html")
        if file.parent != PAGE or not file.is_file():
            self._send(handler, 404, {"code": "not_found", "detail": path})
            return
        self._start(handler, 200, TYPES[file.suffix])
        self._body(handler, file.read_bytes())

    def _send(self, handler: BaseHTTPRequestHandler, status: int, body: Any) -> None:
        if status == 204:
            self._start(handler, status, "")
            handler.end_headers()
            return
        kind = "application/json" if status < 400 else "application/problem+json"
        self._start(handler, status, kind)
        self._body(handler, json.dumps(body).encode())

    def _start(self, handler: BaseHTTPRequestHandler, status: int, kind: str) -> None:
        handler.send_response(status)
        handler.send_header("Content-Security-Policy", "default-src 'self'")
        handler.send_header("X-Content-Type-Options", "nosniff")
        handler.send_header("Cache-Control", "no-store")
        if kind:
            handler.send_header("Content-Type", f"{kind}; charset=utf-8")

    def _body(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _events(self, handler: BaseHTTPRequestHandler) -> None:
        stream: queue.Queue[str | None] = queue.Queue()
        self._start(handler, 200, "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        self.opened += 1
        self.streams.append(stream)
        stream.put(f"retry: 200\nevent: status\ndata: {json.dumps(self.status)}\n\n")
        try:
            while (text := stream.get()) is not None:
                handler.wfile.write(text.encode())
                handler.wfile.flush()
        except OSError:
            pass
        finally:
            self.streams.remove(stream)
            handler.close_connection = True

    def _job_events(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        """All in two connections: it breaks after the third event."""
        last = handler.headers.get("Last-Event-ID") or ""
        self.job_streams.append((path, last))
        events = [one for one in self.job_events.split("\n\n") if one.strip()]
        number = re.compile(r"id: (\d+)")
        rest = [one for one in events if int(number.match(one)[1]) > int(last or 0)]  # type: ignore[index]
        self._start(handler, 200, "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        for event in rest if last else rest[:3]:
            handler.wfile.write(f"retry: 200\n{event}\n\n".encode())
        handler.wfile.flush()
        time.sleep(0.05)
        handler.close_connection = True
