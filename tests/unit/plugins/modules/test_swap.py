# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arming a node, with a Docker and a systemd that only note what they are asked."""

from __future__ import annotations

import json
import os
import stat
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    supervisor,
    swap_files,
    swap_node,
    swap_rules,
    units,
)
from ansible_collections.dgxspark.suite.plugins.modules import swap

Result = dict[str, t.Any]
Run = t.Callable[..., Result]

UNIT = {
    "recipe": "r",
    "service": "main",
    "plan": "7",
    "rank": 0,
    "members": ["192.0.2.1"],
    "port": 25010,
    "starts": 3,
}
RANK = {"node": "spark1", "rank": 0, "name": "dgxspark-main-0", "id": "", "supervised": True}
NEW = {"recipe": "r", "plan_hash": "7", "ranks": [RANK]}
OLD = {"recipe": "o", "plan_hash": "6", "ranks": [{**RANK, "id": "old"}]}
SHARED: Result = {
    "service": "main",
    "decider": "spark1",
    "port": 25020,
    "members": {"spark1": "192.0.2.1"},
    "claim": "",
    "old": {},
    "new": NEW,
}
CREATE = ["--detach", "--name", "dgxspark-main-0", "--env", "TOKEN", "image", "-c", "it's --detach"]


class Node:
    """Its folders, and what was asked of its programs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "asked"
        self.docker = self.program("docker", '[ "$1" != ps ] || cat containers 2>/dev/null; true')
        self.systemctl = self.program("systemctl", "true")
        self.log.touch()

    def program(self, name: str, script: str) -> str:
        path = self.folder / name
        say = f'cd {self.folder}; echo "{name} $*${{TOKEN:+ TOKEN=$TOKEN}}" >>asked'
        path.write_text(f"#!/bin/sh\n{say}\n{script}\n")
        path.chmod(0o755)
        return str(path)

    def has(self, *containers: str) -> None:
        rows = [f"{name}\trunning\tdgxspark-main-0\t" for name in containers]
        (self.folder / "containers").write_text("\n".join(rows) + "\n")

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    one = Node(tmp_path)
    for name in ("units", "state", "lib"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(units, "FOLDER", str(tmp_path / "units"))
    monkeypatch.setattr(swap_node, "UNITS", str(tmp_path / "units"))
    monkeypatch.setattr(units, "SYSTEMCTL", one.systemctl)
    for name in ("PROGRAM", "PROVER", "GUARD"):
        monkeypatch.setattr(units, name, str(tmp_path / "lib" / f"{name.lower()}.py"))
    monkeypatch.setattr(units, "GUARD_UNIT", str(tmp_path / "units" / "dgxspark-swap@.service"))
    monkeypatch.setattr(supervisor, "STATE", str(tmp_path / "state"))
    for function in (
        *(swap_files.read, swap_files.arm, swap_files.become, swap_files.wish),
        swap_files.leave_out,
    ):
        monkeypatch.setattr(function, "__defaults__", (str(tmp_path / "state"),))
    return one


@pytest.fixture
def run(node: Node, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(**arguments: t.Any) -> Result:
        given = {
            "service": "main",
            "id": "5f0c",
            "me": "spark1",
            "shared": SHARED,
            "secret": "5ec2e7" * 10,
            "unit": UNIT,
            "probe": UNIT,
            "create": CREATE,
            "docker_bin": node.docker,
            **arguments,
        }
        with patch_module_args(given), pytest.raises(SystemExit):
            swap.main()
        result: Result = json.loads(capsys.readouterr().out)
        return result

    return run


def test_a_node_is_armed_while_it_serves(run: Run, node: Node) -> None:
    result = run(create_env={"TOKEN": "hunter2"}, go=True)

    assert result["done"] == [
        "armed for the swap 5f0c",
        "created dgxspark-main-0.next",
        "said go",
    ]
    assert "hunter2" not in json.dumps(result)
    part = swap_files.read("main")
    assert part
    assert (part.state, part.wish) == ("armed", "go")
    *_others, created = node.asked()
    assert created == (
        "docker create --name dgxspark-main-0.next --label dgxspark.suite/swap=5f0c --env TOKEN "
        "image -c it's --detach TOKEN=hunter2"
    )
    assert not any(" stop " in line or " start " in line for line in node.asked())
    unit = node.folder / "units" / "dgxspark-main-0.service.next"
    assert "Plan=7" in unit.read_text()
    secret = node.folder / "state" / "dgxspark-main-0.service.secret.next"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    link = node.folder / "units" / "multi-user.target.wants" / "dgxspark-main-0.service"
    assert os.readlink(link) == str(node.folder / "units" / "dgxspark-main-0.service")


def test_check_mode_writes_nothing(run: Run, node: Node) -> None:
    result = run(_ansible_check_mode=True)

    assert (result["changed"], result["done"][0]) == (True, "armed for the swap 5f0c")
    assert "dgxspark-swap@.service" in result["diff"]["after"]
    assert "Plan=7" in result["diff"]["after"]
    assert swap_files.read("main") is None
    assert not list((node.folder / "units").iterdir())


def test_another_open_swap_refuses(run: Run) -> None:
    run(owner="alice")

    result = run(id="6a1d")

    assert result["failed"] is True
    assert "A swap of service main to r by alice, since " in result["msg"]
    assert result["open"]["id"] == "5f0c"


def test_what_is_to_be_replaced_has_to_be_there(run: Run, node: Node) -> None:
    node.has("another")
    gone = run(shared={**SHARED, "old": OLD})
    assert "dgxspark-main-0 is gone since the launch was planned" in gone["msg"]

    node.has("old")
    assert run(shared={**SHARED, "old": OLD})["changed"] is True


@pytest.mark.parametrize("old", [{}, OLD])
def test_a_unit_of_somebody_else_is_not_replaced(run: Run, node: Node, old: Result) -> None:
    node.has("old")
    path = node.folder / "units" / "dgxspark-main-0.service"
    path.write_text("[Unit]\nDescription=mine\n")

    result = run(shared={**SHARED, "old": old})

    assert "does not belong to this collection" in result["msg"]
    assert swap_files.read("main") is None
    assert path.read_text() == "[Unit]\nDescription=mine\n"


def test_a_missing_unit_of_the_old_plan_is_provided(run: Run, node: Node) -> None:
    node.has("old")

    run(shared={**SHARED, "old": OLD}, old_unit={**UNIT, "plan": "6"})

    unit = node.folder / "units" / "dgxspark-main-0.service.previous"
    assert "Plan=6" in unit.read_text()
    secrets = [
        (node.folder / "state" / f"dgxspark-main-0.service.secret.{end}").read_text()
        for end in ("next", "previous")
    ]
    assert len(set(secrets)) == 2


def test_leftovers_are_known_by_their_ids(run: Run, node: Node) -> None:
    node.has("left")
    own = units.unit_text("dgxspark-main-9", UNIT, node.docker)
    (node.folder / "units" / "dgxspark-main-9.service").write_text(own)

    run(remove=["dgxspark-main-0", "dgxspark-main-9"])

    part = swap_files.read("main")
    assert part
    assert part.swap["remove"] == [
        {"name": "dgxspark-main-0", "id": "left", "unit": False},
        {"name": "dgxspark-main-9", "id": "", "unit": True},
    ]


def test_an_open_swap_is_undone_or_waited_for(run: Run) -> None:
    assert run(state="settled", abort=True)["done"] == []
    run()
    waited = run(state="settled")
    assert "has not ended" in waited["msg"]

    assert "has not ended" in run(state="settled", abort=True)["msg"]

    part = swap_files.read("main")
    assert part
    assert part.wish == swap_rules.WISH_ABORT
    swap_files.become(part, swap_rules.ENDED)
    assert run(state="settled", abort=True)["done"] == []


def test_who_never_comes_back_is_not_waited_for(run: Run) -> None:
    run(shared={**SHARED, "members": {"spark1": "192.0.2.1", "spark2": "192.0.2.2"}})

    run(state="settled", without=["spark2", "spark9"])

    part = swap_files.read("main")
    assert part
    assert (part.without, part.wish) == ({"spark2"}, "none")


def test_who_has_ended_alone_is_not_waited_for_by_a_decider_that_comes_back(run: Run) -> None:
    run(shared={**SHARED, "members": {"spark1": "192.0.2.1", "spark2": "192.0.2.2"}})
    mine = {"id": "5f0c", "decided": "none"}

    for other, left in ((mine, set()), ({}, {"spark2"})):
        run(state="settled", abort=True, known={"spark1": mine, "spark2": other})
        part = swap_files.read("main")
        assert part
        assert part.without == left


def test_without_the_decider_a_node_is_alone(run: Run) -> None:
    members = {"spark1": "192.0.2.1", "spark2": "192.0.2.2"}
    run(shared={**SHARED, "decider": "spark2", "members": members}, create=[])

    decided = run(state="known")["decided"]
    assert decided == {"id": "5f0c", "decided": "none"}

    given = {"state": "settled", "without": ["spark2"], "known": {"spark1": decided, "spark3": {}}}
    refused = run(**given)["msg"]
    assert "(armed). spark2 decides it; if that never comes back" in refused
    assert refused.endswith("-e force=true -e without=spark2 --limit '!spark2'")

    part = swap_files.read("main")
    assert part
    assert (part.wish, part.without) == (swap_rules.WISH_ALONE, {"spark2"})


def test_what_another_node_knows_of_the_decision_counts(run: Run) -> None:
    members = {"spark1": "192.0.2.1", "spark2": "192.0.2.2", "spark3": "192.0.2.3"}
    run(shared={**SHARED, "decider": "spark2", "members": members}, create=[])
    known = {"spark1": {"id": "5f0c", "decided": "none"}}

    refused = run(state="settled", without=["spark2"], known=known)
    assert refused["msg"].startswith("spark3 may know what was decided. Reach it, or name it")

    for of, wish in (("4444", swap_rules.WISH_ALONE), ("5f0c", swap_rules.WISH_ALONE_NEW)):
        known["spark3"] = {"id": of, "decided": "new"}
        run(state="settled", without=["spark2"], known=known)
        part = swap_files.read("main")
        assert part
        assert part.wish == wish


def test_the_decision_is_known_also_after_the_end(run: Run) -> None:
    assert run(state="known")["decided"] == {}
    run()
    for state in ("joined", "new", "ended"):
        part = swap_files.read("main")
        assert part
        swap_files.become(part, state)
        decided = "none" if state == "joined" else "new"
        assert run(state="known")["decided"] == {"id": "5f0c", "decided": decided}


def test_the_guard_reads_what_is_armed(run: Run) -> None:
    run(remove=["dgxspark-main-9"], lock={"token": "t", "run": ""}, since=5.0, limits={"ready": 60})

    part = swap_files.read("main")
    assert part
    assert part.swap["limits"]["ready"] == 60
    assert part.swap["entry"]["phases"][0]["phase"] == "preflight"
