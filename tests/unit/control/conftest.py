# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control is a program of its own: its package is in a role, and imports the collection."""

from __future__ import annotations

import sys
from pathlib import Path

FILES = Path(__file__).resolve().parents[3] / "roles" / "control" / "files"
sys.path[:0] = [str(FILES), str(Path(__file__).parent)]
