# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""/proc/meminfo."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.meminfo import (
    memory_bytes,
    parse_meminfo,
)

TEXT = "MemTotal:  125513944 kB\nMemAvailable:   119000000 kB\nHugePages_Total:       3\n"


def test_values_are_in_kib_and_counts_are_plain() -> None:
    assert parse_meminfo(TEXT) == {
        "MemTotal": 125513944,
        "MemAvailable": 119000000,
        "HugePages_Total": 3,
    }


def test_lines_without_a_number_are_ignored() -> None:
    assert parse_meminfo("\x00garbage\nMemTotal:\nMemFree: much kB\n") == {}


@pytest.mark.parametrize(
    ("text", "size"), [(TEXT, 125513944 * 1024), ("MemTotal:\n", 0), ("", 0), (None, 0)]
)
def test_a_line_is_read_in_bytes(tmp_path: Path, text: str | None, size: int) -> None:
    path = tmp_path / "meminfo"
    if text is not None:
        path.write_text(text)
    assert memory_bytes("MemTotal", str(path)) == size
