# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts the copy or pull of an image, prints its progress, and returns how it ended."""

from __future__ import annotations

from typing import Any

from ansible_collections.dgxspark.suite.plugins.plugin_utils.follow import FollowAction

# The module's own default, in seconds.
SECONDS = 14400


class ActionModule(FollowAction):
    """See the module of the same name."""

    module = "image_receive"
    key = "job"
    what = "transfer"
    after_loss = "goes on until its time limit; run again when the node is back"
    # Docker packs an image into an archive that is larger than what it says the image takes.
    estimated = True

    def asking(self, begun: dict[str, Any]) -> dict[str, Any]:
        return {**self._task.args, **super().asking(begun)}

    def patience(self) -> float:
        # A node that unpacks may be too busy for SSH; the transfer has a time limit of its own.
        return float(self._task.args.get("seconds") or SECONDS)
