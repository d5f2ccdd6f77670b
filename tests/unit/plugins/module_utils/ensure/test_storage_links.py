# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage in folders that other users own: no link of theirs leads root anywhere."""

from __future__ import annotations

import os
import pwd
import typing as t
from functools import partial
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import converge
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.storage import (
    Wanted,
    observe,
    plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host import safe_folder
from ansible_collections.dgxspark.suite.plugins.module_utils.host.safe_folder import SafeFolder

USER = 65534
PATHS = ("ai", "ai/cache", "ai/cache/huggingface")


class Storage:
    """The folders of PATHS, all wanted for the user with mode 0750."""

    def __init__(self, tree: t.Any) -> None:
        self.tree = tree
        self.between: t.Callable[[], None] = lambda: None
        self.owner = pwd.getpwuid(USER).pw_name
        tree.folder("outside", mode=0o700)
        tree.folder("outside/cron.d", mode=0o700)

    def run(self, act: bool, paths: t.Sequence[str] = PATHS, **given: t.Any) -> dict[str, t.Any]:
        top = self.tree.top
        wanted = Wanted(
            **{
                "directories": [{"path": str(top / path), "mode": "0750"} for path in paths],
                "owner": self.owner,
                "group": "",
                "hf_home": "",
                "profile_file": str(top / "profile.sh"),
                "environment_file": str(top / "storage.env"),
                "datasets": [],
                **given,
            }
        )

        def planned(observed: t.Any) -> t.Any:
            made = plan(observed, wanted)
            # Another user acts after the check and before the repair.
            self.between()
            self.between = lambda: None
            return made

        return converge(partial(observe, wanted, "", ""), planned, act)[0]

    def statuses(self, result: dict[str, t.Any]) -> list[str]:
        found = {entry["check"]: entry["status"] for entry in result["findings"]}
        return [status for check, status in found.items() if check.startswith("storage_dir")]

    def owners(self) -> list[tuple[int, int]]:
        found = [os.lstat(self.tree.top / path) for path in PATHS]
        return [(status.st_uid, status.st_mode & 0o7777) for status in found]


@pytest.fixture
def storage(tree: t.Any) -> Storage:
    return Storage(tree)


def test_folders_are_given_away_the_deepest_first(storage: Storage) -> None:
    checked = storage.run(False)
    made = storage.run(True)
    assert storage.statuses(checked) == ["drift"] * 3
    assert storage.statuses(made) == ["fixed"] * 3
    assert made["diff"] == checked["diff"]
    assert storage.owners() == [(USER, 0o750)] * 3
    assert not storage.run(True)["changed"]


def test_folders_of_roots_are_given_away_as_well(storage: Storage) -> None:
    for path in PATHS:
        (storage.tree.folder(path) / "file").touch()
    assert storage.statuses(storage.run(True)) == ["fixed"] * 3
    assert storage.owners() == [(USER, 0o750)] * 3
    assert (storage.tree.top / "ai/cache/file").stat().st_uid == 0


def test_a_folder_below_one_that_was_given_away_is_made(storage: Storage) -> None:
    storage.run(True, PATHS[:2])
    assert storage.statuses(storage.run(True)) == ["ok", "ok", "fixed"]
    assert storage.owners() == [(USER, 0o750)] * 3


@pytest.mark.parametrize("target", ["outside", "outside/cron.d", "outside/missing", "../.."])
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("owner", [0, USER], ids=["root's link", "a user's link"])
def test_no_link_in_a_users_folder_is_followed(
    storage: Storage, at: int, owner: int, target: str
) -> None:
    for path in PATHS[:at]:
        storage.tree.folder(path, USER)
    storage.tree.link(PATHS[at], storage.tree.top / target, owner)
    outside = storage.tree.state("outside")
    everything = storage.tree.state()
    checked = storage.run(False, PATHS[at:])
    assert storage.tree.state() == everything
    result = storage.run(True, PATHS[at:])
    assert storage.statuses(checked) == storage.statuses(result) == ["blocked"] * (3 - at)
    assert storage.tree.state("outside") == outside
    assert storage.tree.state("ai") == {
        path: state for path, state in everything.items() if "/ai" in path
    }


def test_nothing_is_changed_in_a_folder_that_everybody_may_write(storage: Storage) -> None:
    storage.tree.folder("ai", mode=0o777)
    storage.tree.folder("ai/cache", mode=0o700)
    storage.tree.link("ai/link", storage.tree.top / "outside")
    everything = storage.tree.state()
    result = storage.run(True, ["ai/cache", "ai/link"])
    assert storage.statuses(result) == ["blocked", "blocked"]
    assert storage.tree.state("ai") == {
        path: state for path, state in everything.items() if "/ai" in path
    }


def test_a_folder_of_roots_in_a_users_folder_is_left_to_root(storage: Storage) -> None:
    storage.tree.folder("ai", USER)
    (storage.tree.folder("ai/cache", mode=0o700) / "secret").touch()
    storage.tree.folder("ai/cache/huggingface", mode=0o700)
    state = storage.tree.state("ai/cache")
    assert storage.statuses(storage.run(True, PATHS[1:])) == ["blocked", "blocked"]
    assert storage.tree.state("ai/cache") == state


def test_a_link_of_roots_in_a_folder_of_roots_is_followed_and_named(storage: Storage) -> None:
    disk = storage.tree.folder("disk")
    storage.tree.folder("ai")
    link = storage.tree.link("ai/cache", disk)
    result = storage.run(True, PATHS[1:])
    assert storage.statuses(result) == ["fixed", "fixed"]
    assert {disk.stat().st_uid, (disk / "huggingface").stat().st_uid} == {USER}
    again = storage.run(True, PATHS[1:])
    named = [entry["actual"] for entry in again["findings"] if "cache" in entry["check"]]
    assert [f"{link} -> {disk}" in actual for actual in named] == [True, True]
    assert not again["changed"]


@pytest.mark.parametrize("by_link", [True, False])
def test_a_folder_of_the_system_is_never_storage(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, by_link: bool
) -> None:
    system = storage.tree.folder("system", mode=0o777)
    monkeypatch.setattr(safe_folder, "_SYSTEM", (str(system),))
    path = "system"
    if by_link:
        storage.tree.folder("ai")
        path = "ai/models"
        storage.tree.link(path, system)
    before = storage.tree.state("system")
    for act in (False, True):
        assert storage.statuses(storage.run(act, [path])) == ["blocked"]
    assert storage.tree.state("system") == before


@pytest.mark.parametrize("path", ["/tmp", "/etc", "/var/lib/docker/x", "/home/a", "/usr/bin"])
def test_the_folders_of_this_system_are_none(storage: Storage, path: str) -> None:
    link = storage.tree.link("models", path)
    directories = [{"path": path, "mode": "0755"}, {"path": str(link), "mode": "0755"}]
    result = storage.run(False, directories=directories)
    assert storage.statuses(result) == ["blocked", "blocked"]


def exchange(path: Path, other: Path) -> None:
    aside = path.with_name("aside")
    path.rename(aside)
    other.rename(path)


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("with_link", [True, False], ids=["a link", "a folder of root's"])
def test_what_is_exchanged_after_the_check_is_not_changed(
    storage: Storage, at: int, with_link: bool
) -> None:
    top = storage.tree.top
    for path in PATHS:
        storage.tree.folder(path, USER, 0o700)
    place = top / PATHS[at]
    other = place.with_name("other")
    if with_link:
        other.symlink_to(top / "outside")
    else:
        storage.tree.folder(str(other.relative_to(top)), mode=0o700)
        storage.tree.folder(str(other.relative_to(top) / Path("huggingface")), mode=0o700)
    before = (storage.tree.state("outside"), other.lstat())
    storage.between = lambda: exchange(place, other)
    result = storage.run(True)
    after = place.lstat()
    assert storage.statuses(result)[at:] == ["blocked"] * (3 - at)
    assert storage.tree.state("outside") == before[0]
    assert (after.st_uid, after.st_mode) == (before[1].st_uid, before[1].st_mode)
    if not with_link:
        assert (place / "huggingface").stat().st_uid == 0


def test_what_is_exchanged_within_the_repair_is_not_changed(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that was opened gets the owner, wherever it is by then."""
    for path, mode in zip(PATHS, (0o750, 0o750, 0o700)):
        storage.tree.folder(path, USER, mode)
    place = storage.tree.top / PATHS[2]
    other = storage.tree.link("ai/cache/other", storage.tree.top / "outside", USER)
    before = storage.tree.state("outside")
    give = SafeFolder.give

    def late(folder: SafeFolder, uid: int, gid: int) -> None:
        exchange(place, other)
        give(folder, uid, gid)

    monkeypatch.setattr(SafeFolder, "give", late)
    storage.run(True)
    assert place.is_symlink()
    assert storage.tree.state("outside") == before
    assert place.with_name("aside").stat().st_mode & 0o777 == 0o750


def test_no_dataset_is_mounted_through_a_link_of_a_user(storage: Storage) -> None:
    storage.tree.folder("ai", USER)
    link = storage.tree.link("ai/models", storage.tree.top / "outside", USER)
    called = storage.tree.top / "called"
    for name, script in (
        ("zpool", "printf 'ai\\tONLINE\\t4000\\t3000\\n'"),
        ("zfs", f"[ $1 = get ] && exit 1; touch {called}"),
    ):
        program = storage.tree.top / name
        program.write_text("#!/bin/sh\n%s\n" % script)
        program.chmod(0o755)
    wanted = Wanted(
        directories=[],
        owner="",
        group="",
        hf_home="",
        profile_file=str(storage.tree.top / "p"),
        environment_file=str(storage.tree.top / "e"),
        datasets=[{"name": "ai/models", "properties": {"mountpoint": str(link)}}],
    )
    tools = [str(storage.tree.top / name) for name in ("zfs", "zpool")]
    result = converge(partial(observe, wanted, *tools), partial(plan, wanted=wanted), True)[0]
    assert {e["check"]: e["status"] for e in result["findings"]}["zfs_ai_models"] == "blocked"
    assert not called.exists()


@pytest.mark.parametrize("linked", [True, False])
def test_the_files_for_programs_are_not_written_into_a_users_folder(
    storage: Storage, linked: bool
) -> None:
    folder = storage.tree.folder("profile.d", USER)
    if linked:
        folder = storage.tree.link("profile.d/link", storage.tree.top / "outside", USER)
    everything = storage.tree.state()
    given = {"profile_file": str(folder / "p.sh"), "environment_file": str(folder / "s.env")}
    for act in (False, True):
        result = storage.run(act, [], hf_home=str(storage.tree.top / "hf"), **given)
        found = {entry["check"]: entry["status"] for entry in result["findings"]}
        assert found["hf_home_profile"] == found["hf_home_environment"] == "blocked"
    assert storage.tree.state("profile.d") == {
        path: state for path, state in everything.items() if "/profile.d" in path
    }
    assert os.listdir(storage.tree.top / "outside") == ["cron.d"]
