# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disk may be given to a pool, by what lsblk, blkid and zpool document as their output.

The fixtures are recorded: OpenZFS 2.1.11 and util-linux 2.38.1 on Debian 12, NVMe disks of QEMU.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.disk import look
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.disks import (
    LSBLK,
    name_refused,
    pool_refused,
)

RECORDED = Path(__file__).parents[3] / "fixtures" / "openzfs-2.1.11"
GIB = 1 << 30
STATUS = """\
  pool: ai
 state: ONLINE
config:

\tNAME              STATE     READ WRITE CKSUM
\tai                ONLINE       0     0     0
\t  /dev/nvme1n1p1  ONLINE       0     0     0

errors: No known data errors
"""


def block(**fields: Any) -> dict[str, Any]:
    return {
        "path": "/dev/nvme1n1",
        "type": "disk",
        "size": 4000 * GIB,
        "ro": False,
        "mountpoints": [None],
        "fstype": None,
        "pttype": None,
        "model": "Example SSD",
        "serial": "S0",
        **fields,
    }


def part(**fields: Any) -> dict[str, Any]:
    return block(**{"path": "/dev/nvme1n1p1", "type": "part", **fields})


def recorded(name: str) -> str:
    return (RECORDED / name).read_text()


class Node:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.device = str(root / "nvme-Example_SSD_S0")
        Path(self.device).touch()
        self.tools: dict[str, str] = {}
        self.says("lsblk", json.dumps({"blockdevices": [block()]}))
        self.says("blkid", "", 2)
        self.says("zpool", "")

    def says(self, tool: str, text: str, status: int = 0) -> None:
        (self.root / f"{tool}.out").write_text(text)
        path = self.root / tool
        path.write_text(f"#!/bin/sh\ncat {self.root}/{tool}.out\nexit {status}\n")
        path.chmod(0o755)
        self.tools[tool] = str(path)

    def remains(self, text: str) -> None:
        """What blkid finds at 1 MiB, and nothing at the disk's begin."""
        (self.root / "remains").write_text(text)
        play = f'[ "$3" = 1048576 ] && cat {self.root}/remains && exit 0; exit 2'
        Path(self.tools["blkid"]).write_text(f"#!/bin/sh\n{play}\n")

    def pools(self, listed: str, status: str) -> None:
        for name, text in (("list", listed), ("status", status)):
            (self.root / f"pool.{name}").write_text(text)
        Path(self.tools["zpool"]).write_text(f'#!/bin/sh\ncat {self.root}/pool."$1"\n')

    def refused(self) -> str:
        return "\n".join(look(self.device, "ai", 100 * GIB, self.tools).refused)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_an_empty_disk_that_nobody_uses_is_not_refused(node: Node) -> None:
    looked = look(node.device, "ai", 100 * GIB, node.tools)
    assert (looked.refused, looked.pool_is_there) == ((), False)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (block(mountpoints=["/data"]), "/dev/nvme1n1 is in use: /data"),
        (block(children=[part(mountpoints=["/"])]), "the node boots from it: /dev/nvme1n1p1"),
        (block(children=[part(mountpoints=["[SWAP]"])]), "is in use: [SWAP]"),
        (
            block(children=[part(children=[part(type="lvm", mountpoints=["/boot"])])]),
            "the node boots from it",
        ),
        (block(children=[part()]), "has partitions: /dev/nvme1n1p1 (part)"),
        (block(pttype="gpt"), "has a partition table (gpt)"),
        (block(fstype="ext4"), "has the file system ext4"),
        (block(fstype="zfs_member"), "has the file system zfs_member"),
        (block(ro=True), "is read-only"),
        (block(ro="1"), "is read-only"),
        (block(size=GIB), "has 1.0 GiB, less than the required 100.0"),
        (block(type="loop"), "is a loop, not a disk"),
        (block(type="rom"), "is a rom, not a disk"),
    ],
)
def test_a_disk_that_is_used_or_holds_something_is_refused(
    node: Node, entry: dict[str, Any], message: str
) -> None:
    node.says("lsblk", json.dumps({"blockdevices": [entry]}))
    assert message in node.refused()


def test_all_reasons_are_told_at_once(node: Node) -> None:
    entry = block(ro=True, pttype="gpt", children=[part(mountpoints=["/"], fstype="ext4")])
    node.says("lsblk", json.dumps({"blockdevices": [entry]}))
    assert len(node.refused().splitlines()) == 5


def test_signatures_that_only_blkid_finds_count(node: Node) -> None:
    node.says("blkid", "DEVNAME=/dev/nvme1n1\nTYPE=linux_raid_member\nUSAGE=raid\n")
    assert "has a signature: TYPE linux_raid_member, USAGE raid" in node.refused()
    node.says("blkid", recorded("blkid-ext4.txt"))
    assert "has a signature: TYPE ext4, USAGE filesystem" in node.refused()
    node.says("blkid", "", 8)
    assert "contradictory" in node.refused()
    node.says("blkid", "", 4)
    assert "blkid cannot read" in node.refused()


def test_a_disk_of_another_pool_is_refused(node: Node) -> None:
    node.pools("tank\tONLINE\t4\t3\n", STATUS.replace("ai ", "tank").replace(": ai", ": tank"))
    node.says("lsblk", json.dumps({"blockdevices": [block(children=[part()])]}))
    assert "/dev/nvme1n1p1 is in the pool tank" in node.refused()


def test_the_pool_on_this_very_disk_leaves_nothing_to_do(node: Node) -> None:
    node.pools("ai\tONLINE\t4\t3\n", STATUS)
    node.says("lsblk", json.dumps({"blockdevices": [block(pttype="gpt", children=[part()])]}))
    looked = look(node.device, "ai", 100 * GIB, node.tools)
    assert (looked.refused, looked.pool_is_there) == ((), True)


def test_a_pool_of_that_name_on_other_disks_is_refused(node: Node) -> None:
    node.pools("ai\tONLINE\t4\t3\n", STATUS.replace("nvme1n1p1", "nvme2n1p1"))
    assert "the pool ai exists already" in node.refused()


def test_what_cannot_be_asked_is_a_reason(node: Node) -> None:
    node.says("lsblk", "rubbish")
    assert "does not list" in node.refused()
    node.says("zpool", "The ZFS modules are not loaded.", 1)
    assert "fails: exit status 1" in node.refused()
    node.tools["blkid"] = ""
    assert "not installed: blkid" in node.refused()
    Path(node.device).unlink()
    assert "does not exist" in node.refused()


@pytest.mark.parametrize(
    ("name", "confirmation", "message"),
    [
        ("nvme-X_S0", "", "not confirmed"),
        ("nvme-X_S0", "nvme-X_S1", "names another disk: nvme-X_S1"),
        ("nvme-X_S0-part1", "nvme-X_S0-part1", "is a partition"),
        ("../../nvme0n1", "../../nvme0n1", "not a name in"),
        ("/dev/nvme0n1", "/dev/nvme0n1", "not a name in"),
        ("", "", "not a name in"),
    ],
)
def test_a_name_that_is_not_one_disks_given_twice_is_refused(
    name: str, confirmation: str, message: str
) -> None:
    assert message in "\n".join(name_refused(name, confirmation))


def test_a_name_given_twice_is_none_to_refuse() -> None:
    assert name_refused("nvme-X_4TB_S0", "nvme-X_4TB_S0") == []


def test_columns_are_asked_for_that_make_lsblk_print_a_tree() -> None:
    assert LSBLK.split(",", maxsplit=1)[0] == "NAME"


@pytest.mark.parametrize(
    ("blocks", "pool", "message"),
    [
        (
            "lsblk-used.json",
            "tank",
            "/dev/nvme4n1 is in use: /mnt/u\n/dev/nvme4n1 has the file system ext4",
        ),
        ("lsblk-parted.json", "tank", "(gpt)\n/dev/nvme3n1 has partitions: /dev/nvme3n1p1 (part)"),
        ("lsblk-parted.json", "ai", "the pool ai exists already, on other disks"),
        (
            "lsblk-pool.json",
            "tank",
            "/dev/nvme0n1p1 is in the pool ai\n/dev/nvme0n1p1 has the file system zfs_",
        ),
        ("lsblk-pool.json", "ai", ""),
    ],
)
def test_real_disks_beside_a_real_pool(node: Node, blocks: str, pool: str, message: str) -> None:
    node.says("lsblk", recorded(blocks))
    node.pools(recorded("zpool-list.txt"), recorded("zpool-status.txt"))
    looked = look(node.device, pool, 100 * GIB, node.tools)
    assert message in "\n".join(looked.refused)
    assert looked.pool_is_there is not bool(looked.refused)


def test_what_is_left_of_a_partition_is_seen_before_the_disk_is_divided(node: Node) -> None:
    node.says("lsblk", recorded("lsblk-remains.json"))
    node.remains(recorded("blkid-remains.txt"))
    message = "has the remains of a partition at 1 MiB: TYPE ext4, USAGE filesystem"
    assert node.refused() == f"/dev/nvme1n1 {message}"


@pytest.mark.parametrize(
    ("pool", "ashift", "message"),
    [
        ("ai", 12, ""),
        ("logs", 9, ""),
        ("log", 12, "reserves the name log"),
        ("mirror0", 12, "reserves the name mirror0"),
        ("-f", 12, "expected the name of a pool"),
        ("ai", 50, "expected ashift from 9 to 16, found 50"),
    ],
)
def test_a_pool_that_zfs_would_not_make_is_refused(pool: str, ashift: int, message: str) -> None:
    refused = "\n".join(pool_refused(pool, ashift))
    assert message in refused
    assert bool(refused) is bool(message)
