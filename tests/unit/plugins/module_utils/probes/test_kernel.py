# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/proc of a GB10, as it was reported, and of others."""

from __future__ import annotations

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.kernel import (
    Swap,
    boots_without_handover,
    fstab_swaps,
    handover_by_default,
    handover_memory,
    handover_on_command_line,
    parse_swaps,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.meminfo import parse_meminfo

TRAPPED = "MemTotal: 127535104 kB\nCmaTotal: 0 kB\nCmaFree: 9961472 kB\nHugePages_Total:   3\nodd\n"


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        (TRAPPED, 9961472),
        ("CmaTotal: 32768 kB\nCmaFree: 9961472 kB\n", 9928704),
        # A real pair of nodes whose NCCL fails at every start.
        ("CmaTotal: 0 kB\nCmaFree: 940604 kB\n", 940604),
        ("CmaTotal: 32768 kB\nCmaFree: 30000 kB\n", 0),
        ("CmaFree: many kB\n", 0),
        ("", 0),
    ],
)
def test_free_memory_that_was_never_counted_is_the_handovers(text: str, visible: int) -> None:
    assert handover_memory(parse_meminfo(text)) == visible


@pytest.mark.parametrize(
    ("release", "build", "default"),
    [
        ("7.0.0-1019-nvidia", None, True),
        ("7.0.0-1019-nvidia", "CONFIG_KEXEC_HANDOVER=y\n", False),
        ("7.0.0-1030-nvidia", "CONFIG_A=y\nCONFIG_KEXEC_HANDOVER_ENABLE_DEFAULT=y\n", True),
        ("7.0.0-1030-nvidia", "# CONFIG_KEXEC_HANDOVER_ENABLE_DEFAULT=y\nCONFIG_A=y\n", False),
        ("7.0.0-1030-nvidia", None, None),
        ("7.0.0-1030-nvidia", "", None),
        ("10.1-x", None, None),
        ("6.17.0-1032-nvidia", None, False),
        ("\u00b2.1", None, None),
        ("", None, None),
    ],
)
def test_kernels_with_handover_by_default(
    release: str, build: str | None, default: bool | None
) -> None:
    assert handover_by_default(release, build) is default


@pytest.mark.parametrize(
    ("line", "on"),
    [
        ("ro quiet kho=off", False),
        ("kho=off kho=on", True),
        ("kho=on kho=off", False),
        ("ro quiet", None),
        ("nokho=off xkho=off", None),
    ],
)
def test_the_last_word_on_the_command_line_counts(line: str, on: bool | None) -> None:
    assert handover_on_command_line(line) is on


@pytest.mark.parametrize(
    ("grub", "off"),
    [
        ("menuentry x {\n\tlinux\t/vmlinuz ro kho=off\n}\nlinux /vmlinuz kho=off\n", True),
        ("linux /vmlinuz ro kho=off\nlinux /vmlinuz ro\n", False),
        ("# kho=off\nlinux /vmlinuz ro\n", False),
        ("kho=off\n", False),
        ("", False),
    ],
)
def test_every_entry_of_the_boot_loader_turns_it_off(grub: str, off: bool) -> None:
    assert boots_without_handover(grub) is off


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
