# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module itself, before a played Docker client."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.modules import workload

Docker = t.Callable[[dict[str, str]], str]
RunModule = t.Callable[..., dict[str, t.Any]]

A, ASIDE = "dgxspark-a-0", "dgxspark-a-0.previous"


def scripts(log: Path, owner: str = "dgxspark.suite") -> dict[str, str]:
    inspected = [
        {
            "Id": "1a",
            "State": {"Status": "running", "ExitCode": 0},
            "Image": "sha256:1",
            "Name": f"/{A}",
            "Config": {"Image": "i", "Labels": {"dgxspark.suite/owner": owner}},
        }
    ]
    return {
        "ps --all --quiet --no-trunc": "echo 1a",
        "inspect --type container 1a": f"echo '{json.dumps(inspected)}'",
        f"rename {A} {ASIDE}": f"echo rename >> {log}",
        f"stop -t 30 {ASIDE}": f"echo stop >> {log}",
    }


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> RunModule:
    def run(**arguments: t.Any) -> dict[str, t.Any]:
        given = {"memory_timeout": 0, **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            workload.main()
        result: dict[str, t.Any] = json.loads(capsys.readouterr().out)
        return result

    return run


def test_what_was_done_is_told(docker: Docker, run_module: RunModule, tmp_path: Path) -> None:
    log = tmp_path / "log"
    result = run_module(docker_bin=docker(scripts(log)), park=[A])
    assert result["changed"] is True
    assert result["done"] == [f"set {A} aside", f"stopped {ASIDE}"]
    assert log.read_text() == "rename\nstop\n"
    assert set(result) - {"changed", "invocation"} == set(yaml.safe_load(workload.RETURN))


def test_check_mode_tells_the_same_and_does_nothing(
    docker: Docker, run_module: RunModule, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    result = run_module(docker_bin=docker(scripts(log)), park=[A], _ansible_check_mode=True)
    assert result["changed"] is True
    assert result["done"] == [f"set {A} aside", f"stopped {ASIDE}"]
    assert not log.exists()


def test_nothing_to_do_changes_nothing(
    docker: Docker, run_module: RunModule, tmp_path: Path
) -> None:
    result = run_module(docker_bin=docker(scripts(tmp_path / "log")), remove=["dgxspark-b-0"])
    assert (result["changed"], result["done"]) == (False, [])


def test_what_is_not_ours_is_left_alone(
    docker: Docker, run_module: RunModule, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    result = run_module(docker_bin=docker(scripts(log, "somebody")), park=[A])
    assert result["failed"] is True
    assert result["msg"] == f"not started by this collection, so left alone: {A}"
    assert not log.exists()
