# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a launch and a stop write into the history of a service, through their modules."""

from __future__ import annotations

import json
import time
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import history, swap_record
from ansible_collections.dgxspark.suite.plugins.modules import (
    service_history,
)

Result = dict[str, t.Any]

ENTRY: Result = {
    "recipe": "a",
    "service": "main",
    "plan_hash": "7d3d",
    "nodes": ["spark1"],
    "owner": "alice",
    "previous": {},
}
WORKLOAD: Result = {
    "recipe_path": "/etc/recipes/a.yaml",
    "overrides": {"api_key": "hunter2"},
    "served_model_name": "A",
}


class Run:
    """Runs a module on the state files of a head."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._capsys, self.folder = capsys, str(folder)

    def __call__(self, module: t.Any, **arguments: t.Any) -> Result:
        with (
            patch_module_args({"state_dir": self.folder, **arguments}),
            pytest.raises(SystemExit),
        ):
            module.main()
        result: Result = json.loads(self._capsys.readouterr().out)
        return result


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    return Run(capsys, tmp_path / "state")


def swap(run: Run, name: str, result: str = "complete", **entry: t.Any) -> Result:
    """As the guard of the decider records it."""
    phases = [{"phase": "preflight", "seconds": 1.5}]
    ended = {**ENTRY, "id": name, "phases": phases, "phase_since": 5.0, "phase": result}
    ended |= {"result": result, "started": 1.0, "why": "", **entry}
    line = history.of_swap(ended, WORKLOAD, time.time())
    swap_record.record(run.folder, ended)
    # A guard that was killed meanwhile records it once more.
    for _time in range(2):
        swap_record.note_history(run.folder, line)
    return ended


@pytest.mark.parametrize("result", ["complete", "rolled_back", "failed"])
def test_a_launch_is_a_line_of_its_service(run: Run, tmp_path: Path, result: str) -> None:
    swap(run, "1", result)
    (line,) = run(service_history, service="main")["history"]["main"]
    assert (line["result"], line["run"], line["owner"], line["age"]) == (result, "1", "alice", 0)
    assert {key: line[key] for key in WORKLOAD} == WORKLOAD
    # Webhooks and status have the journal.
    assert "hunter2" not in (tmp_path / "state" / "swap.json").read_text()
    assert "hunter2" not in (tmp_path / "state" / "swaps.jsonl").read_text()


def test_each_service_has_its_own_history(run: Run) -> None:
    swap(run, "1")
    swap(run, "2", service="embeddings")
    known = run(service_history)["history"]
    assert {name: [line["run"] for line in lines] for name, lines in known.items()} == {
        "embeddings": ["2"],
        "main": ["1"],
    }


def test_a_name_that_leaves_the_folder_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'service'"):
        swap(run, "1", service="../../x")
    assert not (tmp_path / "x").exists()
    assert run(service_history, service="../x")["failed"] is True


def test_what_is_stopped_is_recorded(run: Run, tmp_path: Path) -> None:
    stopped = {**ENTRY, **WORKLOAD, "state": "running"}
    for check in (True, False):
        done = run(
            service_history, stopped=[stopped], owner="bob", since=5.5, _ansible_check_mode=check
        )
        assert done["changed"] is True
        assert (tmp_path / "state" / "services").exists() is not check
    (line,) = done["history"]["main"]
    assert (line["result"], line["owner"], line["run"]) == ("stopped", "bob", "5.5")


@pytest.mark.parametrize("wrong", [{}, {"service": "A b"}, {"service": "a", "nodes": {}}])
def test_a_workload_of_another_shape_is_refused(run: Run, tmp_path: Path, wrong: Result) -> None:
    refused = run(service_history, stopped=[{**wrong, "recipe": 7}])
    assert refused["failed"] is True
    assert not (tmp_path / "state").exists()


def test_reading_creates_nothing(run: Run, tmp_path: Path) -> None:
    read = run(service_history, service="main")
    assert (read["changed"], read["history"]) == (False, {})
    assert not (tmp_path / "state").exists()
    assert set(yaml.safe_load(service_history.RETURN)) == {"history"}
