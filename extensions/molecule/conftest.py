# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's nodes as testinfra hosts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import testinfra

sys.path.insert(0, str(Path(__file__).parent))

from lab import NODES


@pytest.fixture(scope="session")
def nodes() -> dict[str, Any]:
    """Name -> testinfra host, as root, through the Docker engine, which is faster than SSH."""
    return {name: testinfra.get_host(f"docker://{name}") for name in NODES}
