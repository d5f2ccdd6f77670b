# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Announced uses of a cluster, as a file on its head, and the warning with the lock."""

from __future__ import annotations

import json
import time
import typing as t
from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import schedule as pure
from ansible_collections.dgxspark.suite.plugins.modules import cluster_lock, schedule

Result = dict[str, t.Any]
Run = t.Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    def run(module: t.Any = schedule, **arguments: t.Any) -> Result:
        given = {"state_dir": str(tmp_path / "state"), **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            module.main()
        result: Result = json.loads(capsys.readouterr().out)
        return result

    return run


def in_hours(hours: float) -> str:
    moment = datetime.fromtimestamp(time.time() + hours * 3600, timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M")


def announce(run: Run, owner: str, hours: float, **more: t.Any) -> Result:
    return run(state="announced", owner=owner, begin=in_hours(hours), hours=2, **more)


def test_announced_listed_cancelled(run: Run, tmp_path: Path) -> None:
    assert (run()["entries"], (tmp_path / "state").exists()) == ([], False)
    checked = announce(run, "Alice", 10, _ansible_check_mode=True)
    assert (checked["changed"], (tmp_path / "state").exists()) == (True, False)
    result = announce(run, "Alice", 10, reason="benchmarks")
    assert announce(run, "Alice", 10, reason="benchmarks")["changed"] is False
    announce(run, "Bob", 5)
    listed = run()["entries"]
    assert [entry["owner"] for entry in listed] == ["Bob", "Alice"]
    assert listed[1] == result["entries"][0]
    assert set(result) - {"changed", "invocation", "warnings"} == set(
        yaml.safe_load(schedule.RETURN)
    )
    gone = {"state": "cancelled", "id": listed[1]["id"]}
    assert "announced by Alice, not by Bob" in run(**gone, owner="Bob")["msg"]
    assert run(**gone, owner="Alice")["changed"] is True
    assert run(**gone, owner="Alice")["changed"] is False
    assert run(state="cancelled", id=listed[0]["id"], force=True)["entries"] == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"begin": "tomorrow"}, "'tomorrow' is not a time"),
        ({"begin": "2001-01-01 10:00"}, "is in the past"),
        ({"begin": "2101-01-01T10:00:00Z", "owner": ""}, "an owner is required"),
        ({"begin": in_hours(11)}, "announced already: Alice from"),
        ({"begin": "2101-01-01T10:00:00Z", "hours": 1e300}, "between 1970 and 9999"),
        ({"begin": "0001-01-01T00:00:00+10:00"}, "between 1970 and 9999"),
    ],
)
def test_a_refusal_changes_nothing(run: Run, arguments: Result, why: str) -> None:
    announce(run, "Alice", 10)
    result = run(state="announced", **{"owner": "Bob", **arguments})
    assert why in result["msg"]
    assert len(run()["entries"]) == 1


def test_the_lock_reports_what_others_have_announced(run: Run) -> None:
    announce(run, "Alice", 0.5, reason="benchmarks")
    announced = run(cluster_lock, token="b", owner="Bob", seconds=3600)["announced"]
    assert announced[0].startswith("Alice (benchmarks) from")
    run(cluster_lock, state="released", token="b")
    assert run(cluster_lock, token="a", owner="Alice", seconds=3600)["announced"] == []
    run(cluster_lock, state="released", token="a")
    assert run(cluster_lock, token="b", owner="Bob", seconds=60)["announced"] == []


def test_a_broken_file_is_named_and_left_alone(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "state" / "schedule.json"
    file.parent.mkdir()
    file.write_text("{")
    assert f"{file} cannot be read" in announce(run, "Alice", 1)["msg"]
    assert file.read_text() == "{"
    assert run(cluster_lock, token="a")["changed"] is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01 01:00", 3600.0),
        ("1970-01-01T01:00:00Z", 3600.0),
        ("1970-01-01 03:00+02:00", 3600.0),
    ],
)
def test_a_time_is_utc_unless_it_has_an_offset(text: str, expected: float) -> None:
    assert pure.moment(text) == expected


@pytest.mark.parametrize(
    "text",
    ['{"entries": 7}', '{"entries": [7]}', '{"entries": [{"id": "x", "end": 1e300}]}', "[]"],
)
@pytest.mark.parametrize("state", ["listed", "announced", "cancelled"])
def test_a_schedule_of_another_shape_is_named_and_stays(
    run: Run, tmp_path: Path, text: str, state: str
) -> None:
    file = tmp_path / "state" / "schedule.json"
    file.parent.mkdir()
    file.write_text(text)
    result = run(state=state, id="x", owner="Bob", begin=in_hours(1))
    assert result["failed"] is True
    assert "schedule.json" in result["msg"]
    assert file.read_text() == text
