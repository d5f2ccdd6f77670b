# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether a disk may be used for a new pool: only an unused and empty one.

Pure functions of the output of lsblk, blkid and zpool.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

# Without NAME lsblk lists a disk's partitions beside it, not below it.
LSBLK = "NAME,PATH,TYPE,SIZE,RO,MOUNTPOINTS,FSTYPE,PTTYPE,MODEL,SERIAL"
# Names that udev gives to disks; those of partitions end in -part1 and so on.
_BY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+@=-]*")
_PARTITION = re.compile(r"-part\d+$")
# The first partition begins here. Remains of an earlier one make zpool create fail after the disk
# has been partitioned.
FIRST_PARTITION = 1 << 20
# zpool-create(8); a pool's name may not begin with one of these, or be log.
_RESERVED = re.compile(r"(mirror|raidz|draid|spare).*|log")
# Mount points of the boot disk.
_BOOT = ("/", "/boot", "/boot/efi", "/usr")


@dataclass(frozen=True)
class Disk:
    """A block device with its children; size in bytes."""

    path: str
    kind: str
    size: int
    read_only: bool = False
    mounts: tuple[str, ...] = ()
    filesystem: str = ""
    table: str = ""
    model: str = ""
    serial: str = ""
    children: tuple[Disk, ...] = ()

    def tree(self) -> Iterator[Disk]:
        """The device and everything below it."""
        yield self
        for child in self.children:
            yield from child.tree()


def parse_lsblk(text: str) -> tuple[Disk, ...]:
    """`lsblk --json --bytes --paths --output LSBLK`; empty for any other text."""
    try:
        document = foreign.json_of(text)
        return tuple(_disk(entry) for entry in document["blockdevices"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def _disk(entry: Mapping[str, Any]) -> Disk:
    return Disk(
        str(entry["path"]),
        str(entry.get("type") or ""),
        int(entry.get("size") or 0),
        # Older versions say "1".
        entry.get("ro") in (True, "1", 1),
        tuple(str(mount) for mount in entry.get("mountpoints") or () if mount),
        str(entry.get("fstype") or ""),
        str(entry.get("pttype") or ""),
        str(entry.get("model") or "").strip(),
        str(entry.get("serial") or "").strip(),
        tuple(_disk(child) for child in entry.get("children") or ()),
    )


def parse_blkid(text: str) -> dict[str, str]:
    """`blkid --probe --output export DEVICE`: the signature, key -> value."""
    pairs = [line.partition("=") for line in text.splitlines()]
    return {key: value for key, equals, value in pairs if equals}


def name_refused(name: str, confirmation: str) -> list[str]:
    """Why a name, or its confirmation, is refused."""
    refused = []
    if not _BY_ID.fullmatch(name):
        refused.append("%r is not a name in /dev/disk/by-id" % name)
    elif _PARTITION.search(name):
        refused.append("%s is a partition; use the name of its disk" % name)
    if not confirmation:
        refused.append("not confirmed: repeat the name in dgxspark_disk_confirm")
    elif confirmation != name:
        refused.append("dgxspark_disk_confirm names another disk: %s" % confirmation)
    return refused


def pool_refused(pool: str, ashift: int) -> list[str]:
    """Why zpool would reject the pool, which it does only after the disk is partitioned."""
    refused = []
    if not re.fullmatch(r"[a-z][A-Za-z0-9_.-]*", pool):
        refused.append("expected the name of a pool such as ai, found %r" % pool)
    elif _RESERVED.fullmatch(pool):
        refused.append("ZFS reserves the name %s; use another one" % pool)
    if not 9 <= ashift <= 16:
        refused.append("expected ashift from 9 to 16, found %d" % ashift)
    return refused


def disk_refused(
    disk: Disk,
    signature: Mapping[str, str],
    ambiguous: bool,
    remains: Mapping[str, str],
    pools: Mapping[str, str],
    minimum: int,
) -> list[str]:
    """All reasons not to use the disk; minimum is in bytes.

    signature is that at the beginning of the disk, remains that at FIRST_PARTITION.
    """
    refused = []
    if disk.kind != "disk":
        refused.append(
            "%s is a %s, not a disk" % (disk.path, disk.kind or "device of unknown type")
        )
    if disk.read_only:
        refused.append("%s is read-only" % disk.path)
    if disk.size < minimum:
        refused.append(
            "%s has %.1f GiB, less than the required %.1f"
            % (disk.path, disk.size / (1 << 30), minimum / (1 << 30))
        )
    for part in disk.tree():
        for mount in part.mounts:
            if mount in _BOOT:
                refused.append("the node boots from it: %s is %s" % (part.path, mount))
            else:
                refused.append("%s is in use: %s" % (part.path, mount))
        if part.path in pools:
            refused.append("%s is in the pool %s" % (part.path, pools[part.path]))
        if part.filesystem:
            refused.append("%s has the file system %s" % (part.path, part.filesystem))
    if disk.table:
        refused.append("%s has a partition table (%s)" % (disk.path, disk.table))
    if disk.children:
        names = ", ".join("%s (%s)" % (child.path, child.kind) for child in disk.children)
        refused.append("%s has partitions: %s" % (disk.path, names))
    signature_name = _signature(signature)
    if signature_name and not (disk.filesystem or disk.table):
        refused.append("%s has a signature: %s" % (disk.path, signature_name))
    signature_name = _signature(remains)
    if signature_name and not disk.children:
        message = "%s has the remains of a partition at 1 MiB: %s"
        refused.append(message % (disk.path, signature_name))
    if ambiguous:
        refused.append("%s has several contradictory signatures" % disk.path)
    return refused


def _signature(fields: Mapping[str, str]) -> str:
    return ", ".join(
        "%s %s" % (key, fields[key]) for key in ("TYPE", "PTTYPE", "USAGE") if fields.get(key)
    )


def steps(path: str, pool: str, ashift: int) -> list[str]:
    """The steps for a disk that is not refused, as texts."""
    return [
        "write a GPT with one partition to %s" % path,
        "zpool create -o ashift=%d -O compression=lz4 -O atime=off -O mountpoint=none %s %s-part1"
        % (ashift, pool, path),
    ]
