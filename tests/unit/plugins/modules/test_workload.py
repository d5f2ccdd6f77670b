# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module itself, with a fake Docker client."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import unit_spec
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import units
from ansible_collections.dgxspark.suite.plugins.modules import workload

Docker = t.Callable[[dict[str, str]], str]
RunModule = t.Callable[..., dict[str, t.Any]]

SECRET = "5ec2e7" * 10
A, RETAINED = "dgxspark-a-0", "dgxspark-a-0.previous"


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
        f"rename {A} {RETAINED}": f"echo rename >> {log}",
        f"stop -t 30 {RETAINED}": f"echo stop >> {log}",
    }


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> RunModule:
    def run(**arguments: t.Any) -> dict[str, t.Any]:
        given = {"memory_timeout": 0, "secret": SECRET, **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            workload.main()
        result: dict[str, t.Any] = json.loads(capsys.readouterr().out)
        return result

    return run


def test_the_steps_are_reported(docker: Docker, run_module: RunModule, tmp_path: Path) -> None:
    log = tmp_path / "log"
    result = run_module(docker_bin=docker(scripts(log)), retain=[A])
    assert result["changed"] is True
    assert result["done"] == [f"retained {A}", f"stopped {RETAINED}"]
    assert log.read_text() == "rename\nstop\n"
    assert set(result) - {"changed", "diff", "invocation"} == set(yaml.safe_load(workload.RETURN))


def test_check_mode_reports_the_same_and_does_nothing(
    docker: Docker, run_module: RunModule, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    result = run_module(docker_bin=docker(scripts(log)), retain=[A], _ansible_check_mode=True)
    assert result["changed"] is True
    assert result["done"] == [f"retained {A}", f"stopped {RETAINED}"]
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
    result = run_module(docker_bin=docker(scripts(log, "somebody")), retain=[A])
    assert result["failed"] is True
    assert result["msg"] == f"not started by this collection, so left alone: {A}"
    assert not log.exists()


@pytest.fixture
def systemctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A node's folders, and a systemctl that logs its arguments; `show` reports active units."""
    log = tmp_path / "systemctl.log"
    script = tmp_path / "systemctl"
    script.write_text(
        f"""#!/bin/sh
[ "$1" = show ] || {{ echo "$@" >>{log}; exit; }}
shift 3
for unit; do
    printf 'LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nMainPID=7\n'
    printf 'StatusText=%s\n\n' "$(cat {tmp_path}/status)"
done
"""
    )
    script.chmod(0o755)
    (tmp_path / "status").write_text("runs, with 2 ranks in all")
    (tmp_path / "units").mkdir()
    monkeypatch.setattr(units, "FOLDER", str(tmp_path / "units"))
    monkeypatch.setattr(units, "PROGRAM", str(tmp_path / "lib" / "supervisor.py"))
    monkeypatch.setattr(units, "PROVER", str(tmp_path / "lib" / "prove.py"))
    monkeypatch.setattr(units, "GUARD", str(tmp_path / "lib" / "swap_guard.py"))
    monkeypatch.setattr(units, "GUARD_UNIT", str(tmp_path / "units" / "dgxspark-swap@.service"))
    monkeypatch.setattr(units, "SYSTEMCTL", str(script))
    monkeypatch.setattr(units.supervisor, "STATE", str(tmp_path / "state"))
    return log


SPEC = {
    "recipe": "100% mine",
    "service": "main",
    "plan": "abc",
    "rank": 0,
    "members": ["192.0.2.1", "192.0.2.2"],
    "port": 25010,
    "starts": 3,
    "nodes": ["spark1", "spark2"],
    "url": "http://192.0.2.1:8000",
    "model": "it's mine",
    "kind": ["chat", "embeddings"],
    "claim": "share:0.3",
    "deep": 900,
    "probe": '{"light": "/up"}',
}
UNIT = f"{A}.service"


def test_a_unit_is_installed_once(
    docker: Docker, run_module: RunModule, tmp_path: Path, systemctl: Path
) -> None:
    wanted = {"docker_bin": docker(scripts(tmp_path / "log")), "supervise": {A: SPEC}}
    checked = run_module(**wanted, _ansible_check_mode=True)
    assert (checked["changed"], checked["done"]) == (True, [f"supervises {A} by a unit"])
    assert not (tmp_path / "units" / UNIT).exists()
    assert not systemctl.exists()
    result = run_module(**wanted)
    assert (result["done"], result["diff"]) == (checked["done"], checked["diff"])
    assert (tmp_path / "units" / UNIT).read_text() in result["diff"]["after"]
    assert systemctl.read_text() == f"daemon-reload\nenable --now {UNIT}\n"
    (unit,) = units.installed()
    assert (unit.container, unit.recipe, unit.plan) == (A, "100% mine", "abc")
    assert (unit.state, unit.enabled, unit.pid) == ("active", True, 7)
    for key in ("rank", "members", "nodes", "url", "model", "kind", "probe"):
        value = getattr(unit, key)
        assert (list(value) if isinstance(value, tuple) else value) == SPEC[key]
    assert (run_module(**wanted)["changed"], run_module(**wanted)["unsupervised"]) == (False, "")


def test_a_unit_is_removed_after_the_renaming_and_before_the_stop(
    docker: Docker, run_module: RunModule, tmp_path: Path, systemctl: Path
) -> None:
    client = docker(scripts(systemctl))
    run_module(docker_bin=client, supervise={A: SPEC})
    systemctl.unlink()
    result = run_module(docker_bin=client, retain=[A])
    assert result["done"] == [f"retained {A}", f"removed the unit of {A}", f"stopped {RETAINED}"]
    assert systemctl.read_text().split("\n")[:4] == [
        "rename",
        f"disable --now {UNIT}",
        f"reset-failed {UNIT}",
        "stop",
    ]
    assert list((tmp_path / "units").iterdir()) == []
    assert not (tmp_path / "lib").exists()
    assert (result["diff"]["before"] != "", result["diff"]["after"]) == (True, "")


def test_the_secret_of_a_unit_lives_with_it_and_is_shown_nowhere(
    docker: Docker, run_module: RunModule, tmp_path: Path, systemctl: Path
) -> None:
    client = docker(scripts(systemctl))
    wanted = {"docker_bin": client, "supervise": {A: SPEC}}
    path = tmp_path / "state" / f"{UNIT}.secret"
    checked = run_module(**wanted, _ansible_check_mode=True)
    assert not path.exists()
    result = run_module(**wanted)
    assert path.read_text().strip() == SECRET
    assert path.stat().st_mode & 0o777 == 0o600
    assert not run_module(**wanted)["changed"]
    # Another launch of the same: nothing is restarted.
    systemctl.unlink()
    again = run_module(**wanted, secret="an0ther" * 8)
    assert (again["changed"], again["done"]) == (True, result["done"])
    assert path.read_text().strip() == "an0ther" * 8
    assert not systemctl.exists()
    for shown in (checked, result, again):
        text = json.dumps(shown)
        assert not any(word in text for word in (SECRET, "an0ther", path.name))
    assert all(SECRET not in file.read_text() for file in (tmp_path / "units").iterdir())
    run_module(docker_bin=client, retain=[A])
    assert not path.exists()


def test_a_unit_without_a_secret_is_not_installed(
    docker: Docker, run_module: RunModule, tmp_path: Path, systemctl: Path
) -> None:
    client = docker(scripts(tmp_path / "log"))
    result = run_module(docker_bin=client, supervise={A: SPEC}, secret="")
    assert "'secret' is required" in result["unsupervised"]
    assert not (tmp_path / "units" / UNIT).exists()
    assert not systemctl.exists()


def test_a_unit_of_somebody_else_is_left_alone_with_a_warning(
    docker: Docker, run_module: RunModule, tmp_path: Path, systemctl: Path
) -> None:
    foreign = tmp_path / "units" / UNIT
    foreign.write_text("[Service]\nExecStart=/usr/bin/true\n")
    client = docker(scripts(tmp_path / "log"))
    result = run_module(docker_bin=client, supervise={A: SPEC})
    assert "failed" not in result
    assert str(foreign) in result["unsupervised"]
    assert run_module(docker_bin=client, retain=[A])["done"] == [
        f"retained {A}",
        f"stopped {RETAINED}",
    ]
    assert foreign.exists()
    assert not systemctl.exists()


def test_a_value_that_would_add_a_line_to_a_unit_is_refused(
    docker: Docker, run_module: RunModule, tmp_path: Path, systemctl: Path
) -> None:
    client = docker(scripts(tmp_path / "log"))
    result = run_module(
        docker_bin=client, supervise={A: {**SPEC, "recipe": "x\nExecStartPre=/bin/x"}}
    )
    assert result["unsupervised"].startswith("recipe has characters that are not allowed")
    assert not (tmp_path / "units" / UNIT).exists()


@pytest.mark.usefixtures("systemctl")
def test_supervisors_that_do_not_meet_are_an_error(
    docker: Docker, run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "MEET", 0.5)
    (tmp_path / "status").write_text("waits for the supervisors of 192.0.2.2")
    wanted = {"docker_bin": docker(scripts(tmp_path / "log")), "supervise": {A: SPEC}}
    result = run_module(**wanted)
    assert result["failed"] is True
    assert f"{A}: waits for the supervisors of 192.0.2.2" in result["msg"]


def test_the_labels_of_a_container_describe_its_unit() -> None:
    labels = {
        "dgxspark.suite/supervise": json.dumps(
            {
                "members": ["192.0.2.1", "192.0.2.2"],
                "nodes": ["spark1", "spark2"],
                "port": 25010,
                "starts": 3,
                "deep": 900,
            }
        ),
        "dgxspark.suite/url": "http://192.0.2.1:8000",
        "dgxspark.suite/served-model-name": "it's mine",
        "dgxspark.suite/kind": "chat,embeddings",
        "dgxspark.suite/claim": "share:0.3",
        "dgxspark.suite/probe": '{"light": "/up"}',
        "dgxspark.suite/recipe": "100% mine",
        "dgxspark.suite/plan-hash": "abc",
        "dgxspark.suite/rank": "0",
    }
    assert unit_spec(labels) == SPEC
    for broken in ("", "{}", "[", "[1]", '{"port": 1}'):
        assert unit_spec({**labels, "dgxspark.suite/supervise": broken}) == {}
