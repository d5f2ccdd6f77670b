# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a server, with a fake Docker client and a real HTTP server."""

from __future__ import annotations

import json
import time
import typing as t
from http.server import BaseHTTPRequestHandler

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.modules import wait_serving

Docker = t.Callable[[dict[str, str]], str]
Reply = t.Callable[[BaseHTTPRequestHandler], None]
Serve = t.Callable[[dict[str, Reply]], str]
RunModule = t.Callable[..., dict[str, t.Any]]

NAME = "dgxspark-lab-tiny-0"
LOG = "2026-11-22T03:20:22.733742337Z INFO:     Application startup complete."
TRACE = (
    "2026-11-22T03:20:20.000000001Z Traceback (most recent call last):\n"
    "2026-11-22T03:20:20.000000002Z ValueError: unknown dtype: no-such-dtype"
)


def scripts(
    status: str = "running", code: int = 0, log: str = LOG, env: t.Sequence[str] = ()
) -> dict[str, str]:
    inspected = [
        {
            "Id": "05bee84e",
            "State": {"Status": status, "ExitCode": code},
            "Image": "sha256:4467",
            "Name": f"/{NAME}",
            "Config": {"Image": "dgxspark-lab/vllm:cpu", "Labels": {}, "Env": list(env)},
        }
    ]
    return {
        f"inspect --type container {NAME}": f"echo '{json.dumps(inspected)}'",
        f"logs --timestamps --tail 200 {NAME}": f"echo '{log}' >&2",
    }


def text(body: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(body.encode())

    return reply


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> RunModule:
    def run(client: str, url: str, **arguments: t.Any) -> dict[str, t.Any]:
        given = {
            "docker_bin": client,
            "url": url,
            "model": "lab-tiny",
            "container": NAME,
            **arguments,
        }
        with patch_module_args(given), pytest.raises(SystemExit):
            wait_serving.main()
        result: dict[str, t.Any] = json.loads(capsys.readouterr().out)
        return result

    return run


@pytest.mark.parametrize(
    ("ask", "phase", "completion"), [(True, "serving", " sparks"), (False, "healthy", None)]
)
def test_a_completion_is_asked_for_only_if_told(
    docker: Docker,
    serve: Serve,
    run_module: RunModule,
    ask: bool,
    phase: str,
    completion: str | None,
) -> None:
    said = json.dumps({"choices": [{"text": " sparks"}]})
    url = serve({"GET /health": text(""), "POST /v1/completions": text(said)})
    result = run_module(docker(scripts()), url, ask=ask)
    assert "failed" not in result
    assert result["changed"] is False
    assert (result["phase"], result["answer"]) == (phase, completion)
    assert (result["answer_seconds"] is not None) is ask
    assert result["kind"] == ("completion" if ask else "")
    assert result["last_log"] == "INFO:     Application startup complete."
    assert set(result) - {"changed", "invocation", "warnings"} == set(
        yaml.safe_load(wait_serving.RETURN)
    )


def test_the_kind_decides_what_is_asked(
    docker: Docker, serve: Serve, run_module: RunModule
) -> None:
    scores = [{"index": i, "relevance_score": score} for i, score in enumerate((0.1, 0.9, 0.2))]
    url = serve({"GET /health": text(""), "POST /v1/rerank": text(json.dumps({"results": scores}))})
    result = run_module(docker(scripts()), url, kind=["rerank"])
    assert (result["phase"], result["kind"]) == ("serving", "rerank")


def test_what_the_recipe_says_of_its_probes_is_asked(
    docker: Docker, serve: Serve, run_module: RunModule
) -> None:
    url = serve({"GET /up": text("")})
    result = run_module(docker(scripts()), url, kind=["http"], probe={"light": "/up"})
    assert (result["phase"], result["detail"]) == ("serving", "/up answers")


def test_the_first_answer_has_the_limit_of_its_recipe(
    docker: Docker, drip: t.Callable[..., str], run_module: RunModule
) -> None:
    started = time.monotonic()
    url = drip(b"HTTP/1.1 200 OK\r\n")
    result = run_module(docker(scripts()), url, ask=True, probe={"first_seconds": 1})
    assert 0.9 < time.monotonic() - started < 5
    assert result["phase"] == "healthy"


@pytest.mark.parametrize(
    ("health", "phase"), [(None, "serving"), ("healthy", "serving"), ("unhealthy", "refusing")]
)
def test_a_bot_is_its_container(
    docker: Docker, run_module: RunModule, health: str | None, phase: str
) -> None:
    inspected = json.loads(scripts()[f"inspect --type container {NAME}"][len("echo '") : -1])
    if health:
        inspected[0]["State"]["Health"] = {"Status": health}
    client = docker(
        {**scripts(), f"inspect --type container {NAME}": f"echo '{json.dumps(inspected)}'"}
    )
    result = run_module(client, "http://127.0.0.1:1", kind=["bot"])
    assert result["phase"] == phase


def test_a_completion_takes_no_longer_than_what_is_left(
    docker: Docker, drip: t.Callable[..., str], run_module: RunModule
) -> None:
    url = drip(b"HTTP/1.1 200 OK\r\n")
    started = time.monotonic()
    result = run_module(docker(scripts()), url, ask=True, completion_timeout=60, remaining=0.5)
    assert time.monotonic() - started < 5
    assert result["phase"] == "healthy"


def test_a_container_that_has_ended_fails_with_its_last_words(
    docker: Docker, run_module: RunModule
) -> None:
    result = run_module(docker(scripts("exited", 1, TRACE)), "http://127.0.0.1:1")
    assert result["failed"] is True
    assert result["msg"] == (
        f"Container {NAME} has ended (exited, exit status 1): "
        "ValueError: unknown dtype: no-such-dtype"
    )


def test_a_container_that_is_gone_fails(docker: Docker, run_module: RunModule) -> None:
    gone = {
        f"inspect --type container {NAME}": f"echo []; echo 'No such container: {NAME}' >&2; exit 1"
    }
    result = run_module(docker(gone), "http://127.0.0.1:1")
    assert result["failed"] is True
    assert result["msg"] == f"Container {NAME} is gone."


def test_an_engine_that_does_not_answer_is_not_taken_for_the_end(
    docker: Docker, run_module: RunModule
) -> None:
    busy = {f"inspect --type container {NAME}": "echo 'context deadline exceeded' >&2; exit 1"}
    result = run_module(docker(busy), "http://127.0.0.1:1")
    assert "failed" not in result
    assert result["phase"] == "unknown"
    assert "context deadline exceeded" in result["detail"]


@pytest.mark.parametrize(
    ("env", "arguments"),
    [
        ((), {"api_key": "s3cret"}),
        (("A=b=c", "VLLM_API_KEY=s3cret"), {}),
        (("LLAMA_API_KEY=s3cret",), {}),
        (("VLLM_API_KEY=other",), {"api_key": "s3cret"}),
    ],
)
def test_the_key_goes_with_the_question_and_nowhere_else(
    docker: Docker,
    serve: Serve,
    run_module: RunModule,
    env: tuple[str, ...],
    arguments: dict[str, str],
) -> None:
    sent: list[str | None] = []

    def complete(handler: BaseHTTPRequestHandler) -> None:
        sent.append(handler.headers["Authorization"])
        text(json.dumps({"choices": [{"text": ""}]}))(handler)

    url = serve({"GET /health": text(""), "POST /v1/completions": complete})
    result = run_module(docker(scripts(env=env)), url, **arguments)
    assert result["phase"] == "serving"
    assert sent == ["Bearer s3cret"]
    assert "s3cret" not in json.dumps(result)


def test_a_rank_without_a_server_is_only_watched(docker: Docker, run_module: RunModule) -> None:
    joined = "2026-11-22T03:20:22.733742337Z dgxspark: all 2 nodes have joined Ray"
    result = run_module(docker(scripts(log=joined)), "", ask=True)
    assert (result["phase"], result["joined"]) == ("running", True)
    ended = run_module(docker(scripts("exited", 137)), "")
    assert ended["failed"] is True
    assert "has ended (exited, exit status 137)" in ended["msg"]
