# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a delete removes, what it refuses, and what is left when it is interrupted."""

from __future__ import annotations

import fcntl
import os
import shutil
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host.safe_folder import SafeFolder
from ansible_collections.dgxspark.suite.plugins.module_utils.models import removal
from ansible_collections.dgxspark.suite.plugins.module_utils.models.cache import scan
from ansible_collections.dgxspark.suite.plugins.module_utils.models.removal import RemovalPlan, Seen
from ansible_collections.dgxspark.suite.plugins.module_utils.models.users import Process

OLD, NEW = "a" * 40, "b" * 40
FIRST = {"config.json": b"{}", "model.safetensors": b"shared weights", "old.txt": b"old"}
SECOND = {"config.json": b"{ }", "model.safetensors": b"shared weights"}


def look(hub: t.Any, name: str = "org/one", directories: tuple[str, ...] = ()) -> Seen:
    return removal.observe(str(hub.path), directories, name, [], [])


def everything(path: Path) -> set[str]:
    return {str(one) for one in path.rglob("*")}


@pytest.fixture
def two(hub: t.Any) -> t.Any:
    hub.add("org/one", FIRST, OLD, ref="v1")
    hub.add("org/one", SECOND, NEW)
    hub.add("org/other", SECOND, NEW)
    return hub


def test_a_model_is_removed_completely_and_nothing_else(two: t.Any) -> None:
    others = everything(two.folder("org/other"))
    plan = removal.plan(look(two))
    assert plan.paths == [str(two.folder("org/one"))]
    assert plan.freed == sum(map(len, {*FIRST.values(), *SECOND.values()}))
    removal.apply(plan)
    assert {path.name for path in two.path.iterdir()} == {"models--org--other"}
    assert everything(two.folder("org/other")) == others
    assert removal.plan(look(two)) == RemovalPlan()


def test_a_revision_is_removed_with_the_blobs_that_no_other_uses(two: t.Any) -> None:
    plan = removal.plan(look(two), OLD)
    assert plan.refusals == ()
    assert plan.freed == len(b"{}") + len(b"old")
    before = everything(two.path)
    removal.apply(plan)
    gone = before - everything(two.path)
    snapshot = two.folder("org/one") / "snapshots" / OLD
    # Exactly what was said: the folder with what is in it, and the files.
    assert gone == {*plan.paths, *(one for one in before if one.startswith(f"{snapshot}/"))}
    (model,) = scan(str(two.path), [], "org/one").models
    assert [(one.revision, one.complete) for one in model.revisions] == [(NEW, True)]


def test_the_only_revision_is_the_model(hub: t.Any) -> None:
    hub.add("org/one", FIRST, OLD)
    assert removal.plan(look(hub), OLD).paths == [str(hub.folder("org/one"))]


def test_an_unknown_revision_is_refused(two: t.Any) -> None:
    (refusal,) = removal.plan(look(two), "c" * 40).refusals
    assert OLD in refusal
    assert NEW in refusal


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"users": [Process(7, "vllm", [])]}, ["it is used by vllm (pid 7)"]),
        ({"opened": [Process(8, "rsync", [])]}, ["it has files open in rsync (pid 8)"]),
        ({"locked": True}, ["another run works on it"]),
        ({"links": ["/a", "/b", "/c", "/d"]}, ["links point into it: /a, /b, /c and 1 more"]),
        (
            {"writable": False},
            ["this user may not write there, or the file system is read-only"],
        ),
    ],
)
def test_refusals(two: t.Any, told: dict[str, t.Any], expected: list[str]) -> None:
    model = look(two).model
    assert list(removal.plan(Seen(model, **told)).refusals) == expected


def test_a_model_that_is_being_downloaded_is_refused(two: t.Any) -> None:
    (two.folder("org/one") / "blobs" / ("f" * 64 + ".incomplete")).write_bytes(b"x")
    assert removal.plan(look(two)).refusals == ("it is being downloaded",)


def test_a_model_into_which_links_point_is_refused(two: t.Any, tmp_path: Path) -> None:
    own = tmp_path / "models" / "tune"
    own.mkdir(parents=True)
    (own / "config.json").write_bytes(b"{}")
    base = two.folder("org/one") / "snapshots" / NEW
    (own / "model.safetensors").symlink_to(base / "model.safetensors")
    (tmp_path / "models" / "alias").symlink_to(base)
    where = (str(tmp_path / "models"),)
    (refusal,) = removal.plan(look(two, directories=where)).refusals
    assert f"{own}/model.safetensors" in refusal
    assert f"{tmp_path}/models/alias" in refusal
    # What leads out of a model does not hold it.
    assert removal.plan(look(two, str(own), where)).refusals == ()
    (refusal,) = removal.plan(look(two, f"{tmp_path}/models/alias", where)).refusals
    assert refusal.endswith(f"is only a link to {base}")


def test_a_model_on_which_another_run_works_is_refused(two: t.Any) -> None:
    descriptor = os.open(two.folder("org/one"), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert removal.plan(look(two)).refusals == ("another run works on it",)
    finally:
        os.close(descriptor)


def test_a_model_with_an_open_file_is_refused(two: t.Any) -> None:
    running = [Process(os.getpid(), "python3", [])]
    with (two.folder("org/one") / "refs" / "main").open():
        seen = removal.observe(str(two.path), [], "org/one", running, [])
        assert removal.plan(seen).refusals[0].startswith("it has files open in python3")


def test_an_interrupted_delete_is_completed_by_the_next(
    two: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SafeFolder.remove_tree

    def stop(trash: SafeFolder, name: str) -> t.NoReturn:
        shutil.rmtree(os.path.join(trash.path, name, "blobs"))
        raise OSError(5, "Input/output error", name)

    monkeypatch.setattr(SafeFolder, "remove_tree", stop)
    with pytest.raises(OSError, match="Input/output"):
        removal.apply(removal.plan(look(two)))
    # No half of a model is on the menu.
    assert [one.name for one in scan(str(two.path), []).models] == ["org/other"]
    monkeypatch.setattr(SafeFolder, "remove_tree", real)
    plan = removal.plan(look(two))
    assert len(plan.paths) == 1
    removal.apply(plan)
    assert {path.name for path in two.path.iterdir()} == {"models--org--other"}


def test_a_half_deleted_model_can_be_removed(two: t.Any) -> None:
    shutil.rmtree(two.folder("org/one") / "snapshots")
    removal.apply(removal.plan(look(two)))
    assert not two.folder("org/one").exists()


def test_links_in_a_model_are_removed_and_not_followed(hub: t.Any, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("")
    snapshot = hub.add("org/one", FIRST, OLD)
    (snapshot / "out").symlink_to(tmp_path / "precious")
    removal.apply(removal.plan(look(hub)))
    assert (tmp_path / "precious" / "file").exists()


def test_a_plan_has_an_id_that_changes_with_it(two: t.Any) -> None:
    first = removal.plan(look(two))
    assert first.id == removal.plan(look(two)).id
    two.add("org/one", {"more": b"more"}, NEW)
    assert removal.plan(look(two)).id != first.id
