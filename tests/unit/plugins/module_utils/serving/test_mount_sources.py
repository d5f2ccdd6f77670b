# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the sources of mounts lead, on real folders with real links."""

from __future__ import annotations

import os
import socket
import typing as t
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import mount_sources

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="links of other users need root")
STRANGER = 65534


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Folders of root's: models (allowed), disk (a second one), secret (anything of root's)."""
    for name in ("models/tune", "models/other", "disk/tune", "secret"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def look(node: Path, source: str, **more: t.Any) -> dict[str, t.Any]:
    mount = {
        "source": str(node / source),
        "within": [str(node / "models")],
        "named": False,
        "read_only": True,
        "folder": False,
        "needed": True,
        **more,
    }
    (found,) = mount_sources.sources([mount])
    assert found["source"] == mount["source"]
    return found


def link(path: Path, target: Path | str, owner: int = -1) -> None:
    path.symlink_to(target)
    if owner >= 0:
        os.lchown(path, owner, owner)


def test_a_folder_without_links_is_fine(node: Path) -> None:
    found = look(node, "models/tune")
    assert found == {
        "source": str(node / "models/tune"),
        "real": str(node / "models/tune"),
        "links": [],
        "problem": "",
    }


@pytest.fixture
def second_disk(node: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As a link that root made in root's folder; on a node it is not below /tmp."""
    link(node / "models/big", "../disk/tune")
    monkeypatch.setattr(mount_sources, "_NEVER", ("/etc", str(node / "secret")))
    return node


def test_a_link_of_roots_to_a_second_disk_is_followed_and_named(second_disk: Path) -> None:
    found = look(second_disk, "models/big")
    assert (found["problem"], found["real"]) == ("", str(second_disk / "disk/tune"))
    assert found["links"] == [f"{second_disk}/models/big -> ../disk/tune"]


def test_a_link_of_roots_to_a_part_of_the_system_is_not(second_disk: Path) -> None:
    link(second_disk / "models/bad", second_disk / "secret")
    assert "power over the node" in look(second_disk, "models/bad")["problem"]
    assert look(second_disk, "models/bad", named=True)["problem"] == ""


def test_a_model_directory_that_leads_into_the_system_opens_nothing(second_disk: Path) -> None:
    (second_disk / "secret/tune").mkdir()
    link(second_disk / "dir", "secret")
    found = look(second_disk, "dir/tune", within=[str(second_disk / "dir")])
    assert "power over the node" in found["problem"]


@needs_root
@pytest.mark.parametrize("named", [True, False])
def test_a_link_of_another_user_stays_within_the_allowed_folders(
    second_disk: Path, named: bool
) -> None:
    models = second_disk / "models"
    link(models / "out", second_disk / "disk/tune", STRANGER)
    link(models / "in", "other", STRANGER)
    link(models / "up", "../secret", STRANGER)
    found = look(second_disk, "models/out", named=named)
    assert f"{models}/out is not a link of root's" in found["problem"]
    assert look(second_disk, "models/in", named=named)["problem"] == ""
    assert look(second_disk, "models/up", named=named)["problem"] != ""


@needs_root
@pytest.mark.parametrize("rights", ["owner", "mode", "group", "above"])
def test_a_link_of_roots_in_a_folder_that_others_write_is_as_theirs(
    second_disk: Path, rights: str
) -> None:
    models = second_disk / "models"
    if rights == "owner":
        os.chown(models, STRANGER, STRANGER)
    elif rights == "group":
        os.chown(models, 0, STRANGER)
        models.chmod(0o775)
    else:
        (models if rights == "mode" else second_disk).chmod(0o777)
    assert "is not a link of root's" in look(second_disk, "models/big")["problem"]


@needs_root
def test_an_allowed_folder_that_another_user_redirects_allows_nothing(second_disk: Path) -> None:
    (second_disk / "secret/tune").mkdir()
    link(second_disk / "dir", "secret", STRANGER)
    found = look(second_disk, "dir/tune", within=[str(second_disk / "dir")])
    assert "is not a link of root's" in found["problem"]


def test_credentials_are_not_reached_by_a_link(node: Path) -> None:
    (node / "models/.ssh").mkdir()
    link(node / "models/keys", ".ssh")
    assert "holds credentials" in look(node, "models/keys")["problem"]


def test_a_circle_of_links_is_refused(node: Path) -> None:
    link(node / "models/a", "b")
    link(node / "models/b", "a")
    assert look(node, "models/a")["problem"] != ""


@pytest.mark.parametrize("needed", [True, False])
def test_what_is_missing_is_refused_unless_it_will_be_copied(node: Path, needed: bool) -> None:
    problem = look(node, "models/new/one", needed=needed)["problem"]
    assert ("No such file" in problem) is needed


def test_only_folders_and_files_are_mounted_unless_named(node: Path) -> None:
    os.mkfifo(node / "models/fifo")
    (node / "models/x.gguf").touch()
    here = os.getcwd()
    os.chdir(node / "models")  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("engine")
        os.chdir(here)
        for name in ("fifo", "engine"):
            assert "neither a folder nor" in look(node, f"models/{name}")["problem"]
            assert look(node, f"models/{name}", named=True)["problem"] == ""
    assert look(node, "models/x.gguf")["problem"] == ""
    assert "is not a folder" in look(node, "models/x.gguf", folder=True)["problem"]
    assert look(node, "models/tune", folder=True)["problem"] == ""


def test_control_characters_of_a_link_reach_no_terminal(node: Path) -> None:
    link(node / "models/odd", "\x1b[2J")
    found = look(node, "models/odd")
    assert "\x1b" not in found["problem"] + found["real"] + "".join(found["links"])
    assert found["problem"] != ""
