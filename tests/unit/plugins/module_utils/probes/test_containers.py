# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Docker client says of its containers, and all that it can say instead."""

from __future__ import annotations

import json
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.containers import (
    Container,
    EngineError,
    containers,
    image_id,
    log_tail,
    merge_logs,
    parse_inspect,
)

Docker = t.Callable[[dict[str, str]], str]

HEAD = "05bee84ec04465cb355a118ed190585b5a36688076ba1a29bbf6363411f1a4ea"
FOREIGN = "572ec1192b482986131616791219979e6fb4937dacf524eddb4efb064aba0f3d"
IMAGE = "sha256:44670bc315477622b83d8132165bfa423b6f2348ea914b5bd8f5e4dbbc4d66f7"
LABELS = {
    "dgxspark.suite/owner": "dgxspark.suite",
    "dgxspark.suite/plan-hash": "d1d2",
    "dgxspark.suite/rank": "0",
}
# As Docker 28 prints them, without most of the keys that nobody reads here.
INSPECTED: list[dict[str, t.Any]] = [
    {
        "Id": HEAD,
        "Created": "2026-11-22T03:18:32.59159145Z",
        "Path": "bash",
        "Args": ["-c", "exec vllm serve"],
        "State": {"Status": "running", "Running": True, "Pid": 345, "ExitCode": 0, "Error": ""},
        "Image": IMAGE,
        "Name": "/dgxspark-lab-tiny-0",
        "HostConfig": {"NetworkMode": "host"},
        "Config": {"Image": "dgxspark-lab/vllm:cpu", "Labels": LABELS},
    },
    {
        "Id": FOREIGN,
        "Created": "2026-11-22T03:10:00.1Z",
        "State": {"Status": "exited", "Running": False, "Pid": 0, "ExitCode": 137, "Error": ""},
        "Image": IMAGE,
        "Name": "/registry",
        "Config": {"Image": "registry:2", "Labels": None},
    },
]
OURS = Container("dgxspark-lab-tiny-0", HEAD, "dgxspark-lab/vllm:cpu", IMAGE, "running", 0, LABELS)
THEIRS = Container("registry", FOREIGN, "registry:2", IMAGE, "exited", 137, {})

PS = "ps --all --quiet --no-trunc"
INSPECT = f"inspect --type container {HEAD} {FOREIGN}"


def shown(folder: Path, text: str) -> str:
    """A shell script that prints text."""
    path = folder / f"said-{len(list(folder.iterdir()))}"
    path.write_bytes(text.encode())
    return f"cat {path}"


def test_all_containers_are_described(docker: Docker, tmp_path: Path) -> None:
    client = docker(
        {
            PS: shown(tmp_path, f"{HEAD}\n{FOREIGN}\n"),
            INSPECT: shown(tmp_path, json.dumps(INSPECTED, indent=4)),
        }
    )
    assert containers(client) == [OURS, THEIRS]


def test_an_empty_engine_is_not_asked_further(docker: Docker) -> None:
    assert containers(docker({PS: ":"})) == []


def test_many_containers_are_no_less_readable(docker: Docker, tmp_path: Path) -> None:
    many = [{**entry, "Args": ["x" * 14_000]} for entry in INSPECTED * 60]
    client = docker(
        {
            PS: shown(tmp_path, f"{HEAD}\n{FOREIGN}\n"),
            INSPECT: shown(tmp_path, json.dumps(many)),
        }
    )
    assert len(containers(client)) == 120


@pytest.mark.parametrize(
    ("labels", "ours"),
    [
        (LABELS, True),
        ({}, False),
        ({"dgxspark.suite/owner": "somebody"}, False),
        ({"dgxspark.suite/recipe": "lab-tiny"}, False),
        ({"owner": "dgxspark.suite"}, False),
    ],
)
def test_ours_is_what_carries_our_label(labels: dict[str, str], ours: bool) -> None:
    assert Container("n", "i", "r", "d", "running", 0, labels).ours is ours


NO_DAEMON = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
    "Is the docker daemon running?"
)
FAULTS: dict[str, tuple[dict[str, str], str]] = {
    "no daemon": ({PS: f"echo '{NO_DAEMON}' >&2; exit 1"}, f"ps: exit status 1: {NO_DAEMON}"),
    "hangs": ({PS: "exec sleep 60"}, "ps: did not end within 0.4 s"),
    "dies": ({PS: "kill -SEGV $$"}, "ps: died by signal 11 (SIGSEGV)"),
    "inspect fails": (
        {PS: f"echo {HEAD}", f"inspect --type container {HEAD}": "echo gone >&2; exit 1"},
        "inspect: exit status 1: gone",
    ),
    "inspect prints nonsense": (
        {PS: f"echo {HEAD}", f"inspect --type container {HEAD}": "echo Hello"},
        "no list of containers: ",
    ),
}


@pytest.mark.parametrize(("scripts", "message"), FAULTS.values(), ids=FAULTS)
def test_an_engine_that_does_not_answer_is_told(
    docker: Docker, scripts: dict[str, str], message: str
) -> None:
    started = time.monotonic()
    with pytest.raises(EngineError) as caught:
        containers(docker(scripts), timeout=0.4 if "sleep" in scripts[PS] else 20)
    assert message in str(caught.value)
    assert time.monotonic() - started < 10


def test_a_missing_client_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="docker does not exist"):
        containers(str(tmp_path / "docker"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}x",
        "null",
        "7",
        '["a"]',
        '[{"Id": "a"}]',
        json.dumps([{**INSPECTED[0], "State": {"Status": "running", "ExitCode": "?"}}]),
        json.dumps([{**INSPECTED[0], "Config": None}]),
    ],
)
def test_what_describes_no_container_is_an_error(text: str) -> None:
    with pytest.raises(EngineError, match="no list of containers"):
        parse_inspect(text)


def test_no_containers_are_no_error() -> None:
    assert parse_inspect("[]\n") == []


LOOK_UP = "image inspect --format {{.Id}} -- dgxspark-lab/vllm:cpu"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (f"echo {IMAGE}", IMAGE),
        ("echo; echo 'Error: No such image: dgxspark-lab/vllm:cpu' >&2; exit 1", None),
    ],
    ids=["there", "not there"],
)
def test_an_image_is_looked_up_by_reference(
    docker: Docker, script: str, expected: str | None
) -> None:
    assert image_id(docker({LOOK_UP: script}), "dgxspark-lab/vllm:cpu") == expected


def test_an_image_that_nobody_could_look_up_is_not_called_missing(docker: Docker) -> None:
    client = docker({LOOK_UP: "exec sleep 60"})
    with pytest.raises(EngineError, match=r"image inspect: did not end within 0\.3 s"):
        image_id(client, "dgxspark-lab/vllm:cpu", timeout=0.3)


# Out of a log of vLLM over Ray; the carriage return is that of a progress bar.
STDERR = (
    "2026-11-22T03:20:16.395383322Z \x1b[36m(RayWorkerProc pid=213)\x1b[0m \r"
    "Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:00<00:00, 158.53it/s]\n"
    "2026-11-22T03:20:54.600161532Z \x1b[36m(RayWorkerProc pid=213)\x1b[0m FutureWarning: old\n"
    "2026-11-22T03:20:54.600161532Z \x1b[36m(RayWorkerProc pid=213)\x1b[0m   return func(*args)\n"
)
STDOUT = (
    '2026-11-22T03:20:23.649001467Z INFO:     172.22.0.11:43146 - "GET /health HTTP/1.1" 200 OK\n'
    '2026-11-22T03:20:54.621454505Z INFO:     "POST /v1/completions HTTP/1.1" 200 OK\r\n'
)
MERGED = [
    "Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:00<00:00, 158.53it/s]",
    'INFO:     172.22.0.11:43146 - "GET /health HTTP/1.1" 200 OK',
    "(RayWorkerProc pid=213) FutureWarning: old",
    "(RayWorkerProc pid=213)   return func(*args)",
    'INFO:     "POST /v1/completions HTTP/1.1" 200 OK',
]


def test_a_log_is_told_in_the_order_of_time_without_colours() -> None:
    assert merge_logs(STDOUT, STDERR).split("\n") == MERGED


@pytest.mark.parametrize(
    ("stdout", "expected"),
    [
        ("", ""),
        ("2026-11-22T03:20:23.649001467Z \n2026-11-22T03:20:24.649001467Z b\n", "\nb"),
        ("2026-11-22T03:20:23.649001467Z a\x0cb\u2028c\n", "a\\x0cb\\u2028c"),
        ("2026-11-22T03:20:23.649001467Z  0%\r 50%\r 100%\n", " 100%"),
        ("2026-11-22T03:20:23.649001467Z \x1b[32mINFO\x1b[0m ok\n", "INFO ok"),
        (
            "2026-11-22T03:20:23.649001467Z \x1b]52;c;eA==\x07\x1b[2J\x9b2J\x1b]0;t\x07\n",
            "\\x1b]52;c;eA==\\x07\\x1b[2J\\x9b2J\\x1b]0;t\\x07",
        ),
    ],
    ids=[
        *("empty", "an empty line", "separators that are none to Docker", "a progress bar"),
        *("colours", "what controls a terminal"),
    ],
)
def test_a_line_of_a_log_is_what_docker_stamped(stdout: str, expected: str) -> None:
    assert merge_logs(stdout, "") == expected


def test_the_tail_of_a_log_has_both_streams(docker: Docker, tmp_path: Path) -> None:
    script = f"{shown(tmp_path, STDOUT)}; {shown(tmp_path, STDERR)} >&2"
    client = docker({"logs --timestamps --tail 40 server": script})
    assert log_tail(client, "server", 40).split("\n") == MERGED


def test_a_log_that_cannot_be_read_says_why(docker: Docker) -> None:
    line = "Error response from daemon: can not get logs from container which is dead"
    client = docker({"logs --timestamps --tail 40 server": f"echo '{line}' >&2; exit 1"})
    assert log_tail(client, "server", 40) == f"exit status 1: {line}"
