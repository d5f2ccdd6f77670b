# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a copy onto the node, prints its progress, and returns how it ended."""

from __future__ import annotations

from ansible_collections.dgxspark.suite.plugins.plugin_utils.follow import FollowAction


class ActionModule(FollowAction):
    """See the module of the same name."""

    module = "model_receive"
    what = "copy"
