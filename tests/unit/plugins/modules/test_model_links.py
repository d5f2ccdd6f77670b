# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root receives and deletes models in a cache whose owner leads its paths elsewhere by links."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.dgxspark.suite.plugins.module_utils.host import interpreter, job
from ansible_collections.dgxspark.suite.plugins.module_utils.host.owner import Owner
from ansible_collections.dgxspark.suite.plugins.module_utils.models import (
    copying,
    download,
    receive,
    removal,
    share,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.manifest import Manifest
from ansible_collections.dgxspark.suite.plugins.modules import (
    model_delete,
    model_download,
    model_receive,
    model_share,
)

RunModule = Callable[..., dict[str, t.Any]]
NAME = "org/tiny"
FOLDER = "models--org--tiny"
FILES = {"config.json": b"{}", "sub/model.safetensors": b"w" * 3000}
COMMIT = "c" * 40
USER = pwd.getpwnam("nobody")
STRANGER = pwd.getpwnam("daemon")

pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0 or not os.access("/usr/bin/setpriv", os.X_OK),
        reason="acts as root for another user: run it as root, with setpriv",
    ),
    # Of pytest-xdist; a module has no thread.
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*download.PASSED, *map(str.lower, download.PASSED)):
        monkeypatch.delenv(name, raising=False)
    sources_of = interpreter.sources_of

    def as_root(names: t.Sequence[str]) -> dict[str, str]:
        # On a node they are in an archive of root's.
        assert os.geteuid() == 0
        return sources_of(names)

    monkeypatch.setattr(interpreter, "sources_of", as_root)


@pytest.fixture
def roots(place: Path) -> Path:
    """Folders of root's, with files whose names are those of refs, blobs, leftovers and commits."""
    path = place / "etc"
    for name in ("apt.conf.d/main", "tiny.1/job", f"{FOLDER}.1/job", f"{COMMIT}/config.json"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(COMMIT)
    for data in FILES.values():
        (path / hashlib.sha256(data).hexdigest()).write_bytes(b"root's")
    for name in ("blobs", "refs", "snapshots", "hub"):
        (path / name).mkdir()
    return path


@pytest.fixture
def hub(place: Path) -> Path:
    """A cache of the user's."""
    path = place / "home" / "hub"
    path.mkdir(parents=True)
    given(path.parent)
    return path


def given(path: Path, user: pwd.struct_passwd = USER) -> None:
    for one in (path, *path.rglob("*")):
        os.lchown(one, user.pw_uid, user.pw_gid)


def linked(path: Path, target: Path) -> None:
    """Put a link of the user's there, in the place of what is there."""
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"{path.name}-before"))
    if not path.parent.exists():
        path.parent.mkdir()
        given(path.parent)
    path.symlink_to(target)
    os.lchown(path, USER.pw_uid, USER.pw_gid)


def state(folder: Path) -> dict[str, t.Any]:
    """All that could be changed in a folder of root's."""
    return {
        str(path): (
            *(status := path.lstat())[:7],
            status.st_mtime_ns,
            path.read_bytes() if path.is_file() else "",
        )
        for path in (folder, *folder.rglob("*"))
    }


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, t.Any]]:
    def run(module: t.Any, **arguments: t.Any) -> dict[str, t.Any]:
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        result: dict[str, t.Any] = json.loads(capsys.readouterr().out)
        return result

    return run


@pytest.fixture
def python(place: Path) -> str:
    """A Python with huggingface_hub that the user can run."""
    library = pytest.importorskip("huggingface_hub")
    packages = Path(library.__file__).parents[1]
    other = place / "python"
    other.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec /usr/bin/python3 "$@"\n')
    other.chmod(0o755)
    who = ["/usr/bin/setpriv", f"--reuid={USER.pw_uid}", "--clear-groups"]
    for candidate in (sys.executable, str(other)):
        argv = [*who, candidate, "-c", "import huggingface_hub"]
        if subprocess.run(argv, check=False, capture_output=True).returncode == 0:
            return candidate
    pytest.skip("no Python with huggingface_hub that another user can run")


@pytest.fixture
def endpoint(place: Path) -> Iterator[str]:
    """A model hub with the model, on the loopback."""
    path = Path(__file__).resolve().parents[3] / "lab" / "hub.py"
    spec = importlib.util.spec_from_file_location("lab_hub_of_links", path)
    assert spec
    assert spec.loader
    lab_hub = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lab_hub)
    for name, data in FILES.items():
        (place / "served" / NAME / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "served" / NAME / name).write_bytes(data)
    server = lab_hub.Hub(("127.0.0.1", 0), place / "served")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    for one in (server, server.cdn):
        one.shutdown()
        one.server_close()
    thread.join()


@pytest.fixture
def fetch(run: RunModule, hub: Path, endpoint: str, python: str) -> RunModule:
    def fetch(**arguments: t.Any) -> dict[str, t.Any]:
        where = {"hf_home": str(hub.parent), "name": NAME, "endpoint": endpoint}
        begun = run(model_download, **{**where, "python": python, **arguments})
        while begun.get("id"):
            seen = run(model_download, **where, id=begun["id"], revision=begun["revision"])
            if seen.get("failed") or seen["phase"] == job.DONE:
                return seen
            time.sleep(0.05)
        return begun

    return fetch


# What the user replaces by a link, and to which of root's folders it leads.
PLACES = {
    "": "",
    FOLDER: "",
    f"{FOLDER}/refs": "apt.conf.d",
    f"{FOLDER}/snapshots": "",
    f"{FOLDER}/blobs": "",
    f"{FOLDER}/.dgxspark-sync": "",
}


def test_a_download_as_root_is_the_users(fetch: RunModule, hub: Path) -> None:
    ended = fetch()
    assert (ended["changed"], ended["problems"]) == (True, [])
    assert (hub / FOLDER / "refs" / "main").read_text()
    assert owners(hub) == {USER.pw_uid}
    assert {path.name for path in (hub / FOLDER).iterdir()} == {"blobs", "refs", "snapshots"}
    assert fetch()["changed"] is False


def test_the_code_of_another_user_is_run_neither_by_root_nor_by_the_owner(
    fetch: RunModule, hub: Path, place: Path
) -> None:
    program, ran = place / "program", place / "ran"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    place.chmod(0o1777)
    os.chown(program, STRANGER.pw_uid, STRANGER.pw_gid)
    assert "can be changed by user" in fetch(python=str(program))["msg"]
    os.chown(program, USER.pw_uid, USER.pw_gid)
    given(hub.parent, pwd.getpwuid(0))
    assert "can be changed by user" in fetch(python=str(program))["msg"]
    assert not ran.exists()


@pytest.mark.parametrize("name", PLACES)
def test_a_download_does_not_follow_a_link_of_the_user(
    fetch: RunModule, hub: Path, roots: Path, name: str
) -> None:
    linked(hub / name, roots / PLACES[name])
    before = state(roots)
    result = fetch()
    assert result["failed"] is True
    assert f"{hub / name} is a link to {roots / PLACES[name]}" in result["msg"]
    assert state(roots) == before


def test_a_link_is_refused_in_check_mode_and_not_after_it_is_gone(
    fetch: RunModule, hub: Path, roots: Path
) -> None:
    linked(hub / FOLDER, roots)
    assert fetch(_ansible_check_mode=True)["failed"] is True
    (hub / FOLDER).unlink()
    assert fetch()["problems"] == []


@pytest.mark.parametrize("name", PLACES)
def test_a_link_that_is_made_after_the_plan_is_not_followed(
    fetch: RunModule, hub: Path, roots: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = download.start

    def late(*arguments: t.Any) -> str:
        linked(hub / name, roots / PLACES[name])
        return start(*arguments)

    monkeypatch.setattr(download, "start", late)
    before = state(roots)
    result = fetch()
    assert result["failed"] is True
    assert "is a link to" in result["msg"]
    assert state(roots) == before


@pytest.mark.parametrize("name", [one for one in PLACES if one not in ("", FOLDER)])
def test_a_link_that_is_made_during_the_transfer_is_not_followed(
    hub: Path, roots: Path, place: Path, name: str
) -> None:
    manifest = manifest_of()
    target = receive.Destination.of(manifest, str(hub))
    before = state(roots)

    def get(what: receive.ReceivePlan) -> None:
        for entry, data in zip(manifest.entries, FILES.values()):
            Path(target.staged(entry)).write_bytes(data)
        if name.endswith("sync"):
            shutil.rmtree(hub / name)
        (hub / name).symlink_to(roots / PLACES[name])

    def act() -> str:
        try:
            receive.bring(manifest, target, False, get, job.Progress(""))
        except (receive.ReceiveError, OSError) as error:
            return str(error)
        return ""

    assert receive.owner_of(manifest, target).do(act)
    assert state(roots) == before


def manifest_of(name: str = NAME, kind: str = "hub") -> Manifest:
    entries = [
        {
            "path": path,
            "size": len(data),
            "blob": hashlib.sha256(data).hexdigest() if kind == "hub" else "",
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for path, data in FILES.items()
    ]
    head = {"name": name, "kind": kind, "revision": COMMIT if kind == "hub" else ""}
    return Manifest.from_dict(
        {**head, "refs": ["main"] if kind == "hub" else [], "entries": entries}
    )


def test_a_folder_of_root_in_the_users_cache_is_not_taken_for_the_users(
    fetch: RunModule, hub: Path
) -> None:
    (hub / FOLDER).mkdir()
    result = fetch()
    assert result["failed"] is True
    assert f"{hub / FOLDER} (root 0755) could have been put" in result["msg"]
    os.chown(hub / FOLDER, USER.pw_uid, USER.pw_gid)
    assert fetch()["problems"] == []


def test_a_link_of_root_is_followed(fetch: RunModule, hub: Path, place: Path) -> None:
    """People put models on a second disk that way."""
    hub.rename(place / "disk")
    hub.parent.rmdir()
    hub.parent.mkdir()
    hub.symlink_to(place / "disk")
    assert fetch()["problems"] == []
    assert owners(place / "disk") == {USER.pw_uid}


def test_what_is_in_a_model_cannot_make_root_wait(fetch: RunModule, hub: Path) -> None:
    (hub / FOLDER / "refs").mkdir(parents=True)
    os.mkfifo(hub / FOLDER / "refs" / "main")
    given(hub)
    assert fetch(_ansible_check_mode=True)["changed"] is True
    assert fetch()["problems"] == []


@pytest.mark.parametrize("name", PLACES)
def test_a_copy_does_not_follow_a_link_of_the_user(
    run: RunModule, hub: Path, roots: Path, name: str
) -> None:
    linked(hub / name, roots / PLACES[name])
    before = state(roots)
    source = {"address": "127.0.0.1", "port": 9, "secret": "s3cret"}
    manifest = manifest_of().to_dict()
    result = run(model_receive, manifest=manifest, hf_home=str(hub.parent), **source)
    assert result["failed"] is True
    assert "is a link to" in result["msg"]
    assert state(roots) == before


@pytest.mark.parametrize("name", [".dgxspark-sync", ".dgxspark-sync/tiny", ""])
def test_a_copy_of_a_directory_does_not_follow_a_link_of_the_user(
    run: RunModule, place: Path, hub: Path, roots: Path, name: str
) -> None:
    models = place / "models"
    models.mkdir()
    given(models)
    linked(models / name, roots)
    given(models)
    before = state(roots)
    result = run(
        model_receive,
        manifest=manifest_of(str(models / "tiny"), "directory").to_dict(),
        hf_home=str(hub.parent),
        directories=[str(models)],
        address="127.0.0.1",
        port=9,
        secret="s3cret",
    )
    assert result["failed"] is True
    assert "is a link to" in result["msg"]
    assert state(roots) == before


@pytest.mark.parametrize("kind", ["hub", "directory"])
def test_a_copy_as_root_is_the_users(place: Path, hub: Path, kind: str) -> None:
    # As containers that run as root leave it in a cache of the user's.
    source, models = hub.parent / "source", place / "models"
    for path, data in FILES.items():
        file = source / (hashlib.sha256(data).hexdigest() if kind == "hub" else path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    models.mkdir()
    given(models)
    offer, port = share.start(str(source), "127.0.0.1", ["127.0.0.1"], "s3cret", 60)
    try:
        manifest = manifest_of(*((NAME, "hub") if kind == "hub" else (f"{models}/tiny", kind)))
        known = copying.start(manifest, str(hub), False, ("127.0.0.1", port, "s3cret"), 60)
        while (seen := job.look(known))["phase"] != job.DONE:
            time.sleep(0.05)
    finally:
        job.end(offer)
    assert seen["problem"] == ""
    model = hub / FOLDER / "snapshots" / COMMIT if kind == "hub" else models / "tiny"
    assert {path: (model / path).read_bytes() for path in FILES} == FILES
    assert owners(hub) | owners(models) == {USER.pw_uid}


@pytest.mark.parametrize("name", ["", FOLDER, f"{FOLDER}/blobs"])
def test_a_link_of_the_user_is_not_offered_to_other_nodes(
    run: RunModule, hub: Path, roots: Path, name: str
) -> None:
    model(hub)
    moved = roots / "moved"
    (hub / name).rename(moved)
    (hub / name).symlink_to(moved)
    os.lchown(hub / name, USER.pw_uid, USER.pw_gid)
    result = run(
        model_share,
        name=NAME,
        hf_home=str(hub.parent),
        directories=[],
        address="127.0.0.1",
        clients=["127.0.0.1"],
        secret="s3cret",
    )
    assert result["failed"] is True
    assert f"{hub / name} is a link" in result["msg"]


def model(hub: Path) -> Path:
    """The user's model, of two revisions, in the cache."""
    folder = hub / FOLDER
    for commit, ref in ((COMMIT, "main"), ("d" * 40, "old")):
        for path, data in FILES.items():
            blob = folder / "blobs" / hashlib.sha256(data + ref.encode()).hexdigest()
            link = folder / "snapshots" / commit / path
            for file in (blob, link, folder / "refs" / ref):
                file.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(data + ref.encode())
            link.symlink_to(os.path.relpath(blob, link.parent))
        (folder / "refs" / ref).write_text(commit)
    given(folder)
    return folder


@pytest.fixture
def delete(run: RunModule, hub: Path) -> RunModule:
    def delete(**arguments: t.Any) -> dict[str, t.Any]:
        name = arguments.pop("name", NAME)
        where = {"hf_home": str(hub.parent), "directories": [], "name": name, **arguments}
        return run(model_delete, confirm=name, **where)

    return delete


@pytest.mark.parametrize("revision", ["", COMMIT])
def test_a_model_of_the_user_is_deleted_by_root(
    delete: RunModule, hub: Path, revision: str
) -> None:
    folder = model(hub)
    shown = delete(revision=revision, _ansible_check_mode=True)
    assert delete(revision=revision, expect=shown["plan_id"])["changed"] is True
    if revision:
        assert {path.name for path in folder.glob("*/*")} == {
            *("d" * 40, "old"),
            *(hashlib.sha256(data + b"old").hexdigest() for data in FILES.values()),
        }
    else:
        assert list(hub.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "revision"),
    [
        (".dgxspark-trash", ""),
        ("", ""),
        (FOLDER, ""),
        (f"{FOLDER}/snapshots", COMMIT),
        (f"{FOLDER}/snapshots/.dgxspark-trash", COMMIT),
        (f"{FOLDER}/refs", COMMIT),
        (f"{FOLDER}/blobs", COMMIT),
    ],
)
def test_a_delete_does_not_follow_a_link_of_the_user(
    delete: RunModule, hub: Path, roots: Path, name: str, revision: str
) -> None:
    model(hub)
    for path in (hub / FOLDER / "blobs").iterdir():
        shutil.copy(path, roots / path.name)
    model(roots)
    os.chown(roots / FOLDER, 0, 0)
    target = {"refs": roots / "apt.conf.d", FOLDER: roots / FOLDER}
    linked(hub / name, target.get(name.rpartition("/")[2], roots))
    before = state(roots)
    checked = delete(revision=revision, _ansible_check_mode=True)
    assert not any(path.startswith(str(roots)) for path in checked["paths"])
    result = delete(revision=revision)
    assert result.get("failed") is True or result["changed"] is False
    assert state(roots) == before


def test_the_leftovers_of_a_delete_are_not_looked_for_behind_a_link(
    run: RunModule, place: Path, hub: Path, roots: Path
) -> None:
    models = place / "models"
    (models / "tiny").mkdir(parents=True)
    (models / "tiny" / "config.json").write_text("{}")
    given(models)
    linked(models / ".dgxspark-trash", roots)
    before = state(roots)
    arguments = {"name": str(models / "tiny"), "confirm": str(models / "tiny")}
    where = {"hf_home": str(hub.parent), "directories": [str(models)]}
    shown = run(model_delete, _ansible_check_mode=True, **arguments, **where)
    assert shown["paths"] == [str(models / "tiny")]
    assert f"{models}/.dgxspark-trash is a link" in shown["refusals"][0]
    assert run(model_delete, **arguments, **where)["failed"] is True
    assert state(roots) == before
    (models / ".dgxspark-trash").unlink()
    assert run(model_delete, **arguments, **where)["changed"] is True
    assert list(models.iterdir()) == []


def test_nothing_is_deleted_behind_a_link_to_a_folder_of_the_system(
    run: RunModule, place: Path, hub: Path
) -> None:
    own = Path(tempfile.mkdtemp(prefix="dgxspark-links-", dir="/var/tmp"))
    (own / "config.json").write_text("{}")
    (place / "models").symlink_to(own.parent)
    name = str(place / "models" / own.name)
    where = {"hf_home": str(hub.parent), "directories": [str(place / "models")]}
    result = run(model_delete, name=name, confirm=name, **where)
    assert "/var/tmp is a folder of the system" in result["msg"]
    assert [path.name for path in own.iterdir()] == ["config.json"]
    shutil.rmtree(own)


def test_only_folders_that_a_delete_has_moved_away_are_leftovers(
    delete: RunModule, hub: Path
) -> None:
    model(hub)
    trash = hub / ".dgxspark-trash"
    for name in (f"{FOLDER}.7/blobs", f"{FOLDER}.d", f"{FOLDER}2.7", "other.7"):
        (trash / name).mkdir(parents=True)
    (trash / f"{FOLDER}.8").symlink_to(hub)
    given(trash)
    assert delete(_ansible_check_mode=True)["paths"] == [
        str(hub / FOLDER),
        str(trash / f"{FOLDER}.7"),
    ]
    assert delete()["changed"] is True
    left = {path.name for path in trash.iterdir()}
    assert left == {f"{FOLDER}.d", f"{FOLDER}2.7", "other.7", f"{FOLDER}.8"}


def test_a_trash_of_a_third_user_is_refused(delete: RunModule, hub: Path) -> None:
    model(hub)
    (hub / ".dgxspark-trash" / f"{FOLDER}.7").mkdir(parents=True)
    given(hub / ".dgxspark-trash", STRANGER)
    assert "belongs to neither root nor the owner" in delete()["msg"]
    assert (hub / FOLDER).exists()


@pytest.mark.parametrize("name", [".dgxspark-trash", f"{FOLDER}/refs", f"{FOLDER}/blobs"])
def test_a_link_that_is_made_after_the_plan_of_a_delete_is_not_followed(
    delete: RunModule, hub: Path, roots: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model(hub)
    for path in (hub / FOLDER / "blobs").iterdir():
        shutil.copy(path, roots / path.name)
    apply = removal.apply

    def late(plan: removal.RemovalPlan) -> None:
        linked(hub / name, roots)
        apply(plan)

    monkeypatch.setattr(removal, "apply", late)
    before = state(roots)
    result = delete(revision="" if name == ".dgxspark-trash" else COMMIT)
    assert result["failed"] is True
    assert "is a link" in result["msg"]
    assert state(roots) == before


def test_a_link_in_the_way_of_a_delete_is_shown_as_what_it_leads_to(
    delete: RunModule, hub: Path, place: Path
) -> None:
    hub.rename(place / "disk")
    hub.parent.rmdir()
    hub.parent.mkdir()
    hub.symlink_to(place / "disk")
    model(place / "disk")
    assert delete(_ansible_check_mode=True)["paths"] == [str(place / "disk" / FOLDER)]
    assert delete()["changed"] is True
    assert list((place / "disk").iterdir()) == []


@pytest.fixture
def stranger(hub: Path) -> Iterator[None]:
    """A user who has nothing to do with the cache holds the lock of the model's folder."""
    folder = model(hub)
    program = (
        "import fcntl, os\n"
        "fcntl.flock(os.open(os.environ['FOLDER'], os.O_RDONLY), fcntl.LOCK_EX)\n"
        "print(flush=True); input()"
    )
    who = [f"--reuid={STRANGER.pw_uid}", f"--regid={STRANGER.pw_gid}", "--clear-groups"]
    argv = ["/usr/bin/setpriv", *who, "/usr/bin/python3", "-c", program]
    # Not on its command line, which would be a use of the model.
    with subprocess.Popen(argv, stdin=-1, stdout=-1, env={"FOLDER": str(folder)}) as holder:
        assert holder.stdout
        holder.stdout.readline()
        yield
        holder.terminate()


@pytest.mark.skipif(not os.access("/usr/bin/python3", os.X_OK), reason="no Python for all users")
@pytest.mark.usefixtures("stranger")
def test_the_lock_of_a_stranger_stops_neither_a_delete_nor_a_download(
    delete: RunModule, fetch: RunModule, hub: Path
) -> None:
    assert fetch()["problems"] == []
    assert delete()["changed"] is True
    assert list(hub.iterdir()) == []


def test_the_lock_of_the_owner_counts(delete: RunModule, hub: Path) -> None:
    folder = model(hub)

    def act() -> list[str]:
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)
        return []

    user = Owner(USER.pw_uid, USER.pw_gid, True)
    holding = user.delegate(lambda say: (act(), say(0), time.sleep(60)))
    assert holding
    seen: list[t.Any] = []

    def look(_value: t.Any) -> None:
        seen.extend(delete(_ansible_check_mode=True)["refusals"])
        raise EOFError

    with pytest.raises(EOFError):
        holding.result(look)
    assert "another run works on it" in seen
