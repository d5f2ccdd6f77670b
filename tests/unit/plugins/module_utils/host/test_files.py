# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and links of ours, and those of others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    COMMENT,
    FileWrite,
    LinkWrite,
    OwnFile,
    locked,
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
