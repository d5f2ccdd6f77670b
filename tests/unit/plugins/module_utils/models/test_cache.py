# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Caches and folders in every state in which downloads, people and full disks leave them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
import typing as t
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.models.cache import (
    MISSING,
    STAGE,
    Model,
    Scan,
    held_locks,
    read_json,
    scan,
)

CONFIG = b'{"architectures": ["Qwen3ForCausalLM"]}'
WEIGHTS = b"w" * 5000
WHOLE = {"config.json": CONFIG, "model.safetensors": WEIGHTS}


@contextmanager
def busy(folder: Path) -> t.Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def only(found: Scan) -> Model:
    (model,) = found.models
    return model


def look(hub: t.Any, name: str | None = None, directories: tuple[str, ...] = ()) -> Scan:
    return scan(str(hub.path), directories, name)


def test_a_complete_model(hub: t.Any) -> None:
    hub.add("org/complete", WHOLE)
    model = only(look(hub))
    assert (model.name, model.kind, model.downloading) == ("org/complete", "hub", False)
    assert model.size == len(CONFIG) + len(WEIGHTS)
    assert model.current is not None
    assert model.current.complete
    assert model.current.refs == ("main",)
    assert {one.path: one.size for one in model.current.files} == {
        "config.json": len(CONFIG),
        "model.safetensors": len(WEIGHTS),
    }


def test_a_blob_of_two_revisions_is_counted_once(hub: t.Any) -> None:
    hub.add("org/two", WHOLE, "b" * 40, ref="")
    hub.add("org/two", {**WHOLE, "config.json": b"{}"}, "a" * 40)
    model = only(look(hub))
    assert model.size == len(CONFIG) + len(WEIGHTS) + 2
    assert {one.revision[0]: one.size for one in model.revisions} == {
        "a": len(WEIGHTS) + 2,
        "b": len(WEIGHTS) + len(CONFIG),
    }
    assert model.current is not None
    assert model.current.revision == "a" * 40


def test_two_names_of_one_blob_are_counted_once(hub: t.Any) -> None:
    hub.add("org/linked", WHOLE)
    blobs = hub.folder("org/linked") / "blobs"
    os.link(next(blobs.iterdir()), blobs / "other")
    assert only(look(hub)).size == len(CONFIG) + len(WEIGHTS)


def test_files_in_folders_of_a_model(hub: t.Any) -> None:
    hub.add("org/deep", {**WHOLE, "original/params.json": b"{}", "a/b/c.txt": b"c"})
    model = only(look(hub))
    assert model.current is not None
    assert model.current.complete
    assert [one.path for one in model.current.files][:2] == ["a/b/c.txt", "config.json"]


@pytest.mark.parametrize("suffix", [".incomplete", ".0a1b2c3d.incomplete"])
def test_a_running_download(hub: t.Any, suffix: str) -> None:
    hub.add("org/half", {"config.json": CONFIG})
    (hub.folder("org/half") / "blobs" / (hashlib.sha256(WEIGHTS).hexdigest() + suffix)).write_bytes(
        WEIGHTS[:4096]
    )
    model = only(look(hub))
    assert model.downloading
    assert model.size == len(CONFIG) + 4096
    assert model.current is not None
    assert not model.current.complete
    assert list(model.current.problems) == [
        "there are no weights",
        "1 of its files are not completely downloaded",
    ]


def test_an_abandoned_download(hub: t.Any) -> None:
    hub.add("org/half", WHOLE)
    partial = hub.folder("org/half") / "blobs" / ("f" * 64 + ".incomplete")
    partial.write_bytes(b"x")
    os.utime(partial, (1, time.time() - 3600))
    model = only(look(hub))
    assert not model.downloading
    assert model.current is not None
    assert not model.current.complete


def test_an_incomplete_file_beside_the_finished_blob_does_not_count(hub: t.Any) -> None:
    hub.add("org/done", WHOLE)
    done = hashlib.sha256(WEIGHTS).hexdigest()
    (hub.folder("org/done") / "blobs" / (done + ".99.incomplete")).write_bytes(b"x")
    model = only(look(hub))
    assert not model.downloading
    assert model.current is not None
    assert model.current.complete


def test_a_download_of_another_revision_leaves_a_complete_one_complete(hub: t.Any) -> None:
    hub.add("org/two", WHOLE, "a" * 40, ref="v1")
    hub.add("org/two", {"config.json": b"{}"}, "b" * 40)
    (hub.folder("org/two") / "blobs" / ("f" * 64 + ".incomplete")).write_bytes(b"x")
    model = only(look(hub))
    assert {one.revision[0]: one.complete for one in model.revisions} == {"a": True, "b": False}


def test_a_locked_blob_is_being_downloaded_however_long_it_is_silent(hub: t.Any) -> None:
    hub.add("org/slow", {"config.json": CONFIG})
    partial = hub.folder("org/slow") / "blobs" / ("f" * 64 + ".incomplete")
    partial.write_bytes(b"x")
    os.utime(partial, (1, 1))
    lock = hub.path / ".locks" / "models--org--slow" / ("f" * 64 + ".lock")
    lock.parent.mkdir(parents=True)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert only(look(hub)).downloading
    assert not only(look(hub)).downloading


def test_a_model_that_is_being_copied_counts_as_downloading(hub: t.Any) -> None:
    hub.add("org/slow", {"config.json": CONFIG})
    stage = hub.folder("org/slow") / STAGE
    stage.mkdir()
    (stage / ("f" * 64)).write_bytes(b"x")
    with busy(hub.folder("org/slow")):
        assert only(look(hub)).downloading
    assert not only(look(hub)).downloading


def test_the_locks_of_the_system_are_read(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text(
        "1: FLOCK  ADVISORY  WRITE 1234 fe:00:77 0 EOF\n"
        "1: -> FLOCK ADVISORY WRITE 9 00:1b:5 0 EOF\n"
        "2: OFDLCK ADVISORY  READ -1 00:89:5 0 EOF\nnonsense\n3: FLOCK x:y:z\n"
    )
    assert held_locks(str(tmp_path)) == {
        (os.makedev(0xFE, 0), 77): 1234,
        (os.makedev(0, 0x89), 5): -1,
    }
    assert held_locks(str(tmp_path / "nowhere")) == {}


def break_a_link(folder: Path) -> None:
    (folder / "blobs" / hashlib.sha256(WEIGHTS).hexdigest()).unlink()


def lose_the_snapshots(folder: Path) -> None:
    shutil.rmtree(folder / "snapshots")


def lose_the_blobs(folder: Path) -> None:
    shutil.rmtree(folder / "blobs")


def lose_everything(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def lead_out(folder: Path) -> None:
    link = folder / "snapshots" / ("a" * 40) / "config.json"
    link.unlink()
    link.symlink_to("/etc/hostname")


def replace_the_folder_by_a_file(folder: Path) -> None:
    shutil.rmtree(folder / "snapshots")
    (folder / "snapshots").write_text("")


def add_a_name_that_is_no_text(folder: Path) -> None:
    name = os.fsencode(folder / "snapshots" / ("a" * 40)) + b"/\xff\n"
    os.symlink(b"../../blobs/x", name)


@pytest.mark.parametrize(
    ("harm", "problems"),
    [
        (break_a_link, ["model.safetensors is missing"]),
        (lose_the_snapshots, ["it has no files"]),
        (lose_the_blobs, ["config.json is missing", "model.safetensors is missing"]),
        (lead_out, ["config.json is a link to a target outside of the cache"]),
        (replace_the_folder_by_a_file, ["it has no files"]),
        (add_a_name_that_is_no_text, ["\\udcff\\n has a name that no file on the Hub has"]),
    ],
)
def test_a_partly_deleted_model_reports_what_is_missing(
    hub: t.Any, harm: t.Callable[[Path], None], problems: list[str]
) -> None:
    hub.add("org/hurt", WHOLE)
    harm(hub.folder("org/hurt"))
    current = only(look(hub)).current
    assert current is not None
    assert list(current.problems) == problems


def test_an_empty_folder_of_a_model_is_listed_without_revisions(hub: t.Any) -> None:
    hub.add("org/gone", WHOLE)
    lose_everything(hub.folder("org/gone"))
    model = only(look(hub))
    assert (model.size, model.revisions, model.current) == (0, (), None)


def test_a_missing_file_has_no_size(hub: t.Any) -> None:
    hub.add("org/hurt", WHOLE)
    break_a_link(hub.folder("org/hurt"))
    current = only(look(hub)).current
    assert current is not None
    assert current.size == len(CONFIG)
    assert [one.size for one in current.files] == [len(CONFIG), MISSING]


def test_an_index_of_the_snapshot_is_read(hub: t.Any) -> None:
    shard = "model-00001-of-00002.safetensors"
    index = {"weight_map": {"a": shard, "b": shard.replace("1-of", "2-of")}}
    files = {"model.safetensors.index.json": json.dumps(index).encode(), shard: WEIGHTS}
    hub.add("org/shards", files)
    current = only(look(hub)).current
    assert current is not None
    assert list(current.problems) == ["1 of 2 shards are missing: model-00002-of-00002.safetensors"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("models--..--etc", "its name is not that of a repository"),
        ("models--a--b c", "its name is not that of a repository"),
        ("models--a--b\nc", "its name is not that of a repository"),
        ("models--a--b'c", "its name is not that of a repository"),
        ("models--a--b--c", "its name is not that of a repository"),
    ],
)
def test_names_that_the_hub_does_not_allow_are_ignored_with_a_reason(
    hub: t.Any, name: str, reason: str
) -> None:
    (hub.path / name).mkdir()
    found = look(hub)
    assert found.models == ()
    assert [why for _path, why in found.ignored] == [reason]
    assert all("\n" not in path for path, _why in found.ignored)


def test_other_entries_of_the_cache_are_ignored(hub: t.Any) -> None:
    for name in ("version.txt", "models--org--file"):
        (hub.path / name).write_text("")
    (hub.path / "datasets--org--name").mkdir()
    assert [why for _path, why in look(hub).ignored] == ["it is not a directory"]


def test_no_cache_at_all_is_no_models(tmp_path: Path) -> None:
    assert scan(str(tmp_path / "nowhere"), [str(tmp_path / "neither")]) == Scan((), ())


def test_an_unreadable_directory_is_reported(hub: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Played, since tests that run as root may read everything."""

    def refuse(path: str) -> t.NoReturn:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = look(hub, directories=("/own",))
    assert found.ignored == tuple((path, "Permission denied") for path in (str(hub.path), "/own"))


def test_only_the_model_that_is_asked_for(hub: t.Any, tmp_path: Path) -> None:
    hub.add("org/a", WHOLE)
    hub.add("org/b", WHOLE)
    own = tmp_path / "models" / "mine"
    own.mkdir(parents=True)
    (own / "config.json").write_bytes(CONFIG)
    where = (str(tmp_path / "models"),)
    assert only(look(hub, "org/b", where)).name == "org/b"
    assert only(look(hub, str(own), where)).name == str(own)
    assert look(hub, "org/c", where).models == ()


def own_model(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_local_model_directories(hub: t.Any, tmp_path: Path) -> None:
    root = tmp_path / "models"
    own_model(root / "my tune", WHOLE)
    own_model(root / "family" / "it's", {**WHOLE, "checkpoint-5/config.json": b"{}"})
    own_model(root / "gguf", {"a-Q4_K_M.gguf": b"g", "a-Q8_0.gguf": b"gg"})
    own_model(root / "a" / "b" / "c" / "too-deep", WHOLE)
    own_model(root / ".hidden", WHOLE)
    own_model(root / "notes", {"README.md": b""})
    found = {one.name: one for one in look(hub, directories=(str(root),)).models}
    assert set(found) == {f"{root}/my tune", f"{root}/family/it's", f"{root}/gguf"}
    assert all(one.current and one.current.complete for one in found.values())
    gguf = found[f"{root}/gguf"].current
    assert gguf is not None
    assert [(one.name, one.size) for one in gguf.quants] == [("Q4_K_M", 1), ("Q8_0", 2)]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (("params.json", "consolidated.safetensors"), "Mistral's own format"),
        (("adapter_config.json", "adapter_model.safetensors"), "an adapter"),
        (("model_index.json",), "a diffusion pipeline"),
        (("model.safetensors",), "weights (model.safetensors) without a config.json"),
        (("README.md",), ""),
    ],
)
def test_a_directory_that_is_not_listed_says_why(
    hub: t.Any, tmp_path: Path, files: tuple[str, ...], reason: str
) -> None:
    own_model(tmp_path / "models" / "x", dict.fromkeys(files, b"x"))
    found = look(hub, directories=(str(tmp_path / "models"),))
    assert found.models == ()
    assert [reason in why for _path, why in found.ignored] == ([True] if reason else [])


def test_weights_beside_models_hide_none_and_parts_of_a_pipeline_are_no_models(
    hub: t.Any, tmp_path: Path
) -> None:
    root = tmp_path / "models"
    own_model(root, {"stray.safetensors": b"x"})
    own_model(root / "complete", WHOLE)
    own_model(root / "pipeline", {"model_index.json": b"{}"})
    own_model(root / "pipeline" / "text_encoder", WHOLE)
    found = look(hub, directories=(str(root),))
    assert [model.name for model in found.models] == [f"{root}/complete"]
    assert [path for path, _why in found.ignored] == [str(root), f"{root}/pipeline"]


def test_a_directory_with_a_newline_in_its_name_is_ignored_with_a_reason(
    hub: t.Any, tmp_path: Path
) -> None:
    own_model(tmp_path / "models" / "a\nb", WHOLE)
    found = look(hub, directories=(str(tmp_path / "models"),))
    assert found.models == ()
    assert [path for path, _why in found.ignored] == [f"{tmp_path}/models/a\\nb"]


def test_a_name_that_is_not_utf_8_is_ignored_with_a_reason(hub: t.Any, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/models/\xff"
    os.makedirs(folder)
    with open(folder + b"/config.json", "wb") as stream:
        stream.write(CONFIG)
    found = look(hub, directories=(str(tmp_path / "models"),))
    assert found.models == ()
    assert json.dumps(found.ignored).isascii()
    assert len(found.ignored) == 1


def test_a_folder_that_is_only_a_link_takes_no_space(hub: t.Any, tmp_path: Path) -> None:
    snapshot = hub.add("org/base", WHOLE)
    root = tmp_path / "models"
    root.mkdir()
    (root / "alias").symlink_to(snapshot)
    models = {one.name: one for one in look(hub, directories=(str(root),)).models}
    alias = models[f"{root}/alias"]
    assert (alias.size, alias.links_to) == (0, str(snapshot))
    assert alias.current is not None
    assert alias.current.complete


def test_links_that_lead_in_a_circle_end(hub: t.Any, tmp_path: Path) -> None:
    root = tmp_path / "models"
    own_model(root / "a" / "real", WHOLE)
    (root / "a" / "up").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    names = [one.name for one in look(hub, directories=(str(root),)).models]
    assert names == [f"{root}/a/real"]


def test_weights_that_are_links_to_nowhere_are_missing(hub: t.Any, tmp_path: Path) -> None:
    folder = own_model(tmp_path / "models" / "tune", {"config.json": CONFIG})
    (folder / "model.safetensors").symlink_to(tmp_path / "gone")
    current = only(look(hub, directories=(str(tmp_path / "models"),))).current
    assert current is not None
    assert list(current.problems) == ["model.safetensors is missing"]


def test_a_download_into_a_local_directory_is_detected(hub: t.Any, tmp_path: Path) -> None:
    partial = ".cache/huggingface/download/abc.incomplete"
    own_model(tmp_path / "models" / "tune", {**WHOLE, partial: b"x"})
    model = only(look(hub, directories=(str(tmp_path / "models"),)))
    assert model.downloading
    assert model.current is not None
    assert list(model.current.problems) == ["1 of its files are not completely downloaded"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[" * 200_000 + b"]" * 200_000, "it is not JSON"),
        (b'{"a": ', "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"", "it is not JSON"),
    ],
)
def test_hostile_json(tmp_path: Path, text: bytes, reason: str) -> None:
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(ValueError, match=reason):
        read_json(str(tmp_path / "x.json"))


def test_huge_json_and_special_files_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.json").open("wb") as stream:
        stream.truncate(65 << 20)
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    for name in ("big", "pipe", "folder", "missing"):
        with pytest.raises(ValueError, match="cannot be read"):
            read_json(str(tmp_path / f"{name}.json"))
