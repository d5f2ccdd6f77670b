# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that another user may have led elsewhere."""

from __future__ import annotations

import os
import struct
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host import safe_folder
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.safe_folder import SafeFolder

USER, OTHER = 65534, 65533


def test_missing_folders_are_made_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with SafeFolder.make_all(str(tmp_path / "a" / "b"), 0o750) as made:
            assert (made.path, made.links, made.private) == (str(tmp_path / "a" / "b"), (), True)
    finally:
        os.umask(before)
    assert {(tmp_path / name).stat().st_mode & 0o7777 for name in ("a", "a/b")} == {0o750}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    nearest, missing = SafeFolder.nearest(str(tmp_path / "a" / "b"))
    with nearest:
        assert (nearest.path, missing) == (str(tmp_path), ("a", "b"))
    with pytest.raises(FileNotFoundError):
        SafeFolder.open(str(tmp_path / "a" / "b"))


def test_no_descriptor_remains(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "lost").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "back").symlink_to("../%s/new" % tmp_path.name)
    before = os.listdir("/proc/self/fd")
    SafeFolder.make_all(str(tmp_path / "new" / "a")).close()
    SafeFolder.open(str(tmp_path / "back")).close()
    for name in ("file", "file/x", "lost", "loop"):
        with pytest.raises(Blocked):
            SafeFolder.nearest(str(tmp_path / name))
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("target", ["disk", "../{}/disk", "./disk/./", "{!s}/disk"])
def test_a_link_of_ones_own_is_followed_and_named(tmp_path: Path, target: str) -> None:
    (tmp_path / "disk").mkdir()
    text = target.replace("{!s}", str(tmp_path)).format(tmp_path.name)
    (tmp_path / "models").symlink_to(text)
    with SafeFolder.make_all(str(tmp_path / "models" / "hub")) as made:
        assert made.path == str(tmp_path / "disk" / "hub")
        assert made.links == ("%s -> %s" % (tmp_path / "models", text),)


@pytest.mark.parametrize(
    ("above", "mode", "owner"),
    [(USER, 0o755, USER), (USER, 0o755, 0), (0, 0o777, 0), (0, 0o1777, 0), (0, 0o755, USER)],
    ids=["a user's", "root's in a user's folder", "writable", "sticky", "a user's in root's"],
)
def test_no_other_link_is_followed(tree: t.Any, above: int, mode: int, owner: int) -> None:
    target = tree.folder("target")
    tree.folder("above", above, mode)
    link = tree.link("above/models", target, owner)
    before = tree.state()
    for rest in ("", "/hub"):
        with pytest.raises(Blocked, match="is a link to"):
            SafeFolder.make_all("%s%s" % (link, rest))
    assert tree.state() == before


def test_a_group_that_may_write_is_somebody_else(tree: t.Any) -> None:
    above = tree.folder("above", mode=0o775)
    link = tree.link("above/models", tree.folder("target"))
    SafeFolder.open(str(link)).close()  # the group is root's
    os.chown(above, 0, USER)
    with pytest.raises(Blocked):
        SafeFolder.open(str(link))


@pytest.mark.parametrize(
    ("above", "mode", "owner", "safe"),
    [
        (0, 0o755, 0, True),
        (0, 0o755, USER, True),
        (0, 0o1777, 0, True),
        (0, 0o1777, USER, True),
        (USER, 0o755, USER, True),
        (USER, 0o755, 0, False),
        (USER, 0o1777, 0, False),
        (USER, 0o755, OTHER, False),
        (0, 0o777, 0, False),
        (0, 0o777, USER, False),
    ],
)
def test_what_another_user_may_have_exchanged_is_not_changed(
    tree: t.Any, above: int, mode: int, owner: int, safe: bool
) -> None:
    tree.folder("above", above, mode)
    path = tree.folder("above/x", owner)
    before = tree.state()
    with SafeFolder.open(str(path)) as opened:
        for change in (
            lambda: opened.give(OTHER, OTHER),
            lambda: opened.set_mode(0o700),
            lambda: opened.make("y").close(),
        ):
            if safe:
                change()
                continue
            with pytest.raises(Blocked, match="another user"):
                change()
    assert (tree.state() == before) is not safe


def test_a_new_folder_in_a_users_folder_is_taken_only_if_it_is_empty(
    tree: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    above = tree.folder("above", USER)
    with SafeFolder.make_all(str(above / "new")) as made:
        made.give(USER, USER)
    (tree.folder("above/roots") / "secret").touch()
    mkdir: t.Callable[..., None] = os.mkdir

    def exchanged(path: str, *args: int, **keys: int) -> None:
        mkdir(path, *args, **keys)
        os.rmdir(path, dir_fd=keys["dir_fd"])
        os.rename(above / "roots", above / path)

    monkeypatch.setattr(os, "mkdir", exchanged)
    with pytest.raises(Blocked, match="exchanged"):
        SafeFolder.make_all(str(above / "huggingface"))
    assert (above / "huggingface").stat().st_uid == 0


def test_folders_of_the_system_are_refused_by_whatever_name(tmp_path: Path) -> None:
    paths = ["/", "/tmp", "/var/tmp", "/etc", "/usr/lib", "/proc/1", "/var/lib", "/home"]
    for number, path in enumerate(paths):
        way = tmp_path / str(number)
        way.symlink_to(path)
        for name in (path, str(way)):
            with SafeFolder.open(name) as opened:
                assert opened.system_objection()
    with SafeFolder.open(str(tmp_path)) as opened:
        assert not opened.system_objection()
    nearest, missing = SafeFolder.nearest("/etc/missing/folder")
    with nearest:
        assert nearest.system_objection(missing)


def test_a_home_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = safe_folder.pwd.struct_passwd(("a", "x", 1000, 1000, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(safe_folder.pwd, "getpwall", lambda: [user])
    assert safe_folder.system_folder("/elsewhere", tmp_path.stat()) == str(tmp_path)
    assert safe_folder.system_folder("/home/b", tmp_path.stat()) == "/home/b"
    assert not safe_folder.system_folder(str(tmp_path / "a"), tmp_path.parent.stat())


def test_a_tree_is_removed_and_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "file").touch()
    (tree / "a" / "out").symlink_to(outside)
    (tmp_path / "out").symlink_to(outside)
    with SafeFolder.open(str(tmp_path)) as opened:
        opened.remove_tree("tree")
        opened.remove_tree("out")
        assert opened.names() == ["outside"]
    assert (outside / "file").exists()


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    with SafeFolder.open(str(tmp_path)) as opened:
        with os.fdopen(opened.open_file("file")) as stream:
            assert stream.read() == "text"
        with pytest.raises(OSError, match="symbolic"):
            opened.open_file("link")
        with pytest.raises(Blocked):
            opened.open_file("pipe")


@pytest.mark.parametrize(
    ("gid", "members", "primary", "closed"),
    [
        (110, [], 0, True),
        (110, ["service"], 0, True),
        (110, [], 110, True),  # of the service
        (110, ["person"], 0, False),
        (110, ["in no list"], 0, False),
        (120, [], 0, False),  # of the person
        (1000, [], 0, False),
        (100, [], 0, False),
        (130, None, 0, False),
    ],
)
def test_a_group_of_services_is_trusted(
    tree: t.Any,
    monkeypatch: pytest.MonkeyPatch,
    gid: int,
    members: list[str] | None,
    primary: int,
    closed: bool,
) -> None:
    def group(asked: int) -> t.Any:
        if members is None:
            raise KeyError(asked)
        return safe_folder.grp.struct_group(("syslog", "x", asked, members))

    def user(name: str, uid: int, group: int) -> t.Any:
        return safe_folder.pwd.struct_passwd((name, "x", uid, group, "", "/", "/bin/sh"))

    people = [user("service", 104, primary), user("person", 1001, 120)]
    monkeypatch.setattr(safe_folder.pwd, "getpwall", lambda: people)
    monkeypatch.setattr(safe_folder.grp, "getgrgid", group)
    log = tree.folder("log", mode=0o775)
    os.chown(log, 0, gid)
    with SafeFolder.make_all(str(log / "dgxspark")) as made:
        assert made.private
    with SafeFolder.open(str(log / "dgxspark")) as opened:
        assert opened.private is closed


def test_an_access_list_that_lets_others_write_counts(tree: t.Any) -> None:
    above = tree.folder("above")
    link = tree.link("above/models", tree.folder("target"))
    # Version 2; owner, this user, group, mask and others, each with tag, rights and id.
    entries = [(1, 7, -1), (2, 7, USER), (4, 5, -1), (16, 7, -1), (32, 5, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(above, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("this file system has no access lists")
    with pytest.raises(Blocked):
        SafeFolder.open(str(link))
