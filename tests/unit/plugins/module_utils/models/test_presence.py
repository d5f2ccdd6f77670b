# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node has of a model that a launch wants."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.models.presence import presence

WHOLE = {"config.json": b"{}", "model.safetensors": b"w" * 10}
GGUF = {"tiny-Q4_K_M.gguf": b"q" * 4, "tiny-Q8_0-00001-of-00002.gguf": b"q" * 8}


def look(hub: t.Any, name: str, quant: str = "", revision: str = "") -> dict[str, t.Any]:
    own = [str(hub.path.parent / "own")]
    return presence(str(hub.path), own, {"name": name, "quant": quant, "revision": revision})


def test_a_complete_model_is_reported_with_its_revision(hub: t.Any) -> None:
    hub.add("org/one", WHOLE)
    seen = look(hub, "org/one")
    assert (seen["complete"], seen["problem"], seen["kind"]) == (True, "", "hub")
    assert (seen["revision"], seen["size"]) == ("a" * 40, 12)


def test_a_missing_or_incomplete_model_is_reported_with_the_reason(hub: t.Any) -> None:
    assert look(hub, "org/other")["problem"] == "it is not there"
    hub.add("org/one", {"config.json": b"{}"})
    seen = look(hub, "org/one")
    assert (seen["complete"], seen["problem"]) == (False, "there are no weights")


def test_a_revision_is_found_by_commit_tag_and_branch(hub: t.Any) -> None:
    hub.add("org/one", WHOLE)
    hub.add("org/one", {**WHOLE, "more.txt": b"m"}, "b" * 40, "v2")
    assert look(hub, "org/one")["revision"] == "a" * 40
    assert look(hub, "org/one", revision="v2")["revision"] == "b" * 40
    assert look(hub, "org/one", revision="b" * 40)["complete"] is True
    assert look(hub, "org/one", revision="v3")["problem"] == "its revision v3 is not there"


def test_one_quantisation_is_enough_and_is_named_as_its_files_are(hub: t.Any) -> None:
    hub.add("org/gguf", GGUF)
    seen = look(hub, "org/gguf", "q4_k_m")
    assert (seen["complete"], seen["quant"], seen["size"]) == (True, "Q4_K_M", 4)
    assert look(hub, "org/gguf")["complete"] is True
    assert look(hub, "org/gguf", "Q8_0")["problem"] == "parts of Q8_0 are missing"
    told = look(hub, "org/gguf", "Q2_K")["problem"]
    assert told == "it has no quantisation Q2_K; it has: Q4_K_M, Q8_0"


@pytest.mark.parametrize(("folder", "kind"), [("own/tune", "directory"), ("else/tune", "other")])
def test_only_a_local_model_directory_can_be_copied(hub: t.Any, folder: str, kind: str) -> None:
    path = hub.path.parent / folder
    path.mkdir(parents=True)
    for name, data in WHOLE.items():
        (path / name).write_bytes(data)
    seen = look(hub, f"{path}/")
    assert (seen["name"], seen["kind"], seen["complete"]) == (str(path), kind, True)


@pytest.mark.parametrize("name", ["etc", "notes.txt", "pipe.gguf", "folder.gguf"])
def test_what_is_no_model_is_not_complete(hub: t.Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "shadow").write_text("root:x", encoding="ascii")
    (tmp_path / "notes.txt").write_text("x", encoding="ascii")
    (tmp_path / "folder.gguf").mkdir()
    os.mkfifo(tmp_path / "pipe.gguf")
    seen = look(hub, str(tmp_path / name))
    assert (seen["complete"], seen["kind"]) == (False, "other")
    assert seen["problem"].startswith("it is no model")


def test_a_file_is_complete_and_of_kind_other(hub: t.Any, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    seen = look(hub, str(tmp_path / "x.gguf"))
    assert (seen["complete"], seen["kind"]) == (True, "other")
    assert look(hub, str(tmp_path / "y.gguf"))["problem"] == "it is not there"
