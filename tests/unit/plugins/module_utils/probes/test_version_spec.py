# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wanted versions."""

from __future__ import annotations

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.version_spec import VersionSpec


@pytest.mark.parametrize(
    ("spec", "version", "matches"),
    [
        ("", "13.0.88", True),
        ("", "", True),
        ("13.0", "", False),
        ("13.0", "13.0.88", True),
        ("13.0", "13.0", True),
        ("13.0.0", "13.0", True),
        ("13.0", "13.1", False),
        ("13", "13.1.80", True),
        ("1", "13", False),
        ("==13.0", "13.0.88", True),
        ("!=13.0", "13.0.88", False),
        ("!=13.0", "13.1", True),
        (">=13.0", "12.9.86", False),
        (">=13.0", "13.0", True),
        (">=13.0.1", "13", False),
        (">=12.9,<14", "13.0.88", True),
        (">=12.9,<14", "14.0", False),
        (" >= 12.9 , < 14 ", "13", True),
        ("<=13.0", "13.0.88", True),
        ("<=13.0", "13.1", False),
        (">13.0", "13.0.88", False),
        (">13.0", "13.1", True),
        (">=580,<590", "580.159.03", True),
        (">=580,<590", "590.44", False),
        (">=6.17,<7", "6.17.0-1032-nvidia", True),
        (">=6.17,<7", "7.0.0-1019-nvidia", False),
        (">=6.17.0-1014", "6.17.0-1008-nvidia", False),
        ("10", "9.9", False),
        (">=10", "9.9", False),
    ],
)
def test_a_version_is_one_of_the_wanted_or_is_not(spec: str, version: str, matches: bool) -> None:
    assert VersionSpec.parse(spec).matches(version) is matches


@pytest.mark.parametrize("text", ["latest", ">=", ">=13,,<14", "~=13", "13 14", ">=13;rm"])
def test_what_is_no_wanted_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected versions as"):
        VersionSpec.parse(text)
