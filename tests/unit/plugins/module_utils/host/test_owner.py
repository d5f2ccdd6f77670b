# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns a cache, and what runs as its owner: real processes of another user."""

from __future__ import annotations

import os
import pwd
import signal
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Delegate, Owner

USER = pwd.getpwnam("nobody")
STRANGER = pwd.getpwnam("daemon")
NOBODY = Owner(USER.pw_uid, USER.pw_gid, True)

# Of pytest-xdist; a module has no thread.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts for another user: run it as root")


def made(path: Path, user: pwd.struct_passwd, group: int = -1, mode: int = 0o755) -> Path:
    path.mkdir()
    path.chmod(mode)
    os.chown(path, user.pw_uid, user.pw_gid if group < 0 else group)
    path.chmod(mode)
    return path


def test_a_missing_folder_belongs_to_the_owner_of_the_one_above(tmp_path: Path) -> None:
    owner = Owner.of(str(tmp_path / "a" / "b"))
    assert (owner.uid, owner.root_acts) == (os.geteuid(), os.geteuid() == 0)
    assert not owner.is_another


@as_root
def test_the_group_is_one_of_the_owner(place: Path) -> None:
    assert Owner.of(str(made(place / "own", USER))) == NOBODY
    # A group of root is no group of the user's.
    assert Owner.of(str(made(place / "roots", USER, 0))) == NOBODY


@as_root
def test_root_acts_only_where_nobody_else_may_write(place: Path) -> None:
    root = pwd.getpwuid(0)
    assert Owner.of(str(made(place / "closed", root))).uid == 0
    made(place / "open", root, USER.pw_gid, 0o775)
    for name in ("open", "open/new"):
        with pytest.raises(Blocked, match="may be written by other users"):
            Owner.of(str(place / name))
    # Nobody else can move away what root creates in a sticky one.
    made(place / "sticky", root, 0, 0o1777)
    assert Owner.of(str(place / "sticky" / "new")).uid == 0


@as_root
def test_a_way_through_a_third_user_or_a_link_of_the_owner_is_refused(place: Path) -> None:
    made(place / "other", STRANGER)
    made(place / "other" / "cache", USER)
    with pytest.raises(Blocked, match="could have been put into"):
        Owner.of(str(place / "other" / "cache"))
    made(place / "own", USER)
    (place / "own" / "link").symlink_to("/root")
    os.lchown(place / "own" / "link", USER.pw_uid, USER.pw_gid)
    for name in ("own/link", "own/link/new"):
        with pytest.raises(Blocked, match="is a link to /root"):
            Owner.of(str(place / name))


@as_root
@pytest.mark.parametrize("target", ["/tmp", "/etc", "/usr/share", "/var/lib"])
def test_a_link_of_root_to_a_folder_of_the_system_is_refused(place: Path, target: str) -> None:
    (place / "link").symlink_to(target)
    for name in ("link", "link/new-model"):
        with pytest.raises(Blocked, match="is a folder of the system or a home, by the link"):
            Owner.of(str(place / name))


@as_root
def test_root_reads_as_the_user_who_could_lead_the_way_elsewhere(place: Path) -> None:
    assert Owner.reader_of(str(place)).uid == 0
    made(place / "own", USER)
    # As containers leave it, which run as root.
    (place / "own" / "model" / "blobs").mkdir(parents=True)
    assert Owner.reader_of(str(place / "own" / "model" / "blobs")) == NOBODY
    (place / "own" / "link").symlink_to("/root")
    os.lchown(place / "own" / "link", USER.pw_uid, USER.pw_gid)
    with pytest.raises(Blocked, match="is a link to /root"):
        Owner.reader_of(str(place / "own" / "link"))


@as_root
def test_what_is_done_as_the_owner_has_the_rights_of_the_owner_alone(place: Path) -> None:
    (place / "secret").touch(0o600)

    def act() -> dict[str, t.Any]:
        text = Path("/proc/self/status").read_text()
        status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        denied = False
        try:
            (place / "secret").read_text()
        except PermissionError:
            denied = True
        names = ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "NoNewPrivs")
        return {"denied": denied, **{name: status[name].strip() for name in names}}

    uid, gid = str(USER.pw_uid), str(USER.pw_gid)
    assert NOBODY.do(act) == {
        "denied": True,
        "Uid": "\t".join([uid] * 4),
        "Gid": "\t".join([gid] * 4),
        "Groups": "",
        "CapPrm": "0" * 16,
        "CapEff": "0" * 16,
        "NoNewPrivs": "1",
    }
    assert os.geteuid() == 0


@as_root
def test_what_is_said_is_heard_before_the_result() -> None:
    heard: list[t.Any] = []
    delegate = Delegate(NOBODY, lambda say: [say({"count": 1}), say(2), "end"][-1])
    assert delegate.result(heard.append) == "end"
    assert heard == [{"count": 1}, 2]


@as_root
def test_a_failure_there_is_an_error_here() -> None:
    def fail() -> t.NoReturn:
        raise ValueError("as it does")

    with pytest.raises(ChildProcessError, match="unexpected: ValueError: as it does"):
        NOBODY.do(fail)
    with pytest.raises(ChildProcessError, match="ended without a result"):
        NOBODY.do(lambda: os.kill(os.getpid(), signal.SIGKILL))


@as_root
def test_no_process_is_left_when_nobody_listens_any_more() -> None:
    def stop(pid: int) -> t.NoReturn:
        seen.append(pid)
        raise KeyboardInterrupt

    seen: list[int] = []
    delegate = Delegate(NOBODY, lambda say: (say(os.getpid()), time.sleep(300)))
    with pytest.raises(KeyboardInterrupt):
        delegate.result(stop)
    assert not Path(f"/proc/{seen[0]}").exists()
