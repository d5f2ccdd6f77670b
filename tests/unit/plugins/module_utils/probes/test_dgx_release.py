# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Release files, as nodes have them."""

from __future__ import annotations

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.dgx_release import (
    DgxRelease,
    assignments,
    parse_dgx_release,
)

FACTORY = """\
DGX_NAME="DGX Spark"
DGX_PRETTY_NAME="NVIDIA DGX Spark"
DGX_SWBUILD_DATE="2025-09-10-13-50-03"
DGX_SWBUILD_VERSION="7.2.3"
DGX_COMMIT_ID="833b4a7"
DGX_PLATFORM="DGX Server for KVM"
DGX_SERIAL_NUMBER="0"
"""
UPDATED = """
DGX_OTA_VERSION="7.3.1"
DGX_OTA_DATE="Tue Nov 25 2025"

DGX_OTA_VERSION="7.5.0"
DGX_OTA_DATE="Thu Jul  9 2026"
"""


def test_a_node_as_it_left_the_factory() -> None:
    assert parse_dgx_release(FACTORY) == DgxRelease("NVIDIA DGX Spark", "7.2.3", "7.2.3", "")


def test_the_last_update_counts() -> None:
    assert parse_dgx_release(FACTORY + UPDATED) == DgxRelease(
        "NVIDIA DGX Spark", "7.5.0", "7.2.3", "Thu Jul  9 2026"
    )


def test_whatever_else_it_may_be() -> None:
    assert parse_dgx_release("\0\ufffd garbage =\n") == DgxRelease("", "", "", "")
    assert assignments("A='it''s'\nB=\"open\nexport C=1 # why\n") == {
        "A": "its",
        "B": "open",
        "C": "1",
    }
