# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One address for the model servers of a few nodes: docs/contracts/gateway.md."""
