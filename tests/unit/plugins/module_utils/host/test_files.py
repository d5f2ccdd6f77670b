# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and links of ours, and those of others."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host import files
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    COMMENT,
    FileWrite,
    LinkWrite,
    OwnFile,
    lock_file,
    locked,
    make_directories,
    real_file,
    replace_file,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import (
    list_folder,
    read_text,
)

TEXT = COMMENT + "a = 1\n"


def write(path: Path, text: str | None = TEXT, mode: int = 0o640) -> FileWrite:
    return FileWrite(OwnFile.read(str(path)), text, mode, ("a",))


def test_a_file_is_made_with_its_directories(tmp_path: Path) -> None:
    path = tmp_path / "b" / "c" / "file"
    edit = write(path)
    assert (edit.before, edit.after) == ("", TEXT)
    edit.apply()
    file = OwnFile.read(str(path))
    assert (file.text, file.mode, file.differs(TEXT, 0o640)) == (TEXT, 0o640, "")
    assert os.listdir(path.parent) == ["file"]


def test_a_file_of_ours_is_replaced_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path).apply()
    assert "different contents" in OwnFile.read(str(path)).differs("x", 0o640)
    assert "mode 0640" in OwnFile.read(str(path)).differs(TEXT, 0o644)
    write(path, COMMENT + "b\n").apply()
    assert path.read_text() == COMMENT + "b\n"
    assert OwnFile.read(str(path)).differs(None, 0) != ""
    write(path, None).apply()
    assert not path.exists()
    assert OwnFile.read(str(path)).differs(None, 0) == ""


@pytest.mark.parametrize("rest", ["", "\n\n", "\0\0\0"])
def test_what_a_crash_has_left_empty_is_nobodys(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "file"
    path.write_text(rest)
    write(path).apply()
    assert path.read_text() == TEXT


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    edit = write(path)
    path.write_text("theirs\n" * 9 + TEXT)
    with pytest.raises(Blocked, match="does not belong"):
        OwnFile.read(str(path))
    with pytest.raises(Blocked, match="does not belong"):
        edit.apply()
    assert path.read_text().startswith("theirs")


def test_a_directory_or_a_link_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, entry in (("folder", "a directory"), ("link", "a link")):
        with pytest.raises(Blocked, match=entry):
            OwnFile.read(str(tmp_path / name))


def test_a_link_is_set_in_one_step_and_nothing_else_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "deep" / "link"
    edit = LinkWrite(str(link), "/usr", "", ("a",))
    assert (edit.before, edit.after) == ("", "%s -> /usr\n" % link)
    edit.apply()
    LinkWrite(str(link), "/etc", "/usr", ("a",)).apply()
    assert os.readlink(link) == "/etc"
    assert os.listdir(link.parent) == ["link"]
    link.unlink()
    link.mkdir()
    with pytest.raises(Blocked, match="not a link"):
        edit.apply()


def test_a_lock_that_is_held_is_told_of(tmp_path: Path) -> None:
    directory = str(tmp_path)
    with locked(directory), pytest.raises(Blocked, match="another run"), locked(directory, 0.1):
        pass


def as_user(user: int, do: t.Callable[[], object]) -> subprocess.Popen[bytes]:
    """Do something as a user without rights; it ends when its input is closed."""

    def begin() -> None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        do()

    return subprocess.Popen(["cat"], stdin=subprocess.PIPE, preexec_fn=begin, close_fds=False)


def test_a_user_who_may_open_a_folder_does_not_hold_its_lock(tree: t.Any, locks: str) -> None:
    folder = tree.folder("state")

    def hold() -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        os.set_inheritable(descriptor, True)
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    held = as_user(tree.user, hold)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        with locked(str(folder), 0):
            assert os.stat(locks).st_mode & 0o7777 == 0o700
            assert os.stat(lock_file(str(folder))).st_mode & 0o7777 == 0o600
    finally:
        held.communicate()


def test_all_names_of_a_folder_have_one_lock(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    names = ["folder", "link", "folder/", "./folder"]
    assert len({lock_file("%s/%s" % (tmp_path, name)) for name in names}) == 1
    assert lock_file(str(tmp_path)) != lock_file(str(tmp_path / "folder"))
    assert len(os.path.basename(lock_file("/" + "ä" * 3000))) < 100


@pytest.mark.parametrize("case", ["another's", "open to others", "a link", "in another's"])
def test_a_folder_of_locks_that_others_may_use_is_refused(
    tree: t.Any, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    above = tree.folder("tmp", tree.user if case == "in another's" else 0, 0o1777)
    if case == "a link":
        tree.link("tmp/locks", tree.folder("elsewhere", mode=0o700))
    else:
        owner, mode = {"another's": (tree.user, 0o700), "open to others": (0, 0o755)}.get(
            case, (0, 0o700)
        )
        tree.folder("tmp/locks", owner, mode)
    monkeypatch.setattr(files, "_lock_folder", lambda: str(above / "locks"))
    with pytest.raises(Blocked), locked("/anything", 0):
        pass
    assert list(tree.top.rglob("anything*")) == []


def test_a_user_has_a_folder_of_locks_as_well(tree: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    above = tree.folder("tmp", mode=0o1777)
    monkeypatch.setattr(files, "_lock_folder", lambda: str(above / "mine"))

    def lock() -> None:
        with locked("/anything", 0):
            pass

    child = as_user(tree.user, lock)
    child.communicate()
    status = (above / "mine").stat()
    assert (status.st_uid, status.st_mode & 0o7777) == (tree.user, 0o700)


@pytest.mark.parametrize(
    ("owner", "mode", "linked"),
    [(65534, 0o755, False), (0, 0o777, False), (0, 0o1777, False), (65534, 0o755, True)],
    ids=["a user's", "writable", "sticky", "a user's link"],
)
def test_nothing_is_written_in_a_folder_of_others(
    tree: t.Any, owner: int, mode: int, linked: bool
) -> None:
    folder = tree.folder("folder", owner, mode)
    if linked:
        folder = tree.link("folder/link", tree.folder("safe"), owner)
    before = tree.state()
    path = str(folder / "file")
    edits: list[t.Callable[[], object]] = [
        lambda: FileWrite(OwnFile(path), TEXT, 0o644, ("a",)).apply(),
        lambda: FileWrite(OwnFile(str(folder / "new" / "file")), TEXT, 0o644, ("a",)).apply(),
        lambda: LinkWrite(path, "/usr", "", ("a",)).apply(),
        lambda: make_directories(str(folder)),
        lambda: replace_file(path, b"text", 0o644, 0),
    ]
    for edit in edits:
        with pytest.raises(Blocked):
            edit()
    try:
        obstacle = OwnFile.read(path).obstacle
    except Blocked as blocked:
        obstacle = blocked
    assert obstacle is not None
    assert tree.state() == before


def test_a_file_behind_a_link_of_a_user_is_not_read(tree: t.Any) -> None:
    (tree.folder("safe") / "file").write_text(TEXT)
    tree.folder("home", tree.user)
    tree.link("home/safe", tree.top / "safe", tree.user)
    tree.link("home/file", tree.top / "safe/file", tree.user)
    for path in ("home/safe/file", "home/file"):
        with pytest.raises(Blocked):
            OwnFile.read(str(tree.top / path))
        with pytest.raises(Blocked):
            real_file(str(tree.top / path))
    tree.link("link", "safe/../safe/file")
    assert real_file(str(tree.top / "link")) == str(tree.top / "safe/file")


def test_what_killed_writers_have_left_is_removed_after_an_hour(tmp_path: Path) -> None:
    (tmp_path / "lock.json").write_text("old")
    left = [".lock.json.abcd_123", ".lock.json.1234567z", ".lock.json.x", ".swap.json.abcd_123"]
    for name in left:
        (tmp_path / name).write_text("a secret")
        os.utime(tmp_path / name, (time.time() - 4000,) * 2)
    os.utime(tmp_path / left[1])
    (tmp_path / ".lock.json.folder_1").mkdir()
    os.utime(tmp_path / ".lock.json.folder_1", (0, 0))
    replace_file(str(tmp_path / "lock.json"), b"new", 0o600, os.geteuid())
    assert sorted(os.listdir(tmp_path)) == sorted([*left[1:], ".lock.json.folder_1", "lock.json"])


def test_text_is_read_up_to_a_limit_whatever_its_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a\xffb\n")
    assert read_text(str(path)) == "a\ufffdb\n"
    assert read_text(str(path), 2) == "a\ufffd"
    assert (read_text(str(path), errors="surrogateescape") or "").encode(
        errors="surrogateescape"
    ) == b"a\xffb\n"
    assert read_text(str(tmp_path)) is None
    assert read_text(str(tmp_path / "missing")) is None


def test_a_folder_is_listed_in_order_and_a_missing_one_is_empty(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).touch()
    assert list_folder(str(tmp_path)) == ["a", "b"]
    assert list_folder(str(tmp_path / "missing")) == []
