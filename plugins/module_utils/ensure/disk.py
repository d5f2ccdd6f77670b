# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Inspect a disk with system tools; probes/disks.py decides whether it may be used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.disks import (
    FIRST_PARTITION,
    LSBLK,
    disk_refused,
    parse_blkid,
    parse_lsblk,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.zfs import (
    parse_devices,
    parse_pools,
)

_SECONDS = 60.0
# Exit statuses of blkid (see its manual): nothing found; ambivalent result.
_NOTHING, _AMBIVALENT = 2, 8


@dataclass(frozen=True)
class Inspection:
    """Every reason not to use the disk; or that the pool is on it already."""

    refused: tuple[str, ...] = ()
    pool_is_there: bool = False


def look(device: str, pool: str, minimum: int, tools: Mapping[str, str]) -> Inspection:
    """Ask lsblk, blkid and zpool; a tool that fails is a reason as well. Changes nothing."""
    if not os.path.exists(device):
        return Inspection(("%s does not exist, see `ls /dev/disk/by-id`" % device,))
    missing = sorted(name for name, path in tools.items() if not path)
    if missing:
        return Inspection(("not installed: %s (util-linux, zfsutils-linux)" % ", ".join(missing),))
    listed = run([tools["zpool"], "list", "-Hp", "-o", "name,health,size,free"], _SECONDS)
    status = run([tools["zpool"], "status", "-LP"], _SECONDS)
    blocks = run(
        [tools["lsblk"], "--json", "--bytes", "--paths", "--output", LSBLK, device], _SECONDS
    )
    for result in (listed, status, blocks):
        if not result.ok:
            return Inspection(("%s fails: %s" % (result.argv[0], result.describe()),))
    disks = parse_lsblk(blocks.stdout)
    if len(disks) != 1:
        return Inspection(("lsblk does not list %s as one device" % device,))
    pools = parse_devices(status.stdout)
    parts = {part.path for part in disks[0].tree()}
    if pool in parse_pools(listed.stdout):
        if any(name == pool for path, name in pools.items() if path in parts):
            return Inspection(pool_is_there=True)
        return Inspection(("the pool %s exists already, on other disks" % pool,))
    signatures, ambiguous = [], False
    for offset in (0, FIRST_PARTITION):
        argv = [tools["blkid"], "--probe", "--offset", str(offset), "--output", "export", device]
        probed = run(argv, _SECONDS)
        if not probed.ok and probed.code not in (_NOTHING, _AMBIVALENT):
            return Inspection(("blkid cannot read %s: %s" % (device, probed.describe()),))
        signatures.append(parse_blkid(probed.stdout))
        ambiguous = ambiguous or probed.code == _AMBIVALENT
    beginning, remains = signatures
    return Inspection(tuple(disk_refused(disks[0], beginning, ambiguous, remains, pools, minimum)))
