# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m ansible_collections.dgxspark.suite.plugins.module_utils.recipe list`"""

from __future__ import annotations

from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
