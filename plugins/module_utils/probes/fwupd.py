# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Which firmware updates wait, by what fwupdmgr has on the node already. Nothing is fetched."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import EXITED, Result, run

# `fwupdmgr get-updates` ends so where there is nothing to do.
_NOTHING = 2


@dataclass(frozen=True)
class Firmware:
    """waiting: (device, its version, the newest version); problem: why that is unknown."""

    waiting: tuple[tuple[str, str, str], ...] = ()
    problem: str = ""


def ask_fwupd(fwupdmgr: str, timeout: float) -> Firmware:
    if not fwupdmgr:
        return Firmware(problem="there is no fwupdmgr")
    asked = ("get-updates", "--json", "--no-metadata-check", "--no-unreported-check")
    return parse_updates(run([fwupdmgr, *asked], timeout))


def parse_updates(result: Result) -> Firmware:
    if result.outcome == EXITED and result.code == _NOTHING:
        return Firmware()
    if not result.ok:
        return Firmware(problem="fwupdmgr: %s" % result.describe())
    try:
        devices = foreign.json_of(result.stdout)["Devices"]
        waiting = [
            (
                str(device["Name"]),
                str(device.get("Version", "")),
                str(device["Releases"][0]["Version"]),
            )
            for device in devices
            if device.get("Releases")
        ]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return Firmware(problem="fwupdmgr: its answer cannot be read")
    return Firmware(tuple(waiting))
