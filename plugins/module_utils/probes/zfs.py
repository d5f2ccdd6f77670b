# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Parsers for the script output of `zpool` and `zfs` (-H: tabs, -p: plain numbers)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

# Can only be set when a dataset is created.
FIXED_PROPERTIES = (
    "casesensitivity",
    "encryption",
    "keyformat",
    "normalization",
    "utf8only",
    "volblocksize",
)

# Two names of one value, and the number that zfs get -p gives for a limit that is none.
_SAME = {
    "-": "0",
    "18446744073709551615": "0",
    "dir": "on",
    "gzip-6": "gzip",
    "noacl": "off",
    "none": "0",
    "posixacl": "posix",
}
_SIZE = re.compile(r"(\d{1,25}(?:\.\d{1,25})?)([KMGTPE]?)(?:I?B)?", re.IGNORECASE | re.ASCII)
_FACTORS = {letter: 1024**power for power, letter in enumerate("KMGTPE", start=1)}


@dataclass(frozen=True)
class Pool:
    """A pool; sizes in bytes. health is ONLINE if it is healthy."""

    name: str
    health: str
    size: int
    free: int


def parse_pools(text: str) -> dict[str, Pool]:
    """`zpool list -Hp -o name,health,size,free`, by name."""
    pools = {}
    for line in text.splitlines():
        words = line.split("\t")
        if len(words) == 4 and foreign.is_whole(words[2]) and foreign.is_whole(words[3]):
            pools[words[0]] = Pool(words[0], words[1], int(words[2]), int(words[3]))
    return pools


def parse_properties(text: str) -> dict[str, dict[str, str]]:
    """Dataset -> property -> value, of `zfs get -Hp -o name,property,value PROPERTIES DATASETS`."""
    datasets: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        words = line.split("\t")
        if len(words) == 3:
            datasets.setdefault(words[0], {})[words[1]] = words[2]
    return datasets


def parse_devices(text: str) -> dict[str, str]:
    """Path of a device -> name of its pool, of `zpool status -LP`."""
    devices, pool = {}, ""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == "pool:":
            pool = words[1]
        elif pool and words and words[0].startswith("/"):
            devices[words[0]] = pool
    return devices


def comparable(value: str) -> str:
    """A value for comparison: sizes in bytes (1M, 500G), aliases as one name, none as 0."""
    if value in _SAME:
        return _SAME[value]
    if value.startswith("/"):
        return value.rstrip("/") or value
    match = _SIZE.fullmatch(value)
    if not match:
        return value
    return str(int(float(match[1]) * _FACTORS.get(match[2].upper(), 1)))


def differing(current: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """The wanted properties that differ, with their wanted values."""
    return {
        name: value
        for name, value in wanted.items()
        if comparable(current.get(name, "")) != comparable(value)
    }
