# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a launch and a stop write into the history of a service, through their modules."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.modules import (
    cluster_lock,
    service_history,
    swap_journal,
)

Result = dict[str, t.Any]
Run = t.Callable[..., Result]

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


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    def run(module: t.Any, **arguments: t.Any) -> Result:
        given = {"state_dir": str(tmp_path / "state"), **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            module.main()
        result: Result = json.loads(capsys.readouterr().out)
        return result

    return run


def swap(run: Run, name: str, result: str = "complete", **entry: t.Any) -> Result:
    run(cluster_lock, token="t", owner="alice")
    run(swap_journal, swap=name, token="t", phase="stop", entry={**ENTRY, **entry})
    return run(swap_journal, swap=name, token="t", result=result, workload=WORKLOAD, release=True)


@pytest.mark.parametrize("result", ["complete", "rolled_back", "failed"])
def test_a_launch_is_a_line_of_its_service(run: Run, tmp_path: Path, result: str) -> None:
    ended = swap(run, "1", result)
    (line,) = run(service_history, service="main")["history"]["main"]
    assert (line["result"], line["run"], line["owner"], line["age"]) == (result, "1", "alice", 0)
    assert {key: line[key] for key in WORKLOAD} == WORKLOAD
    # Webhooks and status have the journal.
    journal = (tmp_path / "state" / "swap.json").read_text() + json.dumps(ended["journal"])
    assert "hunter2" not in journal
    assert "hunter2" not in (tmp_path / "state" / "swaps.jsonl").read_text()


def test_each_service_has_its_own_history(run: Run) -> None:
    swap(run, "1")
    swap(run, "2", service="embeddings")
    known = run(service_history)["history"]
    assert {name: [line["run"] for line in lines] for name, lines in known.items()} == {
        "embeddings": ["2"],
        "main": ["1"],
    }


def test_an_interrupted_launch_is_a_line_without_its_recipe_path(run: Run) -> None:
    run(cluster_lock, token="t", owner="alice")
    run(swap_journal, swap="1", token="t", phase="stop", entry=ENTRY)
    swap(run, "2", recipe="b")
    lines = run(service_history)["history"]["main"]
    assert [(line["run"], line["result"]) for line in lines] == [
        ("2", "complete"),
        ("1", "interrupted"),
    ]
    assert lines[1]["recipe_path"] == ""


def test_an_interrupted_launch_of_another_version_does_not_stop_the_next(run: Run) -> None:
    run(cluster_lock, token="t", owner="alice")
    run(swap_journal, swap="1", token="t", phase="stop", entry={**ENTRY, "nodes": "spark1"})
    assert swap(run, "2").get("failed") is None
    assert len(run(service_history)["history"]["main"]) == 1


def test_a_name_that_leaves_the_folder_is_refused(run: Run, tmp_path: Path) -> None:
    refused = swap(run, "1", service="../../x")
    assert (refused["failed"], "'service'" in refused["msg"]) == (True, True)
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
