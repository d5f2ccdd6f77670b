# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/proc of a GB10, as it was reported, and of others."""

from __future__ import annotations

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.kernel import (
    Swap,
    fstab_swaps,
    handover_holds_memory,
    handover_is_default,
    handover_is_off,
    parse_swaps,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.meminfo import parse_meminfo

TRAPPED = "MemTotal: 127535104 kB\nCmaTotal: 0 kB\nCmaFree: 9961472 kB\nHugePages_Total:   3\nodd\n"


@pytest.mark.parametrize(
    ("text", "held"),
    [
        (TRAPPED, 9961472),
        ("CmaTotal: 32768 kB\nCmaFree: 9961472 kB\n", 9928704),
        ("CmaTotal: 32768 kB\nCmaFree: 31000 kB\n", 0),
        ("CmaTotal: 9961472 kB\nCmaFree: 9961472 kB\n", 0),
        ("", 0),
    ],
)
def test_memory_that_is_free_and_was_never_counted_is_the_handovers(text: str, held: int) -> None:
    assert handover_holds_memory(parse_meminfo(text)) == held


@pytest.mark.parametrize(
    ("release", "default"),
    [("7.0.0-1019-nvidia", True), ("7.0.01", False), ("6.17.0-1032-nvidia", False), ("", False)],
)
def test_kernels_that_hand_over_by_default(release: str, default: bool) -> None:
    assert handover_is_default(release) is default


@pytest.mark.parametrize(
    ("line", "off"),
    [
        ("ro quiet kho=off", True),
        ("kho=off kho=on", False),
        ("kho=on kho=off", True),
        ("ro quiet", False),
        ("nokho=off xkho=off", False),
    ],
)
def test_the_last_word_on_the_command_line_counts(line: str, off: bool) -> None:
    assert handover_is_off(line) is off


def test_swap_areas() -> None:
    text = (
        "Filename\tType\tSize\tUsed\tPriority\n"
        "/swap.img  file  16777212  0  -2\n/my\\040disk partition 8 0 -3\nbroken line\n"
    )
    assert parse_swaps(text) == (
        Swap("/swap.img", "file", 16777212),
        Swap("/my disk", "partition", 8),
    )
    assert parse_swaps("") == ()


def test_what_an_fstab_brings_up_at_boot() -> None:
    text = (
        "# /old none swap sw 0 0\nUUID=1 / ext4 defaults 0 1\n/swap.img none swap sw 0 0\n"
        "/late none swap noauto,sw 0 0\n/swapdir /swap ext4 defaults 0 2\n\n"
    )
    assert fstab_swaps(text) == [(3, "/swap.img none swap sw 0 0")]
