# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The redaction is a program of its own: its package is in the folder of its image."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "recipes/services/redaction/files/opt/redaction"
sys.path[:0] = [str(FILES)]
