# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's part of a swap on its disk."""

from __future__ import annotations

import json
import os
import stat
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import swap_files, swap_rules

RANK = {"node": "spark1", "rank": 0, "id": "", "name": "dgxspark-main-0", "supervised": True}
SWAP: dict[str, t.Any] = {
    "schema": 1,
    "id": "5f0c",
    "service": "main",
    "decider": "spark1",
    "me": "spark1",
    "port": 25020,
    "secret": "5ec2e7",
    "owner": "alice",
    "members": {"spark1": "192.0.2.1"},
    "old": {},
    "new": {"recipe": "r", "plan_hash": "7", "ranks": [RANK]},
    "remove": [{"name": "dgxspark-old-0", "id": "", "unit": False}],
    "limits": {},
    "entry": {"started": 1.0},
    "workload": {},
    "lock": {},
    "docker": "/usr/bin/docker",
}


def arm(folder: Path, **more: t.Any) -> swap_files.Part:
    return swap_files.arm({**SWAP, **more}, "the probe", str(folder))


def test_a_part_is_what_was_written_last(tmp_path: Path) -> None:
    assert swap_files.read("main", str(tmp_path)) is None
    part = arm(tmp_path)
    part = swap_files.become(part, swap_rules.GO, str(tmp_path))
    part = swap_files.count_try(part, str(tmp_path))
    part = swap_files.wish(part, swap_rules.WISH_ABORT, str(tmp_path))

    assert swap_files.read("main", str(tmp_path)) == part
    assert (part.state, part.tries, part.wish) == ("go", 1, "abort")


def test_only_root_reads_the_secret(tmp_path: Path) -> None:
    arm(tmp_path)
    place = Path(swap_files.place_of("main", str(tmp_path)))

    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "swap.json").stat().st_mode) == 0o600


def test_the_decision_makes_room(tmp_path: Path) -> None:
    part = arm(tmp_path)
    ballast = Path(swap_files.place_of("main", str(tmp_path))) / "ballast"
    assert ballast.stat().st_size == 1 << 20

    swap_files.become(part, swap_rules.OLD, str(tmp_path))

    assert not ballast.exists()


def test_states_change_without_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = arm(tmp_path)

    def full(*_arguments: t.Any, **_options: t.Any) -> t.NoReturn:
        raise OSError(28, "No space left on device")

    real = os.open

    def read_only(path: t.Any, flags: int, *more: t.Any, **options: t.Any) -> int:
        return full() if flags & os.O_CREAT else real(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", read_only)
    part = swap_files.wish(part, swap_rules.WISH_GO, str(tmp_path))
    part = swap_files.count_try(part, str(tmp_path))
    for state in (swap_rules.GO, swap_rules.OLD, swap_rules.ENDED):
        part = swap_files.become(part, state, str(tmp_path))
    monkeypatch.undo()

    assert swap_files.read("main", str(tmp_path)) == part


def test_an_ended_swap_makes_way_and_the_last_ones_stay(tmp_path: Path) -> None:
    for number in range(swap_files.ENDED_SWAPS + 3):
        part = arm(tmp_path, id=f"swap{number}")
        swap_files.keep("main", "log-0", f"log of {number}".encode(), str(tmp_path))
        swap_files.become(part, swap_rules.ENDED, str(tmp_path))
    swap_files.end("main", str(tmp_path))

    ended = tmp_path / "services" / "main" / "ended"
    assert sorted(os.listdir(ended)) == [f"swap{number}" for number in range(3, 8)]
    assert swap_files.kept_log("main", "swap7", str(tmp_path)) == "log of 7"
    assert swap_files.kept_log("main", "../../etc", str(tmp_path)) == ""


def test_what_no_guard_could_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'remove'"):
        arm(tmp_path, remove=["dgxspark-old-0"])
    assert list(tmp_path.iterdir()) == []


def test_an_open_swap_does_not(tmp_path: Path) -> None:
    arm(tmp_path)

    with pytest.raises(FileExistsError, match="5f0c"):
        arm(tmp_path, id="another")
    assert swap_files.services(str(tmp_path)) == ["main"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("swap.json", "{"),
        ("swap.json", json.dumps({**SWAP, "schema": 2})),
        ("swap.json", json.dumps({**SWAP, "new": {}})),
        ("swap.json", json.dumps({**SWAP, "remove": [1]})),
        ("state/go", ""),
        ("wish/abort", ""),
    ],
)
def test_what_is_not_understood_is_named(tmp_path: Path, name: str, text: str) -> None:
    arm(tmp_path)
    (Path(swap_files.place_of("main", str(tmp_path))) / name).write_text(text)

    with pytest.raises(swap_files.Unreadable, match=name.split("/", maxsplit=1)[0]):
        swap_files.read("main", str(tmp_path))


def test_the_progress_is_for_everybody(tmp_path: Path) -> None:
    folder = str(tmp_path / "swaps")
    swap_files.publish({"service": "main", "id": "5f0c", "state": "go"}, folder)
    (tmp_path / "swaps" / "other.json").write_text("no JSON")
    (tmp_path / "swaps" / "third.json").write_text('{"service": "main"}')

    assert swap_files.published(folder) == {
        "main": {"service": "main", "id": "5f0c", "state": "go"}
    }
    assert stat.S_IMODE((tmp_path / "swaps" / "main.json").stat().st_mode) == 0o644
    assert swap_files.published(str(tmp_path / "nothing")) == {}


def test_a_progress_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "swaps").write_text("a file")

    swap_files.publish({"service": "main"}, str(tmp_path / "swaps"))
