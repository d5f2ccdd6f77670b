# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits, as pam_limits reads them."""

from __future__ import annotations

import math

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.limits import (
    Limit,
    effective,
    parse_value,
)

MAIN = "# * soft nofile 1\n*  hard  nofile  4096\nroot - nofile 9\n@docker - memlock 64\n"
SPARK = "* soft memlock unlimited\n* hard memlock infinity # for RDMA\n* - nofile\n* - nofile x\n"


def test_the_last_line_for_everybody_counts() -> None:
    files = [("limits.conf", MAIN), ("a.conf", "* - nofile 65536\n"), ("b.conf", SPARK)]
    nofile = Limit(65536, "a.conf")
    assert effective(files, "nofile") == {"soft": nofile, "hard": nofile}
    assert effective(files[:1], "nofile") == {"hard": Limit(4096, "limits.conf")}
    assert effective(files, "memlock")["hard"].value == math.inf


@pytest.mark.parametrize("text", ["many", "-2", ""])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|expected unlimited"):
        parse_value(text)
