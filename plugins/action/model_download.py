# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a download on the node, prints its progress, and returns how it ended."""

from __future__ import annotations

from typing import Any

from ansible_collections.dgxspark.suite.plugins.plugin_utils.follow import FollowAction


class ActionModule(FollowAction):
    """See the module of the same name."""

    module = "model_download"
    what = "download"

    def asking(self, begun: dict[str, Any]) -> dict[str, Any]:
        given = {name: self._task.args.get(name) for name in ("name", "hf_home")}
        known = {name: value for name, value in given.items() if value is not None}
        return {**super().asking(begun), **known, "revision": begun["revision"]}
