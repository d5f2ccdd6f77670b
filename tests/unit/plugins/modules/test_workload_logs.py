# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs of one node's ranks, with a fake Docker client."""

from __future__ import annotations

import json
import os
import typing as t

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.modules import workload_logs

Docker = t.Callable[[dict[str, str]], str]
Result = dict[str, t.Any]


def inspected(number: int, recipe: str) -> Result:
    labels = {"owner": "dgxspark.suite", "recipe": recipe, "rank": str(number)}
    return {
        "Id": f"{number}a",
        "State": {"Status": "running", "ExitCode": 0},
        "Image": "sha256:1",
        "Name": f"/dgxspark-{recipe}-{number}",
        "Config": {
            "Image": "i",
            "Labels": {f"dgxspark.suite/{key}": value for key, value in labels.items()},
        },
    }


SCRIPTS = {
    "ps --all --quiet --no-trunc": "echo 0a 1a",
    "inspect --type container 0a 1a": (
        f"echo '{json.dumps([inspected(0, 'a'), inspected(1, 'b')])}'"
    ),
    "logs --timestamps --tail 40 dgxspark-a-0": (
        "echo '2026-11-22T03:20:23Z third'; echo '2026-11-22T03:20:21Z first' >&2"
    ),
    "logs --timestamps --tail 40 dgxspark-b-1": "echo '2026-11-22T03:20:22Z second'",
    "logs --timestamps --tail 40 --since 2026-11-22T03:20:21Z dgxspark-a-0": (
        "echo '2026-11-22T03:20:21Z first'; echo '2026-11-22T03:20:23Z third'"
    ),
}


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> t.Callable[..., Result]:
    def run(**arguments: t.Any) -> Result:
        with patch_module_args(arguments), pytest.raises(SystemExit):
            workload_logs.main()
        result: Result = json.loads(capsys.readouterr().out)
        return result

    return run


def test_lines_are_sorted_by_time_and_have_their_rank(
    docker: Docker, run_module: t.Callable[..., Result]
) -> None:
    result = run_module(docker_bin=docker(SCRIPTS))
    texts = [(line["rank"], line["text"]) for line in result["lines"]]
    assert texts == [("0", "first"), ("1", "second"), ("0", "third")]
    assert result["running"] is True
    documented = yaml.safe_load(workload_logs.RETURN)
    assert set(result) - {"changed", "invocation", "warnings"} == set(documented)
    assert set(result["lines"][0]) == set(documented["lines"]["sample"][0])


def test_lines_read_before_are_left_out(
    docker: Docker, run_module: t.Callable[..., Result]
) -> None:
    since = {"dgxspark-a-0": "2026-11-22T03:20:21Z"}
    result = run_module(docker_bin=docker(SCRIPTS), recipe="a", since=since)
    assert [line["text"] for line in result["lines"]] == ["third"]


def test_an_engine_that_is_down_fails(docker: Docker, run_module: t.Callable[..., Result]) -> None:
    assert run_module(docker_bin=docker({}))["failed"] is True


def test_a_user_who_may_not_ask_docker_is_given_the_two_ways_out(
    docker: Docker, run_module: t.Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    denied = "echo 'Permission denied while trying to connect to the Docker daemon' >&2; exit 1"
    result = run_module(docker_bin=docker({"ps --all --quiet --no-trunc": denied}))
    assert result["failed"] is True
    assert result["msg"] == (
        "No logs: 4242 may not use Docker. Run with -b, or once on the node: "
        "sudo usermod -aG docker 4242 (it takes effect at the next login)"
    )
