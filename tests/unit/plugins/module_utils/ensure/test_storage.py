# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders below one folder; ZFS as a program that answers as its manual documents."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import converge
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.storage import (
    Observed,
    Wanted,
    observe,
    plan,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.zfs import (
    differing,
    parse_properties,
)

RECORDED = Path(__file__).parents[3] / "fixtures" / "openzfs-2.1.11"
# Datasets are files of property=value; what is asked for and not there is inherited as "-".
ZFS = """#!{python} -IS
import sys
from pathlib import Path
root = Path("{root}/datasets")
verb, *words = sys.argv[1:]
path = root / words[-1].replace("/", "@")
def said():
    return dict(line.split("=", 1) for line in path.read_text().splitlines())
if verb == "get":
    if not path.exists():
        sys.exit("cannot open '%s': dataset does not exist" % words[-1])
    for name in words[3].split(","):
        print(words[-1], name, said().get(name, "-"), sep="\\t")
else:
    new = said() if path.exists() else {{}}
    pairs = [word for word in words[:-1] if "=" in word]
    sizes = {{"1M": "1048576", "500G": "536870912000"}}
    for pair in pairs:
        name, value = pair.split("=", 1)
        new[name] = sizes.get(value, value)
    path.write_text("".join("%s=%s\\n" % pair for pair in new.items()))
"""
ZPOOL = """#!/bin/sh
cat {root}/pools
"""
DATASETS = [
    {"name": "ai/models", "properties": {"recordsize": "1M", "atime": False}},
    {"name": "ai", "properties": {"quota": "500G", "compression": "lz4"}},
]


class Node:
    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "datasets").mkdir()
        (root / "datasets" / "ai").write_text("quota=0\ncompression=off\n")
        (root / "pools").write_text("ai\tONLINE\t4000000000\t3000000000\n")
        self.zfs = self.program("zfs", ZFS.format(python=sys.executable, root=root))
        self.zpool = self.program("zpool", ZPOOL.format(root=root))
        self.owner = getpass.getuser()
        self.as_root = True

    def program(self, name: str, text: str) -> str:
        path = self.root / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "directories": [
                {"path": str(self.root / "ai/models"), "mode": "0750", "free_gib": 0.001},
                {"path": str(self.root / "ai/cache"), "mode": "0755", "owner": self.owner},
            ],
            "owner": "",
            "group": "",
            "hf_home": str(self.root / "ai/cache/huggingface"),
            "profile_file": str(self.root / "profile.sh"),
            "environment_file": str(self.root / "storage.env"),
            "datasets": [],
            **given,
        }

    def run(self, act: bool, **given: Any) -> tuple[dict[str, Any], str]:
        wanted = Wanted(**self.parameters(given))

        def look() -> Observed:
            return replace(observe(wanted, self.zfs, self.zpool), root=self.as_root)

        return converge(look, partial(plan, wanted=wanted), act)

    def repaired(self, *checks: str, **given: Any) -> dict[str, Any]:
        """Check and run announce and do the same; the next run is silent."""
        before = sorted(self.root.rglob("*"))
        checked, _complaint = self.run(False, **given)
        assert sorted(self.root.rglob("*")) == before
        assert names(checked, "drift") == set(checks)
        done, complaint = self.run(True, **given)
        assert names(done, "fixed") == set(checks), complaint
        assert (done["changed"], done["diff"]) == (checked["changed"], checked["diff"])
        again, complaint = self.run(True, **given)
        assert (again["changed"], complaint) == (False, "")
        return done

    def only(self, path: str, **more: Any) -> dict[str, Any]:
        return {"directories": [{"path": str(self.root / path), **more}], "hf_home": ""}


def short(check: str) -> str:
    """storage_dir_tmp_…_ai_models -> models: the folder of a test has a long name."""
    return check.rpartition("_ai_")[2] if check.startswith("storage_dir") else check


def names(result: dict[str, Any], status: str) -> set[str]:
    return {short(entry["check"]) for entry in result["findings"] if entry["status"] == status}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_folders_are_made_and_programs_pointed_at_the_cache(node: Node) -> None:
    node.repaired("models", "cache", "cache_huggingface", "hf_home_profile", "hf_home_environment")
    home = node.root / "ai/cache/huggingface"
    assert os.stat(node.root / "ai/models").st_mode & 0o7777 == 0o750
    assert home.is_dir()
    assert f'export HF_HOME="{home}"\n' in (node.root / "profile.sh").read_text()
    assert f'HF_HOME="{home}"\n' in (node.root / "storage.env").read_text()
    # The cache is left where it is: both files go.
    node.repaired("hf_home_profile", "hf_home_environment", hf_home="")


def test_only_the_folder_itself_gets_another_mode(node: Node) -> None:
    folder = node.root / "ai/models"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "weights").write_text("x")
    (folder / "weights").chmod(0o600)
    node.repaired("models", **node.only("ai/models", mode="0755"))
    assert (folder / "weights").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("mine"), "not a folder"),
        (lambda path: path.symlink_to("/nowhere"), "a link to nothing"),
    ],
)
def test_what_stands_in_a_folders_place_is_left_alone(node: Node, make: Any, message: str) -> None:
    (node.root / "ai").mkdir()
    make(node.root / "ai/models")
    result, complaint = node.run(True, **node.only("ai/models"))
    assert names(result, "blocked") == {"models"}
    assert message in complaint
    assert not (node.root / "ai/models").is_dir()


def test_a_file_above_a_folder_is_told_of(node: Node) -> None:
    (node.root / "ai").write_text("")
    result, complaint = node.run(True, **node.only("ai/models"))
    assert names(result, "blocked") == {"models"}
    assert "is not a folder" in complaint


def test_a_link_to_a_folder_is_one(node: Node) -> None:
    (node.root / "big").mkdir()
    (node.root / "ai").mkdir()
    (node.root / "ai/models").symlink_to(node.root / "big")
    assert node.run(True, **node.only("ai/models"))[0]["changed"] is False


def test_an_owner_that_the_node_does_not_know_is_blocked(node: Node) -> None:
    result, complaint = node.run(True, **node.only("ai/models", owner="nobody-here"))
    assert names(result, "blocked") == {"models"}
    assert "nobody-here" in complaint


def test_without_root_nothing_is_given_away(node: Node) -> None:
    node.as_root = False
    result, complaint = node.run(True, **node.only("ai/models", owner=node.owner))
    assert names(result, "blocked") == {"models"}
    assert "become" in complaint


def test_a_full_disk_is_told_of_with_what_to_do(node: Node) -> None:
    result, complaint = node.run(True, **node.only("ai/models", free_gib=10**9))
    assert names(result, "blocked") == {"storage_space"}
    assert "Remove models" in complaint
    assert names(result, "fixed") == {"models"}


def test_datasets_are_made_and_properties_set_as_numbers_compare(node: Node) -> None:
    given = {**node.only("x"), "directories": [], "datasets": DATASETS}
    result = node.repaired("zfs_ai", "zfs_ai_models", **given)
    assert (node.root / "datasets/ai@models").read_text() == "atime=off\nrecordsize=1048576\n"
    assert "quota=0" in result["diff"]["before"]
    assert "quota=500G" in result["diff"]["after"]


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        ("", "pool ai does not exist"),
        ("ai\tDEGRADED\t4\t3\n", "ai is DEGRADED"),
        ("rubbish", "pool ai does not exist"),
    ],
)
def test_a_pool_that_is_not_well_is_nobodys_to_mend_here(
    node: Node, pools: str, message: str
) -> None:
    (node.root / "pools").write_text(pools)
    _result, complaint = node.run(False, datasets=DATASETS)
    result, complaint = node.run(True, datasets=DATASETS)
    assert "zfs_pools" in names(result, "blocked")
    assert message in complaint


def test_a_kernel_without_zfs_is_told_of(node: Node) -> None:
    node.program("zpool", "#!/bin/sh\necho The ZFS modules are not loaded. >&2\nexit 1\n")
    result, complaint = node.run(True, datasets=DATASETS)
    assert "modules are not loaded" in complaint
    assert {"zfs_ai", "zfs_ai_models"} <= names(result, "skipped")


def test_a_property_that_is_fixed_is_blocked_and_the_others_stay_unset(node: Node) -> None:
    (node.root / "datasets/ai").write_text("normalization=none\n")
    datasets = [{"name": "ai", "properties": {"normalization": "formD"}}]
    result, complaint = node.run(True, datasets=datasets)
    assert "zfs_ai" in names(result, "blocked")
    assert "cannot be changed" in complaint
    assert (node.root / "datasets/ai").read_text() == "normalization=none\n"


def test_a_dataset_is_not_mounted_over_files(node: Node) -> None:
    models = node.root / "ai/models"
    models.mkdir(parents=True)
    (models / "weights").write_text("x")
    datasets = [{"name": "ai/models", "properties": {"mountpoint": str(models)}}]
    result, complaint = node.run(True, datasets=datasets)
    assert "zfs_ai_models" in names(result, "blocked")
    assert "would hide what is in it" in complaint
    assert not (node.root / "datasets/ai@models").exists()


def test_nor_is_one_that_is_there_already(node: Node) -> None:
    models = node.root / "ai/models"
    models.mkdir(parents=True)
    (models / "weights").write_text("x")
    (node.root / "datasets/ai@models").write_text("mountpoint=none\n")
    datasets = [{"name": "ai/models", "properties": {"mountpoint": str(models)}}]
    _result, complaint = node.run(True, datasets=datasets)
    assert "would hide what is in it" in complaint
    assert (node.root / "datasets/ai@models").read_text() == "mountpoint=none\n"


def test_nor_where_the_dataset_above_has_its_mountpoint(node: Node) -> None:
    models = node.root / "ai/models"
    models.mkdir(parents=True)
    (models / "weights").write_text("x")
    (node.root / "datasets/ai").write_text(f"mountpoint={node.root}/ai\n")
    _result, complaint = node.run(True, datasets=[{"name": "ai/models", "properties": {}}])
    assert f"{models} is not empty" in complaint
    # Not mounted by itself: it hides nothing.
    datasets = [{"name": "ai/models", "properties": {"canmount": "noauto"}}]
    assert "zfs_ai_models" in names(node.run(True, datasets=datasets)[0], "fixed")


def test_a_folder_that_a_dataset_is_mounted_over_gets_its_owner_again(node: Node) -> None:
    given = node.only("ai/models", mode="0750", free_gib=10**9)
    (node.root / "ai/models").mkdir(parents=True, mode=0o750)
    given["datasets"] = [
        {"name": "ai/models", "properties": {"mountpoint": f"{node.root}/ai/models"}}
    ]
    checked, _complaint = node.run(False, **given)
    assert names(checked, "drift") == {"zfs_ai_models", "models"}
    # Room is told of once the dataset is there.
    assert names(checked, "blocked") == set()
    assert "0750" not in checked["diff"]["before"]
    assert "0750" in checked["diff"]["after"]


def test_values_that_have_two_names_compare(node: Node) -> None:
    """Recorded: OpenZFS 2.1.11 on Debian 12, after zfs set of these values."""
    found = parse_properties((RECORDED / "zfs-get.txt").read_text())["ai/data"]
    wanted = {
        "acltype": "posixacl",
        "compression": "gzip-6",
        "mountpoint": "/ai/data/",
        "quota": "none",
        "recordsize": "128K",
        "refquota": "20G",
        "xattr": "dir",
    }
    assert differing(found, wanted) == {}
    assert differing(found, {**wanted, "acltype": "off"}) == {"acltype": "off"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"directories": [{"path": "ai"}]}, "directories: expected an absolute path"),
        ({"directories": [{"path": "/ai/../etc"}]}, "directories: expected an absolute path"),
        ({"directories": [{"path": "/ai", "mode": "rwx"}]}, "/ai: mode"),
        ({"directories": [{"path": "/ai", "free_gib": -1}]}, "/ai: free_gib"),
        ({"directories": [{"path": "/a/b"}, {"path": "/a_b"}]}, "storage_dir_a_b"),
        ({"hf_home": '/a"b'}, "hf_home: expected"),
        ({"datasets": [{"name": "-o"}]}, "datasets: expected as"),
        ({"datasets": [{"name": "ai"}, {"name": "ai"}]}, "twice"),
        ({"datasets": [{"name": "ai", "properties": {"a b": 1}}]}, "datasets: ai: expected"),
    ],
)
def test_what_cannot_be_meant_is_refused(node: Node, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Wanted(**node.parameters(given))


def test_a_profile_that_is_read_after_ours_sends_downloads_elsewhere(node: Node) -> None:
    node.run(True)
    path = node.root / "zz.sh"
    path.write_text("export HF_HOME=/home/alice/hf\n")
    result, _complaint = node.run(False)
    at_login = next(entry for entry in result["findings"] if entry["check"] == "hf_home_at_login")
    assert at_login["status"] == "blocked"
    assert (str(path) in at_login["actual"], "profile.sh" in at_login["actual"]) == (True, True)
    path.write_text("export HF_HOME=%s/\n" % (node.root / "ai" / "cache" / "huggingface"))
    assert names(node.run(False)[0], "blocked") == set()
