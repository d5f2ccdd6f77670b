# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock and the journal as files on a head."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.modules import cluster_lock

Result = dict[str, t.Any]
Run = t.Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    def run(module: t.Any, **arguments: t.Any) -> Result:
        given = {"state_dir": str(tmp_path / "state"), **arguments}
        with patch_module_args(given), pytest.raises(SystemExit):
            module.main()
        result: Result = json.loads(capsys.readouterr().out)
        return result

    return run


def stored(tmp_path: Path, name: str) -> Result:
    content: Result = json.loads((tmp_path / "state" / name).read_text(encoding="utf-8"))
    return content


def test_a_held_lock_is_refused_until_it_is_released(run: Run, tmp_path: Path) -> None:
    first = run(cluster_lock, token="a", owner="Alice", reason="benchmarks")
    assert (first["changed"], first["token"], first["run"]) == (True, "a", "")
    assert first["lock"]["owner"] == "Alice"
    assert (tmp_path / "state" / "lock.json").stat().st_mode & 0o777 == 0o600
    refused = run(cluster_lock, token="b", owner="Bob")
    assert refused["failed"] is True
    assert "locked by Alice (benchmarks) until" in refused["msg"]
    assert stored(tmp_path, "lock.json")["owner"] == "Alice"
    assert run(cluster_lock, state="released", token="a")["lock"] == {}
    assert run(cluster_lock, token="b", owner="Bob")["lock"]["owner"] == "Bob"


def test_no_result_but_the_holders_own_has_a_token(run: Run) -> None:
    def of(**arguments: t.Any) -> str:
        """What a request returns, without its own arguments."""
        return json.dumps({**run(cluster_lock, **arguments), "invocation": None})

    run(cluster_lock, token="tok-a", owner="Alice", holder={"pid": 1})
    run(cluster_lock, token="tok-a", run="run-a", holder={"pid": 2})
    others = [
        of(token="tok-b", owner="Bob"),
        of(token="tok-a", run="run-b"),
        of(token="tok-b", state="released"),
        of(token="tok-b", state="absent"),
        of(token="tok-b", owner="Bob", force=True),
    ]
    assert [text for text in others if "tok-a" in text or "run-a" in text] == []
    assert "tok-b" in others[-1]


def test_a_holder_that_has_ended_is_named_by_its_process(run: Run) -> None:
    run(cluster_lock, token="a", owner="Alice", holder={"pid": 1})
    refused = run(cluster_lock, token="b", owner="Bob")
    assert refused["blocker"] == {"holder": {"pid": 1}}
    taken = run(cluster_lock, token="b", owner="Bob", gone=refused["blocker"]["holder"])
    assert (taken["token"], taken["taken_from"].split()[0]) == ("b", "Alice")


def test_a_lock_needs_a_token(run: Run, tmp_path: Path) -> None:
    assert run(cluster_lock, owner="Alice")["failed"] is True
    assert not (tmp_path / "state").exists()


def test_however_long_a_lock_is_asked_for_it_can_be_read(run: Run) -> None:
    assert run(cluster_lock, token="a", owner="Alice", seconds=10**15)["lock"]["owner"] == "Alice"
    assert "locked by Alice until 9999" in run(cluster_lock, token="b")["msg"]


@pytest.mark.parametrize("state", ["held", "released", "absent"])
@pytest.mark.parametrize("text", ['{"token": "a"}', '{"token": "a", "expires": 1e300}', "[]"])
def test_a_lock_of_another_shape_is_named_and_stays(
    run: Run, tmp_path: Path, state: str, text: str
) -> None:
    lock = tmp_path / "state" / "lock.json"
    lock.parent.mkdir()
    lock.write_text(text)
    result = run(cluster_lock, token="a", state=state)
    assert result["failed"] is True
    assert str(lock) in result["msg"]
    assert "remove" in result["msg"]
    assert lock.read_text() == text


def test_a_schedule_of_another_shape_is_no_obstacle_to_the_lock(run: Run, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "schedule.json").write_text('{"entries": [{"end": 1e300}]}')
    assert run(cluster_lock, token="a", owner="Alice")["announced"] == []


def test_check_mode_refuses_the_same_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    free = run(cluster_lock, token="a", owner="Alice", _ansible_check_mode=True)
    assert free["changed"] is True
    assert not (tmp_path / "state").exists()
    run(cluster_lock, token="a", owner="Alice")
    assert run(cluster_lock, token="b", _ansible_check_mode=True)["failed"] is True
    run(cluster_lock, state="absent", force=True, _ansible_check_mode=True)
    assert stored(tmp_path, "lock.json")["owner"] == "Alice"


def test_one_of_many_concurrent_requests_succeeds(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from ansible.module_utils.testing import patch_module_args\n"
        "from ansible_collections.dgxspark.suite.plugins.modules import cluster_lock\n"
        "token, folder = sys.argv[1:]\n"
        "with patch_module_args({'token': token, 'owner': token, 'state_dir': folder}):\n"
        "    cluster_lock.main()\n"
    )
    codes: list[int] = []

    def ask(number: int) -> None:
        argv = [sys.executable, "-c", code, str(number), str(tmp_path)]
        codes.append(subprocess.run(argv, capture_output=True, check=False).returncode)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [0, 1, 1, 1, 1, 1]


def test_a_broken_file_is_named_and_not_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    lock = tmp_path / "state" / "lock.json"
    lock.write_text('{"token": ')
    result = run(cluster_lock, token="a")
    assert result["failed"] is True
    assert str(lock) in result["msg"]
    assert lock.read_text() == '{"token": '


def test_every_key_that_is_returned_is_documented(run: Run) -> None:
    documented = set(yaml.safe_load(cluster_lock.RETURN))
    keys = set(run(cluster_lock, token="a", owner="Alice"))
    keys |= set(run(cluster_lock, token="b", owner="Bob"))
    assert keys - {"changed", "failed", "msg", "invocation", "warnings"} == documented
