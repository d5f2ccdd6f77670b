# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that behave as a test wants, and the gateway as a process in front of them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2 as httpx
from aiohttp import web

FILES = Path(__file__).resolve().parents[3] / "roles" / "gateway" / "files"
CHAT = "/v1/chat/completions"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Upstream:
    """A server for one model. How it answers is the field `mode` of a JSON body, else `default`."""

    def __init__(self, model: str = "tiny", port: int = 0) -> None:
        self.model = model
        self.port = port or free_port()
        self.requests: list[dict[str, Any]] = []
        self.in_flight = 0
        self.most = 0
        self.closed = 0
        self.default = "ok"
        self._transports: list[asyncio.Transport] = []
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Upstream:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)

    def start(self) -> None:
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_get("/health", self._models)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/{path:.*}", self._post)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _stop(self) -> None:
        """As one that is killed: its connections end at once."""
        for transport in self._transports:
            transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.model}]})

    async def _post(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        self._transports.append(transport)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await self._answer(request)
        except (asyncio.CancelledError, ConnectionError):
            self.closed += 1
            raise
        finally:
            self.in_flight -= 1
            self._transports.remove(transport)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.content_type == "multipart/form-data":
            form = await request.post()
            file = form["file"]
            size = len(file.file.read()) if isinstance(file, web.FileField) else 0
            body = {"model": form.get("model"), "bytes": size, "mode": form.get("prompt")}
        else:
            body = json.loads(await request.read())
        self.requests.append({"path": request.path, "headers": dict(request.headers), "body": body})
        if "model" in body and body["model"] != self.model:
            missing = {"error": {"message": "no such model", "type": "NotFoundError"}}
            return web.json_response(missing, status=404)
        mode = body.get("mode") or self.default
        await asyncio.sleep(float(body.get("wait") or 0))
        if mode == "hang":
            await asyncio.sleep(600)
        if mode == "garbage":
            assert request.transport is not None
            request.transport.write(b"\x00\x01 this is not HTTP\r\n\r\n")
            request.transport.close()
            await asyncio.sleep(600)
        if mode == "reset":
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(600)
        if mode == "short":
            part = web.StreamResponse(headers={"Content-Length": "100"})
            await part.prepare(request)
            await part.write(b"half of it")
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(600)
        if mode == "500":
            return web.Response(status=500, text="secret of the server")
        if mode == "redirect":
            return web.Response(status=302, headers={"Location": "http://192.0.2.99/"})
        if body.get("stream"):
            return await self._stream(request, mode, int(body.get("pieces", 5)))
        if request.path == "/v1/audio/speech":
            return web.Response(body=bytes(range(256)) * 512, content_type="audio/wav")
        if request.path == "/v1/audio/transcriptions":
            await asyncio.sleep(0.05)
            return web.json_response({"text": "nine o'clock", **body})
        if request.path == "/v1/embeddings":
            vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
            usage = {"prompt_tokens": 1, "total_tokens": 1}
            return web.json_response(
                {"object": "list", "data": [vector], "model": self.model, "usage": usage}
            )
        choice = {"index": 0, "finish_reason": "stop", "message": message("hello")}
        answer = {"id": "1", "object": "chat.completion", "created": 0, "choices": [choice]}
        return web.json_response({**answer, "model": self.model}, headers={"Set-Cookie": "a=b"})

    async def _stream(self, request: web.Request, mode: str, pieces: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(pieces):
            choice = {"index": 0, "delta": message(f"{number} "), "finish_reason": None}
            event = {"id": "1", "object": "chat.completion.chunk", "created": 0}
            data = json.dumps({**event, "model": self.model, "choices": [choice]})
            await response.write(b"data: %s\n\n" % data.encode())
            await asyncio.sleep(0.02)
            if mode == "reset in the middle" and number == 2:
                assert request.transport is not None
                request.transport.abort()
                await asyncio.sleep(600)
            if mode == "stop in the middle" and number == 2:
                await asyncio.sleep(600)
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response


def message(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


class Process:
    """The gateway, its files in a folder."""

    def __init__(self, folder: Path, services: list[dict[str, Any]], **settings: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.endpoints = folder / "endpoints.json"
        self.log = folder / "gateway.log"
        self.write(services)
        config = {
            "bind": "127.0.0.1",
            "port": self.port,
            "endpoints": str(self.endpoints),
            "allowed": ["127.0.0.1"],
            "spool": str(folder),
            **settings,
        }
        self._config = folder / "gateway.json"
        self._config.write_text(json.dumps(config), encoding="utf-8")

    def write(self, services: list[dict[str, Any]]) -> None:
        self.write_text(json.dumps({"schema": 1, "services": services}))

    def write_text(self, text: str) -> None:
        new = self.endpoints.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(self.endpoints)

    def __enter__(self) -> Process:
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", str(self._config)],
                env={**os.environ, "PYTHONPATH": str(FILES)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until(self.answers, 20)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text())
        try:
            return httpx.get(self.url + "/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def health(self) -> dict[str, Any]:
        return dict(httpx.get(self.url + "/health", trust_env=False).json())

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def post(
        self, path: str = CHAT, body: Mapping[str, Any] | None = None, **options: Any
    ) -> httpx.Response:
        return httpx.post(self.url + path, json=body or {}, trust_env=False, timeout=30, **options)


def until(condition: Any, seconds: float = 10) -> None:
    """Wait until it is true. Raises AssertionError if it is not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, condition
        time.sleep(0.02)


def entry(
    upstream: Upstream, name: str = "main", kind: str = "chat", **other: Any
) -> dict[str, Any]:
    """The service of a file of endpoints."""
    paths = {
        "chat": [CHAT, "/v1/completions", "/v1/messages"],
        "embeddings": ["/v1/embeddings"],
        "speech_to_text": ["/v1/audio/transcriptions"],
        "text_to_speech": ["/v1/audio/speech"],
    }[kind]
    return {
        "name": name,
        "node": "spark1",
        "url": upstream.url,
        "kind": [kind],
        "paths": paths,
        "model": upstream.model,
        **other,
    }


# (method, path with its query, body) -> (status, JSON).
Reply = Callable[[str, str, bytes], tuple[int, Any]]


class Companion:
    """A server that answers as a function says, with all that it was asked."""

    def __init__(self, reply: Reply) -> None:
        asked: list[tuple[str, str, bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, value = (200, {"status": "ok"})
                if self.path not in ("/health", "/readyz", "/v1/models"):
                    asked.append((self.command, self.path, body))
                    status, value = reply(self.command, self.path, body)
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _reply

            def log_message(self, *_words: Any) -> None:
                pass

        self.asked = asked
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Companion:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def entry(self, name: str, *paths: str, **other: Any) -> dict[str, Any]:
        """Its service of a file of endpoints."""
        return {"name": name, "url": self.url, "kind": ["http"], "paths": [*paths], **other}
