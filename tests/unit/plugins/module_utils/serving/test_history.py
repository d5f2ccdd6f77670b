# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of a history, its file, and what another version or a crash has left in it."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import history, state_files

NOW = 1_764_036_000.0
Thing = dict[str, t.Any]

WORKLOAD: Thing = {
    "service": "embeddings",
    "recipe": "lab-tiny",
    "recipe_path": "/etc/recipes/lab-tiny.yaml",
    "overrides": {"port": 8001},
    "plan_hash": "7d3d",
    "nodes": ["spark1"],
    "served_model_name": "tiny",
}
SWAP: Thing = {
    "id": "1764035938.5",
    "service": "embeddings",
    "recipe": "lab-tiny",
    "plan_hash": "7d3d",
    "nodes": ["spark1"],
    "owner": "alice@controller",
    "phases": [{"phase": "preflight", "seconds": 1.5}, {"phase": "start", "seconds": 60.0}],
    "result": "complete",
}
LINE: Thing = {
    "schema": 1,
    "at": NOW,
    **WORKLOAD,
    "owner": "alice@controller",
    "result": "complete",
    "seconds": 61.5,
    "run": "1764035938.5",
}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


def place(folder: str, service: str = "embeddings") -> Path:
    return Path(folder, "services", service, "history.jsonl")


def test_the_line_of_a_swap() -> None:
    more = {key: WORKLOAD[key] for key in ("recipe_path", "overrides", "served_model_name")}
    assert history.of_swap(SWAP, more, NOW) == LINE


def test_a_swap_of_a_version_before_services_was_of_main() -> None:
    entry = {key: SWAP[key] for key in ("id", "recipe", "phases")}
    line = history.of_swap({**entry, "result": "interrupted"}, {}, NOW)
    assert (line["service"], line["owner"], line["recipe_path"]) == ("main", "", "")


def test_the_line_of_a_stop() -> None:
    line = history.of_stop({**WORKLOAD, "state": "running"}, "bob", NOW - 12.04, NOW)
    expected = {"owner": "bob", "result": "stopped", "seconds": 12.0, "run": str(NOW - 12.04)}
    assert line == {**LINE, **expected}


def test_a_clock_that_was_set_back_gives_no_negative_duration() -> None:
    assert history.of_stop(WORKLOAD, "bob", NOW + 9, NOW)["seconds"] == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"service": "../main"},
        {"service": None},
        {"nodes": "spark1"},
        {"nodes": [""]},
        {"overrides": "port=1"},
        {"recipe": 5},
    ],
)
def test_what_is_no_line_is_not_written(wrong: Thing) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        history.of_stop({**WORKLOAD, **wrong}, "bob", NOW, NOW)


def test_only_root_reads_the_file_and_the_newest_line_is_first(folder: str) -> None:
    for result in ("complete", "rolled_back"):
        history.append(folder, {**LINE, "result": result})
    assert place(folder).stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in (place(folder).parent,)} == {0o700}
    lines = history.recorded(folder, 20, NOW + 180)["embeddings"]
    assert [line["result"] for line in lines] == ["rolled_back", "complete"]
    assert lines[1] == {**LINE, "age": 180}


def test_the_last_hundred_lines_stay(folder: str) -> None:
    place(folder).parent.mkdir(parents=True)
    place(folder).write_text(
        "".join(json.dumps({**LINE, "run": str(n)}) + "\n" for n in range(105))
    )
    history.append(folder, {**LINE, "run": "last"})
    runs = [line["run"] for line in history.recorded(folder, 500, NOW)["embeddings"]]
    assert (len(runs), runs[0], runs[-1]) == (100, "last", "6")


@pytest.mark.parametrize(
    "rest",
    [
        b'{"schema": 1, "at": 17640',
        b"\xff\xfe",
        b"\0\0\0",
        b"[]",
        b'{"schema": 2}',
        json.dumps({**LINE, "result": "perhaps"}).encode(),
        json.dumps({**LINE, "at": 1e300}).encode(),
        json.dumps({**LINE, "service": "../x"}).encode(),
    ],
)
def test_a_torn_or_unknown_last_line_is_left_out_and_the_next_is_complete(
    folder: str, rest: bytes
) -> None:
    history.append(folder, LINE)
    with place(folder).open("ab") as stream:
        stream.write(rest)
    assert len(history.recorded(folder, 20, NOW)["embeddings"]) == 1
    history.append(folder, {**LINE, "run": "next"})
    runs = [line["run"] for line in history.recorded(folder, 20, NOW)["embeddings"]]
    assert runs == ["next", LINE["run"]]


def test_without_a_history_there_are_no_lines(folder: str) -> None:
    assert history.recorded(folder, 20, NOW) == {}
    assert history.recorded(folder + "/none", 20, NOW) == {}
    assert history.recorded(folder, 20, NOW, "main") == {}
    history.append(folder, LINE)
    assert history.recorded(folder, 0, NOW) == {}
    Path(folder, "services", "Not a service").mkdir()
    Path(folder, "services", "empty").mkdir()
    assert list(history.recorded(folder, 1, NOW)) == ["embeddings"]
    assert history.recorded(folder, 1, NOW, "main") == {}


def test_a_file_that_is_no_file_is_named(folder: str) -> None:
    place(folder).mkdir(parents=True)
    with pytest.raises(state_files.Broken, match=r"history\.jsonl"):
        history.recorded(folder, 20, NOW)


def test_a_folder_that_this_user_may_not_read_is_named(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> t.NoReturn:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(history.os, "listdir", refuse)
    with pytest.raises(state_files.Broken, match="services cannot be read: Permission denied"):
        history.recorded(folder, 20, NOW)
