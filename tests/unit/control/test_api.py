# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and answers, polls and the log of outages."""

from __future__ import annotations

import asyncio
import json
import statistics
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from control_fakes import (
    CONFIRM,
    HEALTH,
    MODELS,
    PLAN,
    STATUS,
    Lab,
    answers,
    ended,
    fail,
    free_port,
    run,
    sse,
    subject,
    until,
)
from dgxspark_control import answers as shapes
from dgxspark_control import state

Map = dict[str, Any]


class Server:
    """A model server that is up or not, on an address of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    made.start()
    yield made
    made.stop()


def health_of(url: str, **more: Any) -> Map:
    row = subject("service", "main", url=url, model="tiny", kind=["chat"], **more)
    return {**HEALTH, "subjects": [subject("node", "spark1"), row]}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/swap", {"recipe": "nothing", "confirm": CONFIRM}, 404, "not_found"),
        ("/api/swap", {"recipe": "/etc/passwd", "confirm": CONFIRM}, 404, "not_found"),
        ("/api/swap", {"recipe": "../lab-tiny", "confirm": CONFIRM}, 404, "not_found"),
        ("/api/swap", {"recipe": "lab-tiny", "confirm": ""}, 409, "changed"),
        ("/api/swap", {"recipe": "lab-tiny", "confirm": "lab-tiny@000000000000"}, 409, "changed"),
        (
            "/api/swap",
            {"recipe": "lab-tiny", "confirm": CONFIRM, "service": "new"},
            *(409, "changed"),
        ),
        (
            "/api/swap",
            {"recipe": "lab-tiny", "confirm": "", "service": "search"},
            *(409, "not_possible"),
        ),
        (
            "/api/swap",
            {"recipe": "lab-tiny", "confirm": CONFIRM, "nodes": ["spark9"]},
            *(404, "not_found"),
        ),
        ("/api/swap", {"recipe": "lab-tiny"}, 422, "invalid"),
        ("/api/swap/validate", {"recipe": "nothing"}, 404, "not_found"),
        ("/api/stop", {"confirm": ""}, 409, "changed"),
        ("/api/stop", {"confirm": "", "service": "speech"}, 409, "not_possible"),
        ("/api/stop", {"confirm": "", "service": "nothing"}, 404, "not_found"),
        ("/api/services/main/start", {"confirm": CONFIRM}, 409, "not_possible"),
        ("/api/services/main/destroy", {"confirm": CONFIRM}, 422, "invalid"),
        ("/api/services/main/restart", {"confirm": ""}, 409, "changed"),
        ("/api/services/speech/restart", {"confirm": ""}, 409, "not_possible"),
        ("/api/services/search/stop", {"confirm": ""}, 409, "not_possible"),
        ("/api/services/nothing/stop", {"confirm": ""}, 404, "not_found"),
        ("/api/services/search/logs", {}, 409, "not_possible"),
        ("/api/models/delete", {"model": "org/tiny", "confirm": "tiny"}, 422, "name_differs"),
        ("/api/models/delete", {"model": "org/tiny", "confirm": "org/tiny"}, 409, "not_possible"),
        ("/api/models/delete", {"model": "/", "confirm": "/"}, 404, "not_found"),
        ("/api/models/setup", {"model": "org/none"}, 404, "not_found"),
        ("/api/models/setup", {"model": "org/half"}, 409, "not_possible"),
        ("/api/models/setup", {"model": "org/new", "confirm": "new"}, 422, "name_differs"),
        ("/api/models/download", {"model": "../../etc"}, 422, "invalid"),
        ("/api/models/download", {"model": "org/a --check"}, 422, "invalid"),
        ("/api/health-event", {"service": "none", "ok": True, "source": "x"}, 404, "not_found"),
        ("/api/jobs/1/cancel", {}, 404, "not_found"),
        ("/api/nothing", {}, 404, "not_found"),
        ("/api/status", {}, 405, "method_not_allowed"),
    ],
)
def test_what_is_refused_is_refused_without_a_job(
    tmp_path: Path, path: str, body: Map, status: int, code: str
) -> None:
    async def test() -> None:
        lab = Lab(tmp_path)
        lab.know()
        async with lab.control() as (client, control):
            answer = await client.post(path, json=body)
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (status, code), problem
            assert answer.headers["content-type"] == "application/problem+json"
            shapes.Problem.model_validate(problem)
            assert control.jobs.listed() == []
            if code == "changed" and "service" not in body:
                assert problem["confirm"] == CONFIRM

    run(test())


def test_the_answers_have_their_shapes(tmp_path: Path) -> None:
    async def test() -> None:
        lab = Lab(tmp_path)
        lab.know(drift={"version": 1, "findings": []})
        async with lab.control() as (client, _control):
            for path, shape in (
                ("status", shapes.Status),
                ("services", shapes.Services),
                ("endpoints", shapes.Endpoints),
                ("recipes", shapes.Recipes),
                ("models", shapes.Models),
                ("swap", shapes.Swaps),
                ("swap/lock", shapes.Lock),
                ("jobs", shapes.Jobs),
                ("health", shapes.HealthReport),
                ("outages", shapes.Outages),
                ("drift", shapes.Drift),
                ("schedule", shapes.Schedule),
                ("access", shapes.Access),
            ):
                answer = await client.get(f"/api/{path}")
                assert answer.status_code == 200, (path, answer.text)
                shape.model_validate(answer.json())
            assert (await client.get("/api/drift.html")).status_code == 404
            page = lab.state / "facts" / "drift" / "drift.html"
            page.write_text("<p>drift")
            answer = await client.get("/api/drift.html")
            assert "sandbox" in answer.headers["content-security-policy"]
            schema = (await client.get("/openapi.json")).json()
            assert "/api/swap/lock" in schema["paths"]
            for wrong in ("yesterday", "99999-01-01", "-1", "1e9"):
                answer = await client.get("/api/outages", params={"since": wrong})
                assert answer.status_code == 422, wrong

    run(test())


def test_what_was_not_read_yet_is_503_with_a_time_to_wait(tmp_path: Path) -> None:
    async def test() -> None:
        lab = Lab(tmp_path)
        for name in ("status", "health", "schedule", "recipes", "models"):
            lab.playbook(name, [fail("spark1 is gone")])
        async with lab.control() as (client, _control):
            for path in ("recipes", "models", "swap", "health", "schedule"):
                answer = await client.get(f"/api/{path}")
                assert (answer.status_code, answer.json()["code"]) == (503, "not_ready"), path
                assert answer.headers["retry-after"] == "5"
            body = {"recipe": "lab-tiny", "confirm": ""}
            assert (await client.post("/api/swap", json=body)).status_code == 503
            while not (status := (await client.get("/api/status")).json())["why"].startswith(
                "status.yml has failed"
            ):
                await asyncio.sleep(0.2)
            assert status["stale"]
            assert "spark1 is gone" in status["why"] or "not polled" in status["why"]

    run(test())


def test_the_status_is_answered_from_memory(tmp_path: Path) -> None:
    async def test() -> None:
        lab = Lab(tmp_path)
        lab.know()
        async with lab.control() as (client, _control):
            answer = await client.get("/api/status")
            etag = answer.headers["etag"]
            taken = []
            for _turn in range(100):
                started = time.perf_counter()
                again = await client.get("/api/status", headers={"if-none-match": etag})
                taken.append(time.perf_counter() - started)
            assert again.status_code in (200, 304)
            assert statistics.median(taken) < 0.005, statistics.median(taken)

    run(test())


def test_plays_report_at_the_start_and_after_a_job(tmp_path: Path) -> None:
    async def test() -> None:
        lab = Lab(tmp_path)
        now = {**STATUS, "workloads": [], "history": {}}
        then = STATUS
        source = tmp_path / "now.json"

        def copy(name: str, to: str, text: str) -> Map:
            words = {"content": text, "dest": to, "mode": "0644"}
            return {"name": f"Write {name}", "ansible.builtin.copy": words}

        source.write_text(json.dumps(now))
        words = {"src": str(source), "dest": "{{ dgxspark_json }}", "mode": "0644"}
        lab.playbook("status", [{"name": "Write it", "ansible.builtin.copy": words}])
        lab.know()
        (lab.state / "facts" / "status.json").unlink()
        report = json.dumps({**HEALTH, "deep": True})
        # As the real one, which fails if anything is down.
        lab.playbook("health", [copy("it", "{{ dgxspark_json }}", report), fail("Down: x")])
        # As the real one, which makes the folder.
        folder = {"path": "{{ dgxspark_report_dir }}", "state": "directory", "mode": "0700"}
        models = copy("it", "{{ dgxspark_report_dir }}/models.json", json.dumps(MODELS))
        made = {"name": "Make the folder", "ansible.builtin.file": folder}
        lab.playbook("models", [made, models])
        async with lab.control() as (client, control):
            while (await client.get("/api/status")).json()["facts_at"] is None:
                await asyncio.sleep(0.1)
            services = (await client.get("/api/services")).json()["services"]
            assert services[0]["confirm"] == ""
            source.write_text(json.dumps(then))
            body = {"recipe": "lab-tiny", "confirm": "", "force": True}
            job = (await client.post("/api/swap", json=body)).json()
            await ended(client, job["id"])
            while (await client.get("/api/services")).json()["services"][0]["confirm"] == "":
                await asyncio.sleep(0.1)
            job = (await client.post("/api/health", json={"deep": True})).json()
            assert (await ended(client, job["id"]))["state"] == "failed"
            report = (await client.get("/api/health")).json()
            assert report["deep_at"]
            assert control.facts.failures == {}

    run(test())


def test_streams_get_the_snapshot_and_then_what_changes(tmp_path: Path) -> None:
    async def test() -> None:
        lab = Lab(tmp_path)
        lab.know()
        async with lab.control() as (client, control):
            stream = control.stream()
            first = await stream.__anext__()
            assert json.loads(first.data)["services"]
            body = {"recipe": "lab-tiny", "confirm": CONFIRM, "force": True}
            job = (await client.post("/api/swap", json=body)).json()
            names = []
            while "job" not in names or "status" not in names:
                event = await asyncio.wait_for(stream.__anext__(), 20)
                names.append(event.event)
                data = json.loads(event.data)
                if event.event == "status":
                    assert set(data) < set(control.snapshot)
                if event.event == "job":
                    assert data["id"] == job["id"]
            await stream.aclose()
            assert not control._streams
            kept = [control.stream() for _turn in range(64)]
            for one in kept:
                await one.__anext__()
            answer = await client.get("/api/events")
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
            for one in kept:
                await one.aclose()

    run(test())


def test_an_outage_is_logged_once_also_over_a_restart(tmp_path: Path, server: Server) -> None:
    async def test() -> None:
        lab = Lab(tmp_path)
        report = {**STATUS, "workloads": [{**STATUS["workloads"][0], "url": server.url}]}
        lab.know(health=health_of(server.url), status=report)
        async with lab.control() as (client, control):
            rows = state_rows(control)
            await control.poller.poll(rows, report)
            control.publish()
            assert (await client.get("/api/services")).json()["services"][0]["state"] == "up"
            server.stop()
            for expected in ("suspect", "down", "down"):
                await control.poller.poll(rows, report)
                control.publish()
                service = (await client.get("/api/services")).json()["services"][0]
                assert service["state"] == expected
            body = {"service": "main", "ok": False, "source": "notes", "error": "timed out"}
            assert (await client.post("/api/health-event", json=body)).status_code == 204
        async with lab.control() as (client, control):
            await control.poller.poll(rows, report)
            control.publish()
            assert (await client.get("/api/services")).json()["services"][0]["state"] == "down"
            server.start()
            await control.poller.poll(rows, report)
            found = (await client.get("/api/outages")).json()
            assert found["count"] == {"service/main": 1}
            changes = [
                (line["was"], line["is"], line["source"])
                for line in found["lines"]
                if line["subject"] == "service/main"
            ]
            assert changes == [
                ("down", "up", "poll"),
                ("down", "down", "report:notes"),
                ("suspect", "down", "poll"),
                ("up", "suspect", "poll"),
                ("unknown", "up", "poll"),
            ]
            for _turn in range(60):
                answer = await client.post("/api/health-event", json={**body, "source": "loud"})
            assert answer.status_code == 204
            answer = await client.post("/api/health-event", json={**body, "source": "loud"})
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
            assert (await client.post("/api/health-event", json=body)).status_code == 204

    run(test())


def state_rows(control: Any) -> Any:
    from dgxspark_control import snapshot

    return snapshot.health_rows(control.facts.report(state.HEALTH))


def test_a_node_is_asked_by_its_address_unless_a_service_of_it_answers(
    tmp_path: Path, server: Server
) -> None:
    async def test() -> None:
        closed, own = free_port(), Server()
        own.start()
        nodes = [
            {"name": "spark1", "address": "127.0.0.1", "port": closed},
            {"name": "spark2", "address": "127.0.0.2", "port": closed},
            {"name": "spark3"},
        ]
        lab = Lab(tmp_path, nodes=nodes)
        lab.know(health=health_of(server.url))
        async with lab.control() as (client, control):
            await control.poller.poll(state_rows(control), STATUS)
            await control.poller.poll(state_rows(control), STATUS)
            control.publish()
            found = (await client.get("/api/status")).json()["nodes"]
            assert [node["state"] for node in found] == ["up", "down", "unknown"]
            assert f"port {closed}" in found[1]["detail"]

    run(test())


def test_the_gateway_reads_what_control_writes(tmp_path: Path, server: Server) -> None:
    async def test() -> None:
        path = tmp_path / "endpoints.json"
        lab = Lab(tmp_path, endpoints=str(path), caps={"main": {"concurrency": 2}})
        swap = {"service": "main", "step": "stops the old plan", "state": "go"}
        report = {**STATUS, "swaps": [swap]}
        lab.know(health=health_of(server.url), status=report)
        async with lab.control():
            (entry,) = json.loads(path.read_text())["services"]
            assert (entry["name"], entry["url"], entry["model"]) == ("main", server.url, "tiny")
            assert (entry["state"], entry["concurrency"]) == ("swapping", 2)
            assert path.stat().st_mode & 0o777 == 0o644
        (entry,) = json.loads(path.read_text())["services"]
        # Nobody would end it.
        assert entry["state"] == "ready"

    run(test())


def test_the_page_and_streams_are_served_by_the_process(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.know()
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<!doctype html><title>control</title>")
    (tmp_path / "page" / "app.js").write_text("export {}")
    port = free_port()
    with lab.process(port) as process:
        assert process.poll() is None, (tmp_path / "control.log").read_text()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            page = client.get("/")
            assert "<title>control" in page.text
            assert page.headers["content-security-policy"].startswith("default-src 'self'")
            assert client.get("/app.js").headers["content-type"].startswith("text/javascript")
            assert client.get("/nothing").json()["code"] == "not_found"
            assert client.get("/../control.json").status_code == 404
            assert "server" not in page.headers
            with client.stream("GET", "/api/events", timeout=20) as stream:
                text = ""
                for part in stream.iter_text():
                    text += part
                    if "\r\n\r\n" in text or "\n\n" in text:
                        break
            ((_id, name, data),) = sse(text)
            assert (name, data["services"][0]["plan_hash"]) == ("status", PLAN)
            moments = []
            for _turn in range(50):
                started = time.perf_counter()
                assert client.get("/api/status").status_code == 200
                moments.append(time.perf_counter() - started)
            assert statistics.median(moments) < 0.05
        # A stream that is open does not hold up the end.
        with httpx.stream("GET", f"http://127.0.0.1:{port}/api/events", trust_env=False):
            process.terminate()
            until(lambda: process.poll() is not None, 15)
    assert not answers(port)
