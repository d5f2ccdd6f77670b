# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model is copied from one cache to another over a real socket; and failures."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import tempfile
import threading
import typing as t
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host import channel, job, owner
from ansible_collections.dgxspark.suite.plugins.module_utils.models import manifest, receive, share
from ansible_collections.dgxspark.suite.plugins.module_utils.models.cache import scan
from ansible_collections.dgxspark.suite.plugins.module_utils.models.manifest import (
    Manifest,
    ManifestError,
    manifest_of,
)

SECRET = "s3cret" * 5
NAME = "org/one"
FILES = {"config.json": b"{}", "a/model.safetensors": b"w" * 300_000, "same.txt": b"{}"}


def sent(hub: t.Any, quant: str = "") -> Manifest:
    (model,) = scan(str(hub.path), [], NAME).models
    assert model.current is not None
    return manifest_of(model, model.current, quant)


def target(found: Manifest, tmp_path: Path) -> receive.Destination:
    return receive.Destination.of(found, str(tmp_path / "there" / "hub"))


@pytest.fixture
def offer(hub: t.Any) -> t.Iterator[t.Callable[..., tuple[str, int]]]:
    """Start a real daemon; it is stopped when the test ends."""
    scratches: list[str] = []

    def start(folder: Path, secret: str = SECRET, seconds: int = 60) -> tuple[str, int]:
        scratch, port = share.start(str(folder), "127.0.0.1", ["127.0.0.1"], secret, seconds)
        scratches.append(scratch)
        return scratch, port

    yield start
    for scratch in scratches:
        job.end(scratch)


def take(found: Manifest, tmp_path: Path, port: int, secret: str = SECRET) -> receive.ReceivePlan:
    to = target(found, tmp_path)
    plan = receive.plan(found, to)

    def get(what: receive.ReceivePlan) -> None:
        receive.fetch(what, to, ("127.0.0.1", port, secret))

    receive.bring(found, to, False, get, job.Progress(str(tmp_path)))
    return plan


def test_a_model_is_copied_exactly_and_a_second_copy_does_nothing(
    hub: t.Any, tmp_path: Path, offer: t.Callable[..., tuple[str, int]]
) -> None:
    hub.add(NAME, FILES)
    found = Manifest.from_dict(sent(hub).to_dict())
    _scratch, port = offer(hub.folder(NAME) / "blobs")
    (tmp_path / "there").mkdir()
    plan = take(found, tmp_path, port)
    assert (len(plan.entries), plan.size) == (2, 300_002)
    (here,) = scan(str(hub.path), []).models
    (there,) = scan(str(tmp_path / "there" / "hub"), []).models
    assert there.blobs == here.blobs
    assert [replace(one, path="") for one in there.revisions] == [
        replace(one, path="") for one in here.revisions
    ]
    assert {path.name for path in Path(there.path).iterdir()} == {"blobs", "refs", "snapshots"}
    assert not receive.plan(found, target(found, tmp_path)).changed


def test_an_interrupted_copy_is_resumed(
    hub: t.Any, tmp_path: Path, offer: t.Callable[..., tuple[str, int]]
) -> None:
    hub.add(NAME, FILES)
    found = sent(hub)
    to = target(found, tmp_path)
    staged = Path(to.stage) / hashlib.sha256(FILES["a/model.safetensors"]).hexdigest()
    staged.parent.mkdir(parents=True)
    staged.write_bytes(FILES["a/model.safetensors"][:100_000])
    # Not on the menu before it is complete.
    assert [one.revisions for one in scan(str(tmp_path / "there" / "hub"), []).models] == [()]
    assert receive.plan(found, to).staged == 100_000
    _scratch, port = offer(hub.folder(NAME) / "blobs")
    take(found, tmp_path, port)
    (there,) = scan(str(tmp_path / "there" / "hub"), []).models
    assert there.current is not None
    assert there.current.complete


def test_a_damaged_file_is_never_moved_into_place(
    hub: t.Any, tmp_path: Path, offer: t.Callable[..., tuple[str, int]]
) -> None:
    snapshot = hub.add(NAME, FILES)
    found = sent(hub)
    (snapshot / "a" / "model.safetensors").resolve().write_bytes(b"x" * 300_000)
    _scratch, port = offer(hub.folder(NAME) / "blobs")
    for _time in range(2):
        with pytest.raises(receive.ReceiveError, match=r"model\.safetensors arrived damaged"):
            take(found, tmp_path, port)
    assert [one.revisions for one in scan(str(tmp_path / "there" / "hub"), []).models] == [()]


def test_a_wrong_secret_and_a_lost_source_fail(
    hub: t.Any, tmp_path: Path, offer: t.Callable[..., tuple[str, int]]
) -> None:
    hub.add(NAME, FILES)
    found = sent(hub)
    scratch, port = offer(hub.folder(NAME) / "blobs")
    with pytest.raises(channel.ChannelError, match="does not know the secret"):
        take(found, tmp_path, port, "wrong")
    assert job.end(scratch) is True
    assert job.end(scratch) is False
    assert not os.path.exists(scratch)
    with pytest.raises(OSError, match=r"refused|reset|ended early"):
        take(found, tmp_path, port)


def test_a_local_model_directory_is_copied(
    hub: t.Any, tmp_path: Path, offer: t.Callable[..., tuple[str, int]]
) -> None:
    own = tmp_path / "own" / 'it\'s "mine"'
    (own / "sub").mkdir(parents=True)
    for name, data in (("config.json", b"{}"), ("sub/model.safetensors", b"w" * 50)):
        (own / name).write_bytes(data)
    (model,) = scan(str(hub.path), [str(tmp_path / "own")]).models
    assert model.current is not None
    found = manifest_of(model, model.current)
    hashed = [replace(one, sha256=manifest.sha256_of(str(own / one.path))) for one in found.entries]
    there = replace(found, name=str(tmp_path / "there" / own.name), entries=tuple(hashed))
    _scratch, port = offer(own)
    take(there, tmp_path, port)
    copied = tmp_path / "there" / own.name
    assert (copied / "sub" / "model.safetensors").read_bytes() == b"w" * 50
    assert [path.name for path in (tmp_path / "there").iterdir()] == [own.name]
    (copied / "config.json").write_text("{ }")
    assert "is not overwritten" in receive.plan(there, target(there, tmp_path)).refusal


def test_only_the_requested_quantisation_is_sent(hub: t.Any) -> None:
    files = {
        "README.md": b"r",
        "a-Q4_K_M.gguf": b"4",
        "a-Q8_0.gguf": b"88",
        "mmproj-F16.gguf": b"m",
    }
    hub.add(NAME, files)
    assert {one.path for one in sent(hub, "Q8_0").entries} == {*files} - {"a-Q4_K_M.gguf"}
    assert {one.path for one in sent(hub).entries} == {*files}
    with pytest.raises(ManifestError, match="no complete Q2_K; it has: Q4_K_M, Q8_0"):
        sent(hub, "Q2_K")


def test_an_incomplete_model_is_not_sent(hub: t.Any) -> None:
    hub.add(NAME, {"config.json": b"{}"})
    with pytest.raises(ManifestError, match="there are no weights"):
        sent(hub)


GOOD = {"path": "a", "size": 1, "blob": "b" * 64, "sha256": ""}


@pytest.mark.parametrize(
    "change",
    [
        {"name": None, "entries": [{}]},
        {"refs": ["../../x"]},
        {"revision": "../x"},
        {"entries": [{**GOOD, "path": "../../etc/passwd"}]},
        {"entries": [{**GOOD, "path": "/etc/passwd"}]},
        {"entries": [{**GOOD, "path": "a\nb"}]},
        {"entries": [{**GOOD, "path": ""}]},
        {"entries": [{**GOOD, "blob": "../x"}]},
        {"entries": [{**GOOD, "blob": ""}]},
        {"entries": [{**GOOD, "size": -1}]},
        {"entries": [{**GOOD, "size": "many"}]},
        {"entries": None},
    ],
)
def test_a_hostile_manifest_is_refused(change: dict[str, t.Any]) -> None:
    good = {"name": NAME, "kind": "hub", "revision": "a" * 40, "refs": ["main"], "entries": [GOOD]}
    Manifest.from_dict(good)
    with pytest.raises(ManifestError):
        Manifest.from_dict({**good, **change})


def test_an_invalid_name_has_no_target(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the name of a repository"):
        target(Manifest("../x", "hub", "a", (), ()), tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "same"),
    [
        (hashlib.sha256(b"abc").hexdigest(), b"abc", True),
        (hashlib.sha256(b"abc").hexdigest(), b"abd", False),
        (hashlib.sha1(b"blob 3\0abc").hexdigest(), b"abc", True),
        (hashlib.sha1(b"blob 3\0abc").hexdigest(), b"abd", False),
        ("an-etag", b"abd", True),
        ("an-etag", b"abcd", False),
    ],
)
def test_content_is_verified_by_its_name(
    tmp_path: Path, name: str, data: bytes, same: bool
) -> None:
    (tmp_path / "x").write_bytes(data)
    assert (
        bool(manifest.differs(str(tmp_path / "x"), manifest.ManifestEntry("x", 3, name)))
        is not same
    )


def test_verify_finds_damage_of_existing_files(hub: t.Any) -> None:
    snapshot = hub.add(NAME, FILES)
    found = sent(hub)
    to = receive.Destination.of(found, str(hub.path))
    assert not receive.plan(found, to, verify=True).changed
    (snapshot / "config.json").resolve().write_bytes(b"[]")
    assert not receive.plan(found, to).changed
    assert [one.path for one in receive.plan(found, to, verify=True).entries] == ["same.txt"]


def test_a_full_disk_is_reported_before_anything_is_copied(
    hub: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(NAME, FILES)
    found = sent(hub)
    to = target(found, tmp_path)
    plan = receive.plan(found, to)
    assert receive.lacks_space(plan, to) == ""
    real = os.statvfs(tmp_path)

    class Full:
        f_bavail = 1
        f_frsize = real.f_frsize

    monkeypatch.setattr(os, "statvfs", lambda path: Full)
    assert receive.lacks_space(plan, to).startswith("300002 bytes are needed")


def never(_what: receive.ReceivePlan) -> None:
    raise AssertionError("nothing may be fetched")


@pytest.mark.parametrize("full", [False, True])
def test_a_copy_that_is_refused_fetches_nothing_and_changes_nothing(
    hub: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, weights in ((here, b"w" * 50), (there, b"another")):
        folder.mkdir()
        (folder / "config.json").write_bytes(b"{}")
        (folder / "model.safetensors").write_bytes(weights)
    (model,) = scan(str(hub.path), [str(here)]).models
    assert model.current is not None
    found = replace(manifest_of(model, model.current), name=str(there))
    if full:
        shutil.rmtree(there)
        monkeypatch.setattr(receive, "lacks_space", lambda _plan, _target: "50 bytes are needed")
    before = sorted(path.name for path in there.iterdir()) if there.exists() else []
    with pytest.raises(receive.ReceiveError, match="are needed" if full else "differs"):
        receive.bring(found, target(found, tmp_path), False, never, job.Progress(str(tmp_path)))
    assert (sorted(path.name for path in there.iterdir()) if there.exists() else []) == before
    assert full or (there / "model.safetensors").read_bytes() == b"another"


def test_an_offer_that_cannot_start_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(share.ShareError, match="Cannot assign"):
        share.start(str(tmp_path), "192.0.2.1", [], SECRET, 5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "question",
    [
        {"path": "../outside", "offset": 0},
        {"path": "/etc/hostname", "offset": 0},
        {"path": "sub/../../outside", "offset": 0},
        {"path": "pipe", "offset": 0},
        {"path": "sub", "offset": 0},
        {"path": "missing", "offset": 0},
        {"path": "file", "offset": -1},
        {"path": "file", "offset": True},
        {"path": ["file"], "offset": 0},
        {"offset": 0},
        [],
        "\udc80",
    ],
)
def test_only_files_of_the_offer_are_sent(
    tmp_path: Path, offer: t.Callable[..., tuple[str, int]], question: object
) -> None:
    folder = tmp_path / "offered"
    (folder / "sub").mkdir(parents=True)
    (folder / "file").write_text("offered")
    (tmp_path / "outside").write_text("private")
    os.mkfifo(folder / "pipe")
    _scratch, port = offer(folder)
    with channel.join("127.0.0.1", port, SECRET, "model", 10) as giver:
        giver.send(json.dumps(question).encode())
        assert list(json.loads(giver.receive())) == ["problem"]
        # The connection goes on.
        giver.send(json.dumps({"path": "file", "offset": 3}).encode())
        assert (giver.receive(), giver.receive()) == (b'{"size": 7}', b"ered")


def test_whoever_answers_for_the_source_writes_nothing(hub: t.Any, tmp_path: Path) -> None:
    hub.add(NAME, FILES)
    found = sent(hub)
    with socket.create_server(("127.0.0.1", 0)) as false:

        def answer() -> None:
            connection, _address = false.accept()
            with connection, suppress(OSError):
                connection.sendall(b"@RSYNCD: 31.0 sha512\n" + b"x" * 300_000)
                while connection.recv(1 << 16):
                    pass

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(channel.ChannelError, match="does not know the secret"):
            take(found, tmp_path, false.getsockname()[1])
    there = tmp_path / "there" / "hub"
    assert [path for path in there.rglob("*") if path.is_file()] == []


def test_a_file_that_has_changed_at_its_source_is_not_copied(
    hub: t.Any, tmp_path: Path, offer: t.Callable[..., tuple[str, int]]
) -> None:
    snapshot = hub.add(NAME, FILES)
    found = sent(hub)
    (snapshot / "a" / "model.safetensors").resolve().write_bytes(b"w" * 300_001)
    _scratch, port = offer(hub.folder(NAME) / "blobs")
    with pytest.raises(receive.ReceiveError, match="it has changed there"):
        take(found, tmp_path, port)


def test_what_cannot_be_verified_is_not_copied(hub: t.Any, tmp_path: Path) -> None:
    hub.add(NAME, FILES)
    found = sent(hub)
    entries = [replace(entry, blob=f"{number}-etag") for number, entry in enumerate(found.entries)]
    with pytest.raises(receive.ReceiveError, match="no checksum"):
        take(replace(found, entries=entries), tmp_path, 1)


def test_what_an_earlier_copy_has_staged_does_not_come_along(
    hub: t.Any, tmp_path: Path, offer: t.Callable[..., tuple[str, int]]
) -> None:
    own = tmp_path / "own" / "mine"
    own.mkdir(parents=True)
    for name, data in (("config.json", b"{}"), ("model.safetensors", b"w" * 50)):
        (own / name).write_bytes(data)
    (model,) = scan(str(hub.path), [str(tmp_path / "own")]).models
    assert model.current is not None
    found = manifest_of(model, model.current)
    hashed = [replace(one, sha256=manifest.sha256_of(str(own / one.path))) for one in found.entries]
    there = replace(found, name=str(tmp_path / "there" / own.name), entries=tuple(hashed))
    stage = Path(target(there, tmp_path).stage)
    (stage / "sub").mkdir(parents=True)
    (stage / "sub" / "modeling.py").write_text("unverified")
    (stage / "linked").symlink_to(tmp_path)
    _scratch, port = offer(own)
    take(there, tmp_path, port)
    files = [path.name for path in (tmp_path / "there" / "mine").rglob("*") if not path.is_dir()]
    assert sorted(files) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize(
    "change",
    [
        {"size": True},
        {"size": 1.5},
        {"size": float("inf")},
        {"size": "1"},
        {"size": -1},
        {"size": 1 << 80},
        {"path": "."},
        {"path": "a/../b"},
        {"path": "a\nb"},
        {"path": None},
        {"sha256": "0" * 63},
        {"blob": "../blob"},
    ],
)
def test_a_manifest_of_another_node_is_validated(hub: t.Any, change: dict[str, t.Any]) -> None:
    hub.add(NAME, FILES)
    given = json.loads(json.dumps(sent(hub).to_dict()))
    Manifest.from_dict(given)
    given["entries"][0].update(change)
    with pytest.raises(ManifestError):
        Manifest.from_dict(given)


@pytest.mark.parametrize("scratch", ["/etc", "/tmp/x", "/tmp/dgxspark-job-1/../../etc"])
def test_no_other_directory_is_ended(scratch: str) -> None:
    with pytest.raises(job.JobError, match=scratch):
        job.end(scratch)


def test_root_runs_commands_as_the_owner_of_the_cache() -> None:
    argv = ["/usr/bin/true", "x"]
    assert owner.Owner(1000, 1001, False).command(argv) == argv
    assert owner.Owner(0, 0, True).command(argv) == argv
    assert owner.Owner(1000, 1001, True).command(argv) == [
        *("/usr/bin/setpriv", "--reuid=1000", "--regid=1001", "--clear-groups"),
        *("--no-new-privs", "--"),
        *argv,
    ]
