# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our keys in other people's environment files."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import (
    HEADER,
    EnvEdit,
    EnvFile,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host import files
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked

Changes = dict[str, "str | None"]

KEYS = ("A", "B")

EDITS: list[tuple[str, str, Changes, str]] = [
    ("an empty file gets a header", "", {"A": "/a"}, HEADER + "A=/a\n"),
    ("keys are added in a fixed order", "X=1\n", {"B": "/b", "A": "/a"}, "X=1\nA=/a\nB=/b\n"),
    ("a key stays at its place", "X=1\nA=/0\nY=2\n", {"A": "/a"}, "X=1\nA=/a\nY=2\n"),
    ("a key goes", "X=1\nA=/0\nY=2\n", {"A": None}, "X=1\nY=2\n"),
    ("a key that is not there need not go", "X=1\n", {"A": None}, "X=1\n"),
    (
        "what is right stays as written",
        ' export  A="/a" # why\n',
        {"A": "/a"},
        ' export  A="/a" # why\n',
    ),
    ("an export prefix is kept", "export A=/0\n", {"A": "/a"}, "export A=/a\n"),
    (
        "the last assignment is set, others go",
        "A=/1\nX=1\nA=/2\nY=2\n",
        {"A": "/a"},
        "X=1\nA=/a\nY=2\n",
    ),
    ("all assignments go", "A=/1\nX=1\nexport A=/2\n", {"A": None}, "X=1\n"),
    ("a missing final newline is missing after a removal", "A=/0\nX=1", {"A": None}, "X=1"),
    ("a missing final newline is added before an addition", "X=1", {"A": "/a"}, "X=1\nA=/a\n"),
    ("other line ends stay", "X=1\r\nA=/0\r\nY=2\r\n", {"A": "/a"}, "X=1\r\nA=/a\nY=2\r\n"),
    ("a carriage return is a wrong value", "A=/a\r\n", {"A": "/a"}, "A=/a\n"),
    (
        "comments and junk stay",
        "# A=/0\n\n;!\nset -e\n",
        {"A": "/a"},
        "# A=/0\n\n;!\nset -e\nA=/a\n",
    ),
    (
        "an apostrophe in a comment opens nothing",
        "# don't\nX=1 # can't\n",
        {"A": "/a"},
        "# don't\nX=1 # can't\nA=/a\n",
    ),
    (
        "a line inside a foreign quote is not ours",
        "X='\nA=/0\n'\n",
        {"A": "/a"},
        "X='\nA=/0\n'\nA=/a\n",
    ),
    ("a continued line is one line", "X=1\\\nA=/0\n", {"A": "/a"}, "X=1\\\nA=/0\nA=/a\n"),
    ("a longer name is another key", "XA=/0\nA_B=/0\n", {"A": "/a"}, "XA=/0\nA_B=/0\nA=/a\n"),
    ("a value with blanks is quoted", "", {"A": "/a b"}, HEADER + 'A="/a b"\n'),
    ("a value for a shell is defused", "", {"A": '/$(x)"`\\'}, HEADER + 'A="/\\$(x)\\"\\`\\\\"\n'),
    ("an apostrophe is no reason to escape", "", {"A": "/it's"}, HEADER + 'A="/it\'s"\n'),
]


@pytest.mark.parametrize(
    ("text", "changes", "expected"), [case[1:] for case in EDITS], ids=[case[0] for case in EDITS]
)
def test_an_edit_touches_our_keys_only(text: str, changes: Changes, expected: str) -> None:
    edited = EnvFile("/x", text).changed(changes)
    assert edited.text == expected
    assert edited.changed(changes).text == expected
    for key, value in changes.items():
        assert edited.values().get(key) == value


def test_nothing_to_remove_makes_no_file() -> None:
    assert EnvFile("/x", None).changed({"A": None}).text is None


@pytest.mark.parametrize("value", ["", "/a\nB=/b", "/a\r", "/a\0"])
def test_a_value_that_would_break_the_file_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="A cannot be set"):
        EnvFile("/x", "").changed({"A": value})


VALUES = [
    ("A=/a\n", "/a"),
    ("export A=/a", "/a"),
    ("A='/a b'\n", "/a b"),
    ('A="/a \\"b\\""\n', '/a "b"'),
    ("A=/a\\ b\n", "/a b"),
    ("A=/a # c\n", "/a"),
    ("A=/a#b\n", "/a#b"),
    ("A=$HOME/a\n", "$HOME/a"),
    ("A=\n", ""),
    ("A= /a\n", ""),
    ('A=""\n', ""),
    ("A=/a\\", "/a\\"),
    ("A=/1\nA=/2\n", "/2"),
    ("A=/a\r\n", "/a\r"),
    ("# A=/a\n", None),
    ("A =/a\n", None),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_values_are_read_as_a_shell_would_without_expanding(text: str, value: str | None) -> None:
    assert EnvFile("/x", text).values().get("A") == value


@pytest.mark.parametrize("value", ["/plain", "/a b", "/it's", '/"q"', "/back\\slash", "/$HOME`x`"])
def test_a_shell_reads_back_what_was_written(tmp_path: Path, value: str) -> None:
    path = tmp_path / "paths.env"
    EnvEdit(EnvFile.read(str(path)), {"A": value}, KEYS, ("a",)).apply()
    shown = subprocess.run(
        ["/bin/sh", "-c", '. "$1"; printf %s "$A"', "sh", str(path)],
        capture_output=True,
        check=True,
    )
    assert shown.stdout.decode() == value


def test_a_file_is_written_with_its_directories_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "dir" / "paths.env"
    old = os.umask(0o077)
    try:
        EnvEdit(EnvFile.read(str(path)), {"A": "/a"}, KEYS, ("a",)).apply()
    finally:
        os.umask(old)
    assert path.read_text() == HEADER + "A=/a\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert [entry.name for entry in path.parent.iterdir()] == ["paths.env"]


def test_mode_is_put_right_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "paths.env"
    path.write_text("\n" + HEADER + "A=/a\nB=/b\n")
    path.chmod(0o600)
    file = EnvFile.read(str(path))
    edit = EnvEdit(file, {"A": "/b"}, KEYS, ("a",))
    assert not file.permissions_ok
    assert edit.before.startswith("A=/a\n# mode 0600")
    assert edit.after.startswith("A=/b\n# mode 0644")
    edit.apply()
    assert EnvFile.read(str(path)).permissions_ok


PRIVATE = [
    ("X=1\n", 0o600, "X"),
    ("export HF_TOKEN=hf_secret\nA=/a\nX=1\n", 0o640, "HF_TOKEN, X"),
    ("A=/a\n# HF_TOKEN=hf_secret\n", 0o600, "other text"),
    ("set -e\n", 0o000, "other text"),
]


@pytest.mark.parametrize(("text", "mode", "named"), PRIVATE)
def test_what_others_keep_from_some_is_not_shown_to_all(text: str, mode: int, named: str) -> None:
    obstacle = EnvFile("/etc/paths.env", text, mode).obstacle(KEYS)
    assert obstacle is not None
    assert str(obstacle).endswith("has other entries: " + named)
    assert "hf_secret" not in str(obstacle)
    assert "then chmod 0644 /etc/paths.env" in obstacle.hint


@pytest.mark.parametrize(
    ("text", "mode"),
    [(None, 0o644), ("", 0o600), (HEADER + "\nA=/a\nB=/b\n", 0o600), ("X=1\n", 0o664)],
)
def test_what_is_ours_or_readable_anyway_may_be_replaced(text: str | None, mode: int) -> None:
    assert EnvFile("/etc/paths.env", text, mode).obstacle(KEYS) is None


def test_a_file_that_was_made_private_since_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "paths.env"
    path.write_text("X=1\n")
    path.chmod(0o644)
    edit = EnvEdit(EnvFile.read(str(path)), {"A": "/a"}, KEYS, ("a",))
    path.chmod(0o600)
    with pytest.raises(Blocked, match=r"mode 0600\), and has other entries: X"):
        edit.apply()
    assert path.read_text() == "X=1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_diff_does_not_show_the_lines_of_others(tmp_path: Path) -> None:
    path = tmp_path / "paths.env"
    path.write_text("HF_TOKEN=hf_secret\nA=/0\n")
    path.chmod(0o644)
    edit = EnvEdit(EnvFile.read(str(path)), {"A": "/a", "B": "/b"}, KEYS, ("a",))
    assert (edit.before, edit.after) == ("A=/0\n", "A=/a\nB=/b\n")


def test_a_link_is_followed_and_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real" / "paths.env", tmp_path / "paths.env"
    real.parent.mkdir()
    link.symlink_to(real)
    EnvEdit(EnvFile.read(str(link)), {"A": "/a"}, KEYS, ("a",)).apply()
    assert link.is_symlink()
    assert real.read_text() == HEADER + "A=/a\n"


def test_an_edit_made_since_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "paths.env"
    path.write_text("X=1\n")
    edit = EnvEdit(EnvFile.read(str(path)), {"A": "/a"}, KEYS, ("a",))
    path.write_text("X=1\nY=2\n")
    edit.apply()
    assert path.read_text() == "X=1\nY=2\nA=/a\n"


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "paths.env"
    edits = [
        EnvEdit(EnvFile.read(str(path)), {"K%d" % n: "/%d" % n}, (), ("a",)) for n in range(12)
    ]
    threads = [threading.Thread(target=edit.apply) for edit in edits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert EnvFile.read(str(path)).values() == {"K%d" % n: "/%d" % n for n in range(12)}


def test_a_lock_that_is_held_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOCK_SECONDS", 0.1)
    edit = EnvEdit(EnvFile.read(str(tmp_path / "paths.env")), {"A": "/a"}, KEYS, ("a",))
    with files.locked(str(tmp_path)), pytest.raises(Blocked, match="locked by another run"):
        edit.apply()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "paths.env"
    path.write_text("A=/0\n")
    edit = EnvEdit(EnvFile.read(str(path)), {"A": "/a"}, KEYS, ("a",))

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        edit.apply()
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [
        ("paths.env", "A=/0\n")
    ]


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


UNUSABLE = {
    "a directory": (lambda path: path.mkdir(), "is a directory"),
    "a fifo": (os.mkfifo, "not a regular file"),
    "a socket": (make_socket, "not a regular file"),
    "a link to itself": (lambda path: path.symlink_to(path), "too many links"),
    "not UTF-8": (lambda path: path.write_bytes(b"A=/\xff\n"), r"not UTF-8 text \(byte 3\)"),
    "zeroed by a crash": (lambda path: path.write_bytes(bytes(64)), "NUL bytes"),
    "cut off": (lambda path: path.write_text('X=1\nY="/a\nZ=2\n'), "line 2 has an unclosed quote"),
    "far too big": (lambda path: path.write_bytes(b"#" * (1 << 20) + b"\n"), "1048577 bytes"),
}


@pytest.mark.parametrize(("make", "found"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_what_cannot_be_edited_is_blocked_with_a_hint(
    tmp_path: Path, make: object, found: str
) -> None:
    path = tmp_path / "paths.env"
    make(path)  # type: ignore[operator]
    with pytest.raises(Blocked, match=found) as caught:
        EnvFile.read(str(path))
    assert caught.value.hint


def test_a_parent_that_is_a_file_is_blocked(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("")
    with pytest.raises(Blocked, match="not a folder"):
        EnvFile.read(str(tmp_path / "etc" / "paths.env"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_of_others_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    assert EnvFile.read(str(tmp_path / "new" / "paths.env")).unwritable


def test_a_missing_file_below_a_directory_of_ours_is_writable(tmp_path: Path) -> None:
    assert EnvFile.read(str(tmp_path / "a" / "b" / "paths.env")).unwritable is None
