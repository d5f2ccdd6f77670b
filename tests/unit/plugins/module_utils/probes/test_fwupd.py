# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fwupdmgr tells, on answers in its documented form: no firmware was at hand."""

from __future__ import annotations

import json

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import EXITED, Result
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.fwupd import (
    Firmware,
    ask_fwupd,
    parse_updates,
)

DEVICES = {
    "Devices": [
        {"Name": "UEFI", "Version": "1.0", "Releases": [{"Version": "1.2"}, {"Version": "1.1"}]},
        {"Name": "SSD", "Version": "7"},
    ]
}


def answer(code: int, stdout: str = "", stderr: str = "") -> Result:
    return Result(("fwupdmgr",), EXITED, code, "", stdout, stderr)


def test_the_newest_release_of_each_device_is_told() -> None:
    assert parse_updates(answer(0, json.dumps(DEVICES))).waiting == (("UEFI", "1.0", "1.2"),)


def test_nothing_to_do_is_no_problem() -> None:
    assert parse_updates(answer(2, "", "No updates available")) == Firmware()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Devices": 3}', '{"Devices": [3]}'])
def test_what_cannot_be_read_is_told(text: str) -> None:
    assert parse_updates(answer(0, text)).problem == "fwupdmgr: its answer cannot be read"


def test_without_the_program_nothing_is_known() -> None:
    assert ask_fwupd("", 1).problem == "there is no fwupdmgr"
    assert parse_updates(answer(1, "", "no daemon")).problem == (
        "fwupdmgr: exit status 1: no daemon"
    )
