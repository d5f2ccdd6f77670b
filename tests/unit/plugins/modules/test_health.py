# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module itself, with a fake Docker client and a real HTTP server."""

from __future__ import annotations

import json
import os
import time
import typing as t
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import supervisor, units
from ansible_collections.dgxspark.suite.plugins.modules import health

Docker = t.Callable[[dict[str, str]], str]
Serve = t.Callable[[dict[str, t.Callable[[BaseHTTPRequestHandler], None]]], str]
RunModule = t.Callable[[dict[str, t.Any]], dict[str, t.Any]]

ID = "05bee84ec04465cb355a118ed190585b5a36688076ba1a29bbf6363411f1a4ea"
DENIED = "permission denied while trying to connect to the Docker daemon socket"


def ok(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def inspected(url: str) -> str:
    labels = {
        "dgxspark.suite/owner": "dgxspark.suite",
        "dgxspark.suite/service": "main",
        "dgxspark.suite/rank": "0",
        "dgxspark.suite/url": url,
        "dgxspark.suite/served-model-name": "lab-tiny",
        "dgxspark.suite/kind": "chat",
    }
    state = {"Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}}
    return json.dumps(
        [
            {
                "Id": ID,
                "State": state,
                "Image": "sha256:4467",
                "Name": "/dgxspark-main-0",
                "Config": {"Image": "i", "Labels": labels, "Env": ["VLLM_API_KEY=s3cret"]},
            }
        ]
    )


def unit(folder: Path, url: str, rank: int = 0) -> None:
    spec = {
        "recipe": "lab-tiny",
        "service": "main",
        "plan": "7d3d",
        "rank": rank,
        "members": ["192.0.2.1", "192.0.2.2"],
        "port": 25010,
        "starts": 3,
        "nodes": ["spark1", "spark2"],
        "url": url,
        "model": "lab-tiny",
        "kind": ["chat"],
    }
    name = f"dgxspark-main-{rank}"
    path = folder / f"{name}.service"
    path.write_text(units.unit_text(name, spec, "/usr/bin/docker", "/usr/bin/python3"))
    path.chmod(0o644)


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> RunModule:
    def run(arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        with patch_module_args(arguments), pytest.raises(SystemExit):
            health.main()
        result: dict[str, t.Any] = json.loads(capsys.readouterr().out)
        return result

    return run


@pytest.fixture(autouse=True)
def node(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of units, one of state that only its owner may enter, a systemd without answers."""
    for name, mode in (("units", 0o755), ("state", 0o700)):
        (place / name).mkdir()
        (place / name).chmod(mode)
    monkeypatch.setattr(units, "FOLDER", str(place / "units"))
    monkeypatch.setattr(supervisor, "STATE", str(place / "state"))
    monkeypatch.setattr(units, "SYSTEMCTL", str(place / "systemctl"))
    monkeypatch.setattr(health, "find_tool", lambda name: str(place / name))
    monkeypatch.setattr(health, "CONTAINER", str(place / "container"))
    return place


@contextmanager
def as_nobody() -> t.Iterator[None]:
    """As a user without rights, as far as this process is root's."""
    groups, group, user = os.getgroups(), os.getegid(), os.geteuid()
    if user != 0:
        yield
        return
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)
        os.setgroups(groups)


def test_a_user_without_docker_gets_the_services_of_the_units(
    node: Path, run_module: RunModule, serve: Serve
) -> None:
    url = serve({"GET /health": ok})
    unit(node / "units", url)
    path = node / "state" / "dgxspark-main-0.service.json"
    path.write_text('{"down": {"at": 1, "why": "x"}}')
    path.chmod(0o600)
    client = node / "docker"
    client.write_text(f"#!/bin/sh\necho '{DENIED}' >&2; exit 1\n")
    client.chmod(0o755)
    with as_nobody():
        result = run_module({"docker_bin": str(client), "deep": False})
    (service,) = result["services"]
    assert (service["name"], service["url"], service["state"]) == ("main", url, "up")
    assert (service["model"], service["kind"]) == ("lab-tiny", ["chat"])
    assert result["containers"] == []
    assert "nobody may not use Docker. Run with -b" in result["containers_unknown"]
    assert result["changed"] is False


def test_a_missing_docker_client_is_a_reason(run_module: RunModule, tmp_path: Path) -> None:
    result = run_module({"docker_bin": str(tmp_path / "none")})
    assert "does not exist" in result["containers_unknown"]
    assert (result["services"], result["ranks"]) == ([], [])


def test_a_rank_without_the_server_is_reported_and_not_asked(
    node: Path, run_module: RunModule, docker: Docker
) -> None:
    unit(node / "units", "http://127.0.0.1:9", rank=1)
    result = run_module({"docker_bin": docker({"ps --all --quiet --no-trunc": "true"})})
    assert result["services"] == []
    assert result["ranks"] == [
        {
            "service": "main",
            "rank": 1,
            "nodes": ["spark1", "spark2"],
            "unit": "unknown",
            "activity": "",
        }
    ]
    assert "containers_unknown" not in result


@pytest.mark.parametrize("deep", [False, True])
def test_what_is_returned_is_documented(
    node: Path, run_module: RunModule, docker: Docker, serve: Serve, deep: bool
) -> None:
    keys: list[str | None] = []

    def completion(handler: BaseHTTPRequestHandler) -> None:
        keys.append(handler.headers.get("Authorization"))
        body = b'{"choices": [{"text": "a"}]}'
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    url = serve({"GET /health": ok, "POST /v1/completions": completion})
    unit(node / "units", url)
    client = docker(
        {
            "ps --all --quiet --no-trunc": f"echo {ID}",
            f"inspect --type container {ID}": f"echo '{inspected(url)}'",
        }
    )
    watch = [{"name": "search", "url": serve({"GET /health": ok})}]
    result = run_module({"docker_bin": client, "deep": deep, "watch": watch})
    documented = yaml.safe_load(health.RETURN)
    assert set(result) - {"changed", "invocation"} == set(documented) - {"containers_unknown"}
    for key in ("services", "ranks", "containers"):
        assert set(result[key][0]) == set(documented[key]["contains"]), key
    assert [(one["name"], one["state"], one["deep"]) for one in result["services"]] == [
        ("main", "up", deep),
        ("search", "up", deep),
    ]
    assert keys == (["Bearer s3cret"] if deep else [])
    assert "s3cret" not in json.dumps(result)
    assert result["containers"][0]["health"] == "healthy"


def test_an_engine_that_hangs_does_not_hold_up_the_answers(
    node: Path,
    run_module: RunModule,
    docker: Docker,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "DOCKER_SECONDS", 0.2)
    unit(node / "units", serve({"GET /health": ok}))
    started = time.monotonic()
    result = run_module({"docker_bin": docker({"ps --all --quiet --no-trunc": "sleep 20"})})
    assert time.monotonic() - started < 3
    assert result["services"][0]["state"] == "up"
    assert "did not end within 0.2 s" in result["containers_unknown"]


def test_faults_that_the_kernel_reports_are_returned(node: Path, run_module: RunModule) -> None:
    missing = run_module({"docker_bin": str(node / "none")})
    assert missing["kernel"] == []
    lines = [
        f"{time.time():.6f} spark1 kernel: Linux version 6.17.0",
        f"{time.time():.6f} spark1 kernel: Out of memory: Killed process 8 (python3) total-vm:1kB",
    ]
    program = node / "journalctl"
    program.write_text("#!/bin/sh\ncat <<'end'\n%s\nend\n" % "\n".join(lines))
    program.chmod(0o755)
    (entry,) = run_module({"docker_bin": str(node / "none")})["kernel"]
    assert entry["check"] == "kernel_log_oom"
    assert "1 (python3: 1)" in entry["message"]
