# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of a node, and the wait for its release."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.serving import memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("readings", "limit", "expected"),
    [
        ([50 * GIB] * 3, 90, (50 * GIB, 1.0, True)),
        ([50 * GIB, 60 * GIB, 90 * GIB, 90 * GIB, 90 * GIB], 90, (90 * GIB, 2.0, True)),
        # Something else takes memory meanwhile.
        ([50 * GIB, 40 * GIB, 30 * GIB], 90, (30 * GIB, 1.0, True)),
        ([step * GIB for step in range(10)], 2, (4 * GIB, 2.0, False)),
    ],
)
def test_the_wait_ends_when_available_memory_stops_rising(
    readings: list[int], limit: float, expected: tuple[int, float, bool]
) -> None:
    following = iter(readings)
    assert memory.await_release(limit, lambda: next(following), lambda _seconds: None) == expected


def test_memory_is_reported_in_bytes() -> None:
    kib = re.search(r"MemTotal: +([0-9]+) kB", Path("/proc/meminfo").read_text("ascii"))
    assert kib
    assert memory.total() == int(kib[1]) * 1024
    assert 0 < memory.available() <= memory.total()


class Meminfo:
    """A node in GiB, with an NVIDIA driver, on which the page cache can be released."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.drop, self.driver = folder / "drop_caches", folder / "nvidia"
        self.driver.mkdir()
        self.drop.touch()
        self.free, self.cache = 30.0, 81.0
        monkeypatch.setattr(memory, "DRIVER", str(self.driver))
        monkeypatch.setattr(memory, "DROP", str(self.drop))
        monkeypatch.setattr(memory.os, "sync", lambda: None)
        monkeypatch.setattr(memory, "_INTERVAL", 0.001)
        monkeypatch.setattr(memory, "memory_bytes", self.read)

    @property
    def is_dropped(self) -> bool:
        return self.drop.is_file() and self.drop.read_text("ascii") == "3\n"

    def read(self, name: str) -> int:
        free = self.free + (self.cache if self.is_dropped else 0)
        gib = {"MemTotal": 121.69, "MemFree": free, "MemAvailable": self.free + 81.0}[name]
        return int(gib * GIB)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Meminfo:
    return Meminfo(tmp_path, monkeypatch)


@pytest.mark.parametrize("claim", ["gib:100", "share:0.85"])
def test_the_page_cache_is_released_for_what_would_not_fit_beside_it(
    node: Meminfo, claim: str
) -> None:
    assert memory.make_room(claim, 90) == ""
    assert node.is_dropped


@pytest.mark.parametrize("claim", ["gib:100", "share:0.85"])
def test_too_little_is_refused_with_both_figures(node: Meminfo, claim: str) -> None:
    """The page cache that cannot be dropped, such as that of a file in memory."""
    node.cache = 0.0
    wanted = "100.0" if claim.startswith("gib") else "103.4"
    assert memory.make_room(claim, 90) == (
        f"{wanted} GiB of memory are claimed, 30.0 GiB are free (111.0 GiB with the page cache)"
    )


def test_an_estimate_may_be_off_by_a_tenth(node: Meminfo) -> None:
    node.cache = 65.0
    assert memory.make_room("gib:100", 90) == ""
    assert memory.make_room("gib:110", 90) != ""
    assert memory.make_room("share:0.8", 90) != ""


@pytest.mark.parametrize("claim", ["", "gib:29", "share:0.2", "share:x"])
def test_nothing_is_dropped_for_what_fits_or_is_not_known(node: Meminfo, claim: str) -> None:
    assert memory.make_room(claim, 90) == ""
    assert not node.is_dropped


def test_without_a_gpu_the_page_cache_is_no_obstacle(node: Meminfo) -> None:
    node.driver.rmdir()
    assert memory.make_room("gib:100", 90) == ""
    assert not node.is_dropped


def test_why_the_page_cache_is_not_released_is_said(node: Meminfo) -> None:
    node.drop.unlink()
    node.drop.mkdir()
    node.cache = 0.0
    said = memory.make_room("gib:100", 90)
    assert "30.0 GiB are free (111.0 GiB with the page cache, which is not released: [Err" in said
