# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway adds to requests and to streams, beside the same server asked directly.

On this machine, without the lab: a server that answers after 50 ms or streams an event every 20 ms,
the gateway, and the clients are three processes. `--beside NAME=URL` measures another proxy of the
same server in the same run; `--port` is the port of that server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

ROOT = Path(__file__).resolve().parents[2]
PATH = "/v1/chat/completions"
EVENTS, GAP, WAIT = 50, 0.02, 0.05
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
BODY = {"model": "bench", "messages": [{"role": "user", "content": "a question " * 50}]}


@dataclass
class Figures:
    """Of one run, times in milliseconds."""

    seconds: float
    first: list[float]
    total: list[float]

    def cells(self) -> list[str]:
        rate = len(self.total) / self.seconds
        return [f"{rate:.0f}", *(f"{at(self.first, share):.1f}" for share in (0.5, 0.99))]


def at(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def server(port: int) -> None:
    """The model server. Ends with its process."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if not body.get("stream"):
            await asyncio.sleep(WAIT)
            return web.json_response({"choices": [{"index": 0, "message": {"content": "word"}}]})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _turn in range(EVENTS):
            await response.write(EVENT)
            await asyncio.sleep(GAP)
        await response.write_eof()
        return response

    async def models(_request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "bench"}]})

    app = web.Application()
    app.router.add_post(PATH, answer)
    app.router.add_get("/v1/models", models)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, backlog=1024)


async def load(url: str, clients: int, each: int, stream: bool) -> Figures:
    """So many clients at once, each with so many requests one after the other."""
    figures = Figures(0, [], [])
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask() -> None:
            started = time.perf_counter()
            async with session.post(url, json={**BODY, "stream": stream}) as response:
                assert response.status == 200, await response.text()
                first = None
                while await response.content.readany():
                    first = first or time.perf_counter()
            figures.first.append(((first or 0) - started) * 1000)
            figures.total.append((time.perf_counter() - started) * 1000)

        async def client(number: int) -> None:
            # People do not begin in the same millisecond.
            await asyncio.sleep((EVENTS * GAP if stream else WAIT) * number / clients)
            for _turn in range(each):
                await ask()

        await ask()
        figures.first.clear()
        figures.total.clear()
        started = time.perf_counter()
        await asyncio.gather(*(client(number) for number in range(clients)))
        figures.seconds = time.perf_counter() - started
    return figures


def gateway(folder: Path, port: int, upstream: int) -> tuple[subprocess.Popen[bytes], float]:
    """The process, and the seconds until it answered."""
    service = {"name": "main", "url": f"http://127.0.0.1:{upstream}", "paths": [PATH]}
    caps = {"concurrency": 1000, "queue": 1000}
    endpoints, config = folder / "endpoints.json", folder / "gateway.json"
    endpoints.write_text(json.dumps({"schema": 1, "services": [{**service, **caps}]}))
    allowed = {"allowed": ["127.0.0.1"], "endpoints": str(endpoints)}
    config.write_text(json.dumps({"bind": "127.0.0.1", "port": port, **allowed}))
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", str(config)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "roles/gateway/files")},
        stdout=subprocess.DEVNULL,
    )
    asyncio.run(answers(f"http://127.0.0.1:{port}/health"))
    return process, time.perf_counter() - started


async def answers(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for _turn in range(1000):
            try:
                async with session.get(url):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.01)
    raise SystemExit(f"bench: {url} does not answer")


def process_of(pid: int) -> tuple[float, float]:
    """MiB of memory now, and seconds of processor time so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 10, 50, 100, 500])
    parser.add_argument("--port", type=int, default=7701)
    parser.add_argument("--beside", default="", metavar="NAME=URL")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        server(given.port)
        return
    upstream = subprocess.Popen([sys.executable, __file__, "--serve", "--port", str(given.port)])
    asyncio.run(answers(f"http://127.0.0.1:{given.port}/v1/models"))
    with tempfile.TemporaryDirectory() as folder:
        process, up = gateway(Path(folder), given.port + 1, given.port)
        ways = {"direct": given.port, "gateway": given.port + 1}
        urls: dict[str, str] = {name: f"http://127.0.0.1:{to}{PATH}" for name, to in ways.items()}
        name, _equals, url = given.beside.partition("=")
        urls |= {name: url} if url else {}
        try:
            memory, load = process_of(process.pid)[0], os.getloadavg()[0]
            print(f"up in {up:.2f} s, {memory:.0f} MiB; load of this machine {load:.1f}")
            for stream in (False, True):
                measured(urls, given.clients, stream, process.pid)
            print(f"\n{process_of(process.pid)[0]:.0f} MiB after all")
        finally:
            process.terminate()
            upstream.terminate()


def measured(urls: dict[str, str], counts: list[int], stream: bool, pid: int) -> None:
    what = f"streams of {EVENTS} events" if stream else f"requests of {WAIT * 1000:.0f} ms"
    print(f"\n{what}; ms to the first byte, + what is added to direct")
    print(
        "clients  way        per s   p50     p99     +p50    +p99    gateway's ms of processor each"
    )
    for clients in counts:
        direct: Figures | None = None
        for way, url in urls.items():
            each = max(2, min(100, (20 if stream else 1000) // clients))
            before = process_of(pid)[1]
            figures = asyncio.run(load(url, clients, each, stream))
            spent = (process_of(pid)[1] - before) / len(figures.total) * 1000
            direct = direct or figures
            added: list[Any] = [at(figures.first, s) - at(direct.first, s) for s in (0.5, 0.99)]
            cells = [*figures.cells(), *(f"{value:+.1f}" for value in added)]
            cells.append(f"{spent:.2f}" if way == "gateway" else "")
            print(f"{clients:<8} {way:<9}", *(f"{cell:>7}" for cell in cells))


if __name__ == "__main__":
    main()
