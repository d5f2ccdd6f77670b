# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names out of texts, and back into them: docs/contracts/redaction.md."""
