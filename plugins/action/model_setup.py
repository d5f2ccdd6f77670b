# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Infers a recipe for a model on the nodes; see the module of the same name."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.dgxspark.suite.plugins.action.model_menu import models_of
from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import (
    again,
    playbook_command,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.menu import Menu, all_recipes
from ansible_collections.dgxspark.suite.plugins.plugin_utils.model_setup import (
    SetupError,
    propose,
    write,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.next_step import refusal
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import BUNDLED


class ActionModule(ActionBase):
    """Works on registered results, and writes on the controller."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _checked, options = self.validate_argument_spec(
            argument_spec={
                "name": {"type": "str", "required": True},
                "dest": {"type": "path", "required": True},
                "confirm": {"type": "str", "default": ""},
                "image": {"type": "str", "default": ""},
                "port": {"type": "int", "default": 8000},
                "quant": {"type": "str", "default": ""},
                "tables": {"type": "dict", "default": {}},
                "recipe_paths": {"type": "list", "elements": "path", "default": []},
            }
        )
        # Without Ansible's own subclasses of str, int and so on, which YAML cannot write.
        options = json.loads(json.dumps(options))
        name, confirmed = options["name"], options["confirm"] == options["name"]
        hosts = variables.get("ansible_play_hosts_all", [])
        known = {node: models_of(variables["hostvars"].get(node, {})) for node in hosts}
        nodes = {
            node: replace(models, models=json.loads(json.dumps(models.models)))
            for node, models in known.items()
            if models is not None
        }
        recipes, _unusable = all_recipes([*options["recipe_paths"], BUNDLED])
        menu = Menu(nodes, recipes, tables=options["tables"])
        folder = os.path.abspath(options["dest"])
        given = {key: options[key] for key in ("image", "port", "quant")}
        writes = confirmed and not self._task.check_mode
        try:
            proposal = propose(menu, name, folder, **given)
            self._display.display("\n" + proposal.shown())
            if writes and proposal.changed:
                write(proposal)
        except SetupError as error:
            return {**result, "failed": True, "msg": refusal(str(error), "models")}
        except OSError as error:
            reason = f"{folder}: {error.strerror or error}"
            return {**result, "failed": True, "msg": refusal(reason, "models")}
        outcome = {
            "path": proposal.path,
            "written": writes and proposal.changed,
            **proposal.inference.to_dict(),
        }
        following = playbook_command("launch", ["-e", f"recipe={proposal.path}", "--check"])
        if proposal.changed and not confirmed:
            self._display.display("\nNot written.")
            words = ["-e", f"model={name}", "-e", f"confirm={name}"]
            following = again(*words[2:]) or playbook_command("model_setup", words)
        changed = confirmed and proposal.changed
        return {**result, "changed": changed, "next": following, **outcome}
