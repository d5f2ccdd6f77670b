# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user without root reads of the lock and the journal: their public parts, never a token."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    journal,
    lock,
    state_files,
)

NOW = 1_764_036_000.0  # 2025-11-25T02:00:00Z
TOKEN, RUN = "secret-token", "secret-run"
LOCK: dict[str, t.Any] = {
    "schema": 1,
    "token": TOKEN,
    "owner": "Alice",
    "reason": "benchmarks",
    "since": NOW,
    "expires": NOW + 60,
    "holder": {"pid": 1, "machine": "secret-machine"},
    "run": {"id": RUN, "holder": {}, "since": NOW, "expires": NOW + 90},
}
PUBLIC = {
    "owner": "Alice",
    "reason": "benchmarks",
    "since": "2025-11-25T02:00:00Z",
    "expires": "2025-11-25T02:01:30Z",
    "run_since": "2025-11-25T02:00:00Z",
}
SWAP = {
    "recipe": "lab-tiny",
    "service": "main",
    "phase": "stop",
    "owner": "Alice",
    "since": "2025-11-25T02:00:00Z",
    "result": None,
}


def entry() -> dict[str, t.Any]:
    properties = {"recipe": "lab-tiny", "service": "main", "owner": "Alice", "token": TOKEN}
    properties["previous"] = {"containers": [TOKEN]}
    times = {"started": NOW, "phase": "stop", "phase_since": NOW, "phases": []}
    return {"id": "1", **properties, **times, "result": None, "why": ""}


@contextlib.contextmanager
def other_user(user: int) -> t.Iterator[None]:
    """Be a user without rights, as far as files are concerned."""
    os.setegid(user)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def state(tree: t.Any) -> Path:
    """The folder of the head, as root writes it."""
    folder: Path = tree.folder("state")
    lock.store(str(folder), LOCK)
    journal.store(str(folder), entry())
    return folder


def test_the_public_files_have_what_may_be_known_and_no_token(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        lock.store(str(tmp_path), LOCK)
        journal.store(
            str(tmp_path), {**entry(), "phase": "failed", "result": "failed", "why": TOKEN}
        )
    finally:
        os.umask(mask)
    public = tmp_path / "public"
    assert stat.S_IMODE(public.stat().st_mode) == 0o755
    texts = {path.name: path.read_text(encoding="utf-8") for path in public.iterdir()}
    assert {name: json.loads(text) for name, text in texts.items()} == {
        "lock.public.json": PUBLIC,
        "swap.public.json": {**SWAP, "phase": "failed", "result": "failed"},
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in public.iterdir()} == {0o644}
    assert "secret" not in "".join(texts.values())


def test_control_characters_of_an_owner_are_not_published(tmp_path: Path) -> None:
    lock.store(str(tmp_path), {**LOCK, "owner": "\x1b[2J"})
    journal.store(str(tmp_path), {**entry(), "recipe": "\x1b[2J\n", "started": "soon"})
    public = tmp_path / "public"
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(public.iterdir())]
    assert [read[0]["owner"], read[1]["recipe"], read[1]["since"]] == [
        "\\x1b[2J",
        "\\x1b[2J\\n",
        "",
    ]


def test_a_released_lock_leaves_nothing(tmp_path: Path) -> None:
    lock.store(str(tmp_path), LOCK)
    lock.store(str(tmp_path), None)
    assert [path.name for path in tmp_path.rglob("*")] == ["public"]


def test_another_user_reads_the_public_parts(tree: t.Any, state: Path) -> None:
    assert lock.known(str(state)) == PUBLIC
    assert journal.known(str(state))["id"] == "1"
    with other_user(tree.user):
        with pytest.raises(state_files.Forbidden, match="readable by root only"):
            lock.stored(str(state))
        assert lock.known(str(state)) == PUBLIC
        assert journal.known(str(state)) == SWAP


def test_a_public_part_that_outlived_its_lock_counts_for_nobody(tree: t.Any, state: Path) -> None:
    """A run that was killed between the two files."""
    (state / "lock.json").unlink()
    with other_user(tree.user):
        assert lock.known(str(state)) == {}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"owner": 7}', '{"owner": "Alice"}', "\x00", None], ids=repr
)
def test_a_public_file_that_is_missing_or_of_another_shape_is_nothing(
    tree: t.Any, state: Path, text: str | None
) -> None:
    for path in (state / "public").iterdir():
        path.unlink() if text is None else path.write_text(text)
    with other_user(tree.user):
        assert (lock.known(str(state)), journal.known(str(state))) == ({}, {})


def test_a_folder_that_only_root_may_enter_is_nothing(tree: t.Any, state: Path) -> None:
    state.chmod(0o700)
    with other_user(tree.user):
        assert (lock.known(str(state)), journal.known(str(state))) == ({}, {})


def test_more_keys_in_a_public_file_are_not_passed_on(tree: t.Any, state: Path) -> None:
    (state / "public" / "lock.public.json").write_text(json.dumps({**PUBLIC, "token": TOKEN}))
    with other_user(tree.user):
        assert lock.known(str(state)) == PUBLIC


def test_what_cannot_be_published_does_not_stop_the_lock(tree: t.Any) -> None:
    folder = tree.folder("state")
    elsewhere = tree.folder("elsewhere", tree.user)
    tree.link("state/public", elsewhere, tree.user)
    theirs = elsewhere / "lock.public.json"
    theirs.write_text("{}")
    lock.store(str(folder), LOCK)
    assert lock.stored(str(folder)) == LOCK
    lock.store(str(folder), None)
    assert lock.stored(str(folder)) == {}
    assert theirs.read_text() == "{}"


def test_an_old_public_part_does_not_stay_if_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock.store(str(tmp_path), LOCK)

    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state_files, "own_folder", full)
    lock.store(str(tmp_path), {**LOCK, "owner": "Bob"})
    assert lock.stored(str(tmp_path))["owner"] == "Bob"
    assert list((tmp_path / "public").iterdir()) == []
