# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels by which this collection knows its own containers; it touches no others."""

from __future__ import annotations

LABEL = "dgxspark.suite/"
OWNER = "dgxspark.suite"
