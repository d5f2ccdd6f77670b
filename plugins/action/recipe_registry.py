# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetches a registry into the controller's cache; documented by the module of the same name."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.registries import (
    DEFAULT_CACHE,
    fetch,
    pinned_commit,
    place_of,
    registries_of,
)

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str", "required": True},
    "ref": {"type": "str", "default": ""},
    "commit": {"type": "str", "default": ""},
    "folder": {"type": "str", "default": ""},
    "trusted": {"type": "bool", "default": False},
    "cache": {"type": "path", "default": DEFAULT_CACHE},
}


class ActionModule(ActionBase):
    """Works on the controller alone, whichever host the task is for."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _checked, options = self.validate_argument_spec(argument_spec=ARGUMENTS)
        cache = options.pop("cache")
        try:
            (registry,) = registries_of([options])
            if self._task.check_mode:
                # Only the network knows a branch's newest commit; check mode reports what is here.
                fetched = os.path.isdir(place_of(registry, cache).root)
                return {
                    **result,
                    "changed": not fetched,
                    "commit": pinned_commit(registry, cache),
                }
            commit, changed = fetch(registry, cache)
        except RecipeError as error:
            return {**result, "failed": True, "msg": str(error)}
        return {**result, "changed": changed, "commit": commit}
