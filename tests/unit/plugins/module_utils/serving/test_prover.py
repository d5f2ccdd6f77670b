# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the supervisor learns of its server, from servers on this machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import prover, supervisor

INSPECTED = [{"Config": {"Env": ["VLLM_API_KEY=k3y"]}, "State": {"Status": "running"}}]


@contextmanager
def server(silent: float = 0.0, tokens: bool = False) -> Iterator[str]:
    """Answers /health; a completion after so many seconds, with its key; metrics of its tokens."""
    count = 0

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal count
            count += 7 if tokens else 0
            self._say(f"vllm:generation_tokens_total{{}} {count}\n".encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(silent)
            assert self.headers["Authorization"] == "Bearer k3y"
            self._say(json.dumps({"choices": [{"text": "a"}]}).encode())

        def _say(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def workload(tmp_path: Path, url: str) -> supervisor.Workload:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho '{json.dumps(INSPECTED)}'\n")
    docker.chmod(0o755)
    return supervisor.Workload(
        "dgxspark-a-0", "a", "p", 0, ("192.0.2.1",), 1, 3, str(docker), url=url, model="m"
    )


@pytest.mark.parametrize("until", [True, False])
def test_a_server_that_answers_is_proven_with_its_key(tmp_path: Path, until: bool) -> None:
    with server() as url:
        assert prover.prove(workload(tmp_path, url), 10, until)[0].phase == "serving"


@pytest.mark.parametrize(("tokens", "expected"), [(False, "healthy"), (True, "busy")])
def test_a_server_that_works_for_others_is_not_silent(
    tmp_path: Path, tokens: bool, expected: str
) -> None:
    with server(silent=2.0, tokens=tokens) as url:
        assert prover.prove(workload(tmp_path, url), 0.7, False)[0].phase == expected


def test_one_that_does_not_answer_in_time_is_reported_at_the_end(tmp_path: Path) -> None:
    began = time.monotonic()
    seen, _loaded = prover.prove(workload(tmp_path, "http://127.0.0.1:9"), 0.5, True)
    assert (seen.phase, time.monotonic() - began < 5) == ("starting", True)


def test_a_start_waits_as_long_as_the_recipe_says_for_the_first_answer(tmp_path: Path) -> None:
    with server(silent=1.5) as url:
        one = workload(tmp_path, url)._replace(probe='{"light": "/up", "first_seconds": 1}')
        began = time.monotonic()
        # Each look ends after a second, and the next one begins.
        assert prover.prove(one, 1.2, True)[0].phase == "healthy"
        assert time.monotonic() - began < 8
        patient = one._replace(probe='{"first_seconds": 9}')
        assert prover.prove(patient, 9, True)[0].phase == "serving"


def test_without_docker_nothing_is_known(tmp_path: Path) -> None:
    one = workload(tmp_path, "http://127.0.0.1:9")._replace(docker="/nonexistent/docker")
    assert prover.prove(one, 1, False)[0].phase == "starting"


def test_the_program_prints_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with server() as url:
        one = workload(tmp_path, url)
        unit = tmp_path / "dgxspark-a-0.service"
        values = {"container": one.container, "recipe": "a", "plan": "p", "rank": 0}
        values |= {"members": "192.0.2.1", "port": 1, "starts": 3, "docker": one.docker}
        values |= {"url": url, "model": "m"}
        lines = [f"{key.capitalize()}={value}" for key, value in values.items()]
        unit.write_text("\n".join(["[X-Workload]", *lines]))
        assert prover.main([str(unit), "10", "once"]) == 0
    assert json.loads(capsys.readouterr().out)["phase"] == "serving"
