# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes that the documentation of every module of this collection states."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status without modifying the node.
  diff_mode:
    description: Returns what has changed, or in C(check_mode) what would change, when in diff mode.
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second run changes
        nothing.
      - This assumes that nobody else has changed the node in between.
"""

    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: This module does not modify the node.
  diff_mode:
    support: N/A
    details: This module does not modify the node.
  idempotent:
    support: full
    details: This module does not modify the node.
"""

    ACTIONGROUP_DGXSPARK = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/dgxspark.suite.dgxspark) in C(module_defaults) to set defaults for this
      module.
    support: full
    membership:
      - dgxspark.suite.dgxspark
"""
