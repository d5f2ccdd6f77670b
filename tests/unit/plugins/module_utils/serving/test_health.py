# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of services, over real HTTP."""

from __future__ import annotations

import json
import threading
import time
import typing as t
from http.server import BaseHTTPRequestHandler

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import (
    Container,
    EngineError,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import proof
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.health import (
    BUSY,
    DOWN,
    STOPPED,
    UNKNOWN,
    UP,
    Health,
    Target,
    ask,
    ask_all,
    targets,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.proof import Given
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.units import SupervisedUnit

Reply = t.Callable[[BaseHTTPRequestHandler], None]
Serve = t.Callable[[dict[str, Reply]], str]

COMPLETION = json.dumps({"choices": [{"index": 0, "text": " a"}], "model": "m"})
RUNNING = 'vllm:num_requests_running{engine="0"} 3.0\n'
IDLE = 'vllm:num_requests_running{engine="0"} 0.0\nvllm:generation_tokens_total 5\n'


def answer(status: int, body: str = "", seconds: float = 0) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body.encode())

    return reply


def rising() -> Reply:
    """One token more with each answer."""
    counted = [0]

    def reply(handler: BaseHTTPRequestHandler) -> None:
        counted[0] += 1
        answer(200, f"vllm:num_requests_running 1\nvllm:generation_tokens_total {counted[0]}\n")(
            handler
        )

    return reply


def no_key(_container: str) -> str:
    raise EngineError("permission denied")


OK, HANGS = answer(200), answer(200, seconds=3)
LIGHT: dict[str, tuple[dict[str, Reply], str, str]] = {
    "answers": ({"GET /health": OK}, UP, "/health answers"),
    "loading": ({"GET /health": answer(503)}, DOWN, "/health answers 503"),
    "hangs": ({"GET /health": HANGS, "GET /metrics": answer(404)}, DOWN, "timed out"),
    "hangs with nothing to do": (
        {"GET /health": HANGS, "GET /metrics": answer(200, IDLE)},
        DOWN,
        "timed out",
    ),
    "hangs and works": (
        {"GET /health": HANGS, "GET /metrics": answer(200, RUNNING)},
        BUSY,
        "timed out; 3 requests are running",
    ),
    "late and works": (
        {"GET /health": answer(200, seconds=1.2), "GET /metrics": answer(200, RUNNING)},
        BUSY,
        "/health answers late; 3 requests are running",
    ),
    "late and idle": (
        {"GET /health": answer(200, seconds=1.2), "GET /metrics": answer(200, IDLE)},
        UP,
        "/health answers",
    ),
}


@pytest.mark.parametrize("case", LIGHT.values(), ids=LIGHT)
def test_a_light_probe(serve: Serve, case: tuple[dict[str, Reply], str, str]) -> None:
    replies, state, detail = case
    found = ask(Target("main", serve(replies), "m", ("chat",)), False, 2, no_key)
    assert (found.state, found.detail, found.deep) == (state, detail, False)


def test_nobody_listens() -> None:
    found = ask(Target("main", "http://127.0.0.1:9", unit="failed"), False, 5, no_key)
    assert found == Health(DOWN, "starting", "Connection refused; its unit is failed")


ASKED = "POST /v1/completions"
DEEP: dict[str, tuple[dict[str, Reply], str, str, bool]] = {
    "right": ({ASKED: answer(200, COMPLETION)}, UP, "a completion was answered", True),
    "engine dead": ({ASKED: answer(500, "Dead")}, DOWN, "was answered with 500: Dead", True),
    "hangs": ({ASKED: HANGS, "GET /metrics": answer(200, RUNNING)}, DOWN, "timed out", True),
    "works for others": (
        {ASKED: HANGS, "GET /metrics": rising()},
        BUSY,
        "no completion: timed out; 1 tokens more within the probe",
        True,
    ),
    "no key": ({ASKED: answer(401)}, UP, "needs an API key", False),
}


@pytest.mark.parametrize("case", DEEP.values(), ids=DEEP)
def test_a_deep_probe(serve: Serve, case: tuple[dict[str, Reply], str, str, bool]) -> None:
    replies, state, detail, deep = case
    url = serve({"GET /health": OK, **replies})
    found = ask(Target("main", url, "m", ("chat",), proof.NOTHING, "c0ffee"), True, 2, no_key)
    assert (found.state, found.deep) == (state, deep)
    assert detail in found.detail


def test_the_key_of_a_container_is_sent_and_is_not_returned(serve: Serve) -> None:
    sent: list[str | None] = []

    def reply(handler: BaseHTTPRequestHandler) -> None:
        sent.append(handler.headers.get("Authorization"))
        answer(200, COMPLETION)(handler)

    url = serve({"GET /health": OK, ASKED: reply})
    target = Target("main", url, "m", ("chat",), proof.NOTHING, "c0ffee", "running")
    found = ask(target, True, 5, {"c0ffee": "s3cret"}.__getitem__)
    assert sent == ["Bearer s3cret"]
    assert "s3cret" not in repr((target, found))


def test_a_wrong_key_that_could_be_read_is_an_outage(serve: Serve) -> None:
    url = serve({"GET /health": OK, ASKED: answer(401)})
    found = ask(
        Target("main", url, "m", ("chat",), proof.NOTHING, "c0ffee"), True, 5, lambda _id: "old"
    )
    assert found.state == DOWN


def test_eight_services_take_no_longer_than_one(serve: Serve) -> None:
    together = threading.Barrier(8, timeout=5)

    def reply(handler: BaseHTTPRequestHandler) -> None:
        # Answers only when all eight have asked.
        together.wait()
        OK(handler)

    wanted = [Target(f"s{n}", serve({"GET /health": reply})) for n in range(8)]
    started = time.monotonic()
    assert [found.state for _target, found in ask_all(wanted, False, 5, no_key)] == [UP] * 8
    assert time.monotonic() - started < 3
    assert ask_all([], False, 5, no_key) == []


@pytest.mark.parametrize(
    ("target", "state", "detail"),
    [
        (Target("b", kind=("bot",), status="running"), UP, "the container runs"),
        (
            Target("b", kind=("bot",), given=Given(health="starting"), status="running"),
            UP,
            "starting",
        ),
        (
            Target("b", kind=("bot",), given=Given(health="unhealthy"), status="running"),
            DOWN,
            "unhealthy",
        ),
        (Target("b", kind=("bot",), status="exited"), DOWN, "its container is exited"),
        (Target("b", kind=("bot",), unit="active", activity="runs, with 1 ranks"), UP, "runs"),
        (Target("b", kind=("bot",), unit="active", activity="waits"), UNKNOWN, "only Docker"),
        (Target("b", kind=("bot",), unit="failed"), DOWN, "its unit is failed"),
        (Target("old", unit="active"), UNKNOWN, "its unit does not have its address"),
        (Target("m", "http://127.0.0.1:9", status="exited"), DOWN, "its container is exited"),
    ],
)
def test_a_service_that_cannot_be_asked(target: Target, state: str, detail: str) -> None:
    found = ask(target, True, 1, no_key)
    assert found.state == state
    assert detail in found.detail


def container(name: str, **labels: str) -> Container:
    ours = {"dgxspark.suite/owner": "dgxspark.suite"}
    more = {f"dgxspark.suite/{key.replace('_', '-')}": value for key, value in labels.items()}
    return Container(name, f"id-{name}", "i", "sha", "running", 0, {**ours, **more})


def test_services_come_from_units_and_from_containers() -> None:
    head = {"rank": 0, "service": "main", "url": "http://192.0.2.1:8000", "model": "m"}
    installed = [
        SupervisedUnit("dgxspark-main-0", "r", "p", "active", kind=("chat", "new"), **head),
        SupervisedUnit("dgxspark-two-1", "r", "p", "active", rank=1, service="two"),
    ]
    present = [
        container("dgxspark-main-0", rank="0", service="main"),
        container("dgxspark-main-0.previous", rank="0", service="main", url="http://192.0.2.1:1"),
        container(
            "dgxspark-tts-0",
            rank="0",
            service="tts",
            url="http://192.0.2.1:2",
            kind="bot",
            probe='{"light": "/up"}',
        ),
        Container("other", "x", "i", "sha", "running", 0, {"dgxspark.suite/rank": "0"}),
    ]
    watch = [{"name": "search", "url": "http://192.0.2.9:80/"}]
    assert targets(installed, present, watch) == [
        Target(
            "main",
            "http://192.0.2.1:8000",
            "m",
            ("chat",),
            proof.NOTHING,
            "id-dgxspark-main-0",
            "running",
            unit="active",
        ),
        Target(
            "tts", "http://192.0.2.1:2", "", ("bot",), Given("/up"), "id-dgxspark-tts-0", "running"
        ),
        Target("search", "http://192.0.2.9:80", kind=("http",), watched=True),
    ]
    assert [target.container for target in targets(installed, [], ())] == [""]


def test_the_phase_of_a_container_that_does_not_run() -> None:
    assert ask(Target("m", status="dead"), False, 1, no_key).phase == STOPPED


def test_a_vector_store_that_is_only_watched_is_not_written(serve: Serve) -> None:
    url = serve({"GET /readyz": answer(200)})
    for watched, state in ((True, UP), (False, DOWN)):
        target = Target("search", url, kind=("vector_store",), watched=watched)
        found = ask(target, True, 2, no_key)
        assert (found.state, found.deep) == (state, not watched)


def test_a_service_has_the_light_path_of_its_recipe(serve: Serve) -> None:
    url = serve({"GET /up": answer(200)})
    found = ask(Target("a", url, kind=("http",), given=Given("/up")), False, 2, no_key)
    assert (found.state, found.detail) == (UP, "/up answers")
