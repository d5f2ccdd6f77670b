# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module itself, with a fake Docker client and the real sockets of this machine."""

from __future__ import annotations

import json
import os
import socket
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import supervisor, units
from ansible_collections.dgxspark.suite.plugins.modules import workload_info

Docker = t.Callable[[dict[str, str]], str]
RunModule = t.Callable[[dict[str, t.Any]], dict[str, t.Any]]

PS = "ps --all --quiet --no-trunc"
ID = "05bee84ec04465cb355a118ed190585b5a36688076ba1a29bbf6363411f1a4ea"
INSPECTED = [
    {
        "Id": ID,
        "State": {"Status": "running", "ExitCode": 0, "StartedAt": "2026-11-22T03:18:32.7Z"},
        "Image": "sha256:4467",
        "Name": "/dgxspark-lab-tiny-0",
        "Config": {
            "Image": "dgxspark-lab/vllm:cpu",
            "Labels": {"dgxspark.suite/owner": "dgxspark.suite"},
        },
    }
]
SCRIPTS = {
    PS: f"echo {ID}",
    f"inspect --type container {ID}": f"echo '{json.dumps(INSPECTED)}'",
    "image inspect --format {{.Id}} -- there:1": "echo sha256:4467",
    "image inspect --format {{.Id}} -- gone:1": "echo 'No such image: gone:1' >&2; exit 1",
}


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> RunModule:
    def run(arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        with patch_module_args(arguments), pytest.raises(SystemExit):
            workload_info.main()
        result: dict[str, t.Any] = json.loads(capsys.readouterr().out)
        return result

    return run


@pytest.mark.parametrize(
    ("arguments", "image_id"),
    [({}, None), ({"image": "there:1"}, "sha256:4467"), ({"image": "gone:1"}, None)],
)
def test_containers_are_reported_with_their_owner(
    docker: Docker, run_module: RunModule, arguments: dict[str, str], image_id: str | None
) -> None:
    result = run_module({"docker_bin": docker(SCRIPTS), **arguments})
    assert result["changed"] is False
    assert result["image_id"] == image_id
    assert result["containers"] == [
        {
            "name": "dgxspark-lab-tiny-0",
            "id": ID,
            "image": "dgxspark-lab/vllm:cpu",
            "image_id": "sha256:4467",
            "status": "running",
            "started": "2026-11-22T03:18:32.7Z",
            "exit_code": 0,
            "health": "",
            "published": [],
            "labels": {"dgxspark.suite/owner": "dgxspark.suite"},
            "ours": True,
            "recipe": "",
        }
    ]
    assert "log" not in result


def test_a_listening_port_is_reported_with_its_process(
    docker: Docker, run_module: RunModule
) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        result = run_module({"docker_bin": docker(SCRIPTS)})
        port = listening.getsockname()[1]
    (listener,) = [entry for entry in result["listening"] if entry["port"] == port]
    assert listener["pid"] == os.getpid()


def test_an_engine_that_is_down_fails_with_its_error(docker: Docker, run_module: RunModule) -> None:
    client = docker({PS: "echo 'Cannot connect to the Docker daemon' >&2; exit 1"})
    result = run_module({"docker_bin": client})
    assert result["failed"] is True
    assert result["msg"] == (
        f"The Docker engine of this node does not answer. {client} ps: exit status 1: "
        "Cannot connect to the Docker daemon"
    )


def test_lock_and_swap_of_a_head_are_reported_without_the_token(
    docker: Docker, run_module: RunModule, tmp_path: Path
) -> None:
    held = {"token": "t0ken", "owner": "Alice", "reason": "", "since": 0, "expires": 60}
    (tmp_path / "lock.json").write_text(json.dumps({**held, "holder": {}, "run": None}))
    (tmp_path / "swap.json").write_text('{"recipe": "lab-tiny", "phase": "wait"}')
    result = run_module({"docker_bin": docker(SCRIPTS), "state_dir": str(tmp_path)})
    assert result["lock"]["owner"] == "Alice"
    assert result["swap"] == {"recipe": "lab-tiny", "phase": "wait", "since": ""}
    assert "t0ken" not in json.dumps(result)
    assert result["memory_available_bytes"] > 0


def test_a_lock_of_another_shape_takes_nothing_else_away(
    docker: Docker, run_module: RunModule, tmp_path: Path
) -> None:
    (tmp_path / "lock.json").write_text('{"token": "t0ken", "expires": 1e300}')
    result = run_module({"docker_bin": docker(SCRIPTS), "state_dir": str(tmp_path)})
    assert (result["lock"], len(result["containers"])) == ({}, 1)
    assert "t0ken" not in json.dumps(result)


def test_every_key_that_is_returned_is_documented(
    docker: Docker, run_module: RunModule, tmp_path: Path
) -> None:
    ended = tmp_path / "services" / "main" / "ended" / "5f0c"
    ended.mkdir(parents=True)
    (ended / "log-0").write_text("one\nout of memory\x1b[2J\n")
    with socket.socket() as listening:
        listening.listen()
        result = run_module(
            {
                "docker_bin": docker(SCRIPTS),
                "log_of": "main/5f0c",
                "kernel_seconds": 60,
                "ask": True,
                "history": 1,
                "interfaces": True,
                "state_dir": str(tmp_path),
            }
        )
    documented = yaml.safe_load(workload_info.RETURN)
    assert set(result) - {"changed", "invocation", "warnings"} == set(documented)
    assert set(result["containers"][0]) == set(documented["containers"]["sample"][0])
    assert set(result["listening"][0]) == set(documented["listening"]["contains"])
    assert result["log"] == "one\nout of memory\\x1b[2J"


def serving(rank: int, url: str) -> dict[str, t.Any]:
    """A running container of a workload that serves at url, as docker inspect shows it."""
    labels = {
        "dgxspark.suite/owner": "dgxspark.suite",
        "dgxspark.suite/rank": str(rank),
        "dgxspark.suite/url": url,
        "dgxspark.suite/served-model-name": "m",
    }
    return {
        **INSPECTED[0],
        "Id": f"{rank}a",
        "Name": f"/dgxspark-m-{rank}",
        "Config": {"Image": "i", "Labels": labels, "Env": []},
    }


def test_the_label_decides_what_a_server_is_asked(
    docker: Docker, serve: t.Callable[[dict[str, t.Any]], str], run_module: RunModule
) -> None:
    def rank_documents(handler: t.Any) -> None:
        scores = [{"index": i, "score": score} for i, score in enumerate((0.1, 0.9, 0.2))]
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(json.dumps(scores).encode())

    url = serve({"GET /health": rank_documents, "POST /v1/rerank": rank_documents})
    container = serving(0, url)
    container["Config"]["Labels"]["dgxspark.suite/kind"] = "rerank"
    inspected = f"echo '{json.dumps([container])}'"
    client = docker({PS: "echo 0a", "inspect --type container 0a": inspected})
    answer = run_module({"docker_bin": client, "ask": True})["answers"]["dgxspark-m-0"]
    assert (answer["phase"], answer["kind"]) == ("serving", "rerank")


def test_only_the_server_of_rank_0_is_asked_for_a_completion(
    docker: Docker, run_module: RunModule
) -> None:
    """All ranks have the URL in a label."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    ranks = [serving(0, url), serving(1, url)]
    client = docker(
        {
            PS: "echo 0a 1a",
            "inspect --type container 0a 1a": f"echo '{json.dumps(ranks)}'",
            "inspect --type container 0a": f"echo '{json.dumps(ranks[:1])}'",
            "inspect --type container 1a": f"echo '{json.dumps(ranks[1:])}'",
        }
    )
    answers = run_module({"docker_bin": client, "ask": True})["answers"]
    assert list(answers) == ["dgxspark-m-0"]
    answer = answers["dgxspark-m-0"]
    assert (answer["phase"], answer["detail"]) == ("starting", "Connection refused")
    assert "answers" not in run_module({"docker_bin": client})


DENIED = {PS: "echo 'permission denied while trying to connect to the docker API' >&2; exit 1"}


@pytest.fixture
def alice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user of the module is not root."""
    monkeypatch.setattr(os, "geteuid", lambda: 65534)


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., None]:
    """Install a unit of main in place of those of this machine; state: as systemctl reports it."""
    folder = tmp_path / "units"
    folder.mkdir()
    monkeypatch.setattr(units, "FOLDER", str(folder))
    monkeypatch.setattr(supervisor, "STATE", str(tmp_path / "state"))
    systemctl = tmp_path / "systemctl"
    monkeypatch.setattr(units, "SYSTEMCTL", str(systemctl))

    def install(url: str, state: str = "active", rank: int = 0, text: str = "") -> None:
        name = f"dgxspark-main-{rank}"
        spec = {
            "recipe": "lab-tiny",
            "plan": "7d3d",
            "rank": rank,
            "port": 25001,
            "starts": 3,
            "members": ["192.0.2.1", "192.0.2.2"],
            "nodes": ["spark1", "spark2"],
            "url": url,
            "model": "m",
            "kind": ["completion"],
        }
        shown = units.unit_text(name, spec, "/usr/bin/docker", "/usr/bin/python3")
        (folder / f"{name}.service").write_text(shown)
        lines = ["LoadState=loaded", f"ActiveState={state}", "UnitFileState=enabled"]
        said = "\n".join([*lines, f"StatusText={text}"])
        systemctl.write_text(f"#!/bin/sh\necho '{said}'\n")
        systemctl.chmod(0o755)

    return install


def completed(handler: t.Any) -> None:
    body = {"choices": [{"text": "a", "finish_reason": "length"}], "usage": {}}
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(json.dumps(body).encode())


def keyed(handler: t.Any) -> None:
    handler.send_response(401)
    handler.end_headers()
    handler.wfile.write(b'{"error": "Unauthorized"}')


def healthy(handler: t.Any) -> None:
    handler.send_response(200)
    handler.end_headers()


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("reply", "phase", "denied"), [(completed, "serving", False), (keyed, "healthy", True)]
)
def test_a_user_who_may_not_ask_docker_gets_units_and_answers_without_a_key(
    docker: Docker,
    serve: t.Callable[[dict[str, t.Any]], str],
    run_module: RunModule,
    unit: t.Callable[..., None],
    reply: t.Any,
    phase: str,
    denied: bool,
) -> None:
    url = serve({"GET /health": healthy, "POST /v1/completions": reply})
    unit(url, text="runs, with 2 ranks in all")
    result = run_module({"docker_bin": docker(DENIED), "partial": True, "ask": True})
    assert "may not use Docker. Run with -b, or" in result["containers_unknown"]
    assert "sudo usermod -aG docker" in result["containers_unknown"]
    assert result["containers"] == []
    (found,) = result["units"]
    assert (found["state"], found["status_text"]) == ("active", "runs, with 2 ranks in all")
    assert (found["service"], found["nodes"], found["url"]) == ("main", ["spark1", "spark2"], url)
    answer = result["answers"]["dgxspark-main-0"]
    assert (answer["phase"], answer["denied"]) == (phase, denied)


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("more", [{"state": "inactive"}, {"rank": 1}])
def test_no_server_is_asked_whose_unit_does_not_run_or_which_is_elsewhere(
    docker: Docker, run_module: RunModule, unit: t.Callable[..., None], more: dict[str, t.Any]
) -> None:
    unit("http://127.0.0.1:1", **more)
    result = run_module({"docker_bin": docker(DENIED), "partial": True, "ask": True})
    assert (len(result["units"]), result["answers"]) == (1, {})


@pytest.mark.usefixtures("alice")
def test_a_launch_gets_no_part_of_the_truth(docker: Docker, run_module: RunModule) -> None:
    result = run_module({"docker_bin": docker(DENIED)})
    assert result["failed"] is True
    assert "sudo usermod -aG docker" in result["msg"]


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("partial", [False, True])
def test_a_user_in_the_group_docker_gets_the_containers(
    docker: Docker, run_module: RunModule, partial: bool
) -> None:
    result = run_module({"docker_bin": docker(SCRIPTS), "partial": partial})
    assert (len(result["containers"]), result["containers_unknown"]) == (1, "")


@pytest.mark.parametrize("partial", [False, True])
def test_an_engine_that_is_down_or_denies_root_fails(
    docker: Docker, run_module: RunModule, partial: bool
) -> None:
    if os.geteuid() == 0:
        result = run_module({"docker_bin": docker(DENIED), "partial": partial})
        assert result["failed"] is True
        assert "usermod" not in result["msg"]
    down = docker({PS: "echo 'Cannot connect to the Docker daemon' >&2; exit 1"})
    assert run_module({"docker_bin": down, "partial": partial})["failed"] is True
