# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes one task of all that a role would check: see the module of the same name.

What is asked for stands in the roles' tasks and nowhere else. Ansible itself has read them, with
the play, once for all nodes; defaults, variables, tags and conditions mean what they mean there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.playbook.block import Block
from ansible.playbook.task import Task
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import filter_loader
from ansible.template import Templar

ENSURE = "dgxspark.suite.ensure_"
# Whatever these bring in is known only while a play runs.
DYNAMIC = ("ansible.builtin.include_role", "ansible.builtin.include_tasks")

# Ansible imports this before it forks a process for each node. What is loaded now, the collection's
# filters with the one that is named, none of those has to load.
filter_loader.get("dgxspark.suite.fabric_plan")


class ActionModule(ActionBase):
    """Templates on the controller what the role's tasks say, and sends it in one go."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        arguments = dict(self._task.args)
        if arguments.get("role"):
            specs = self._asked_by(str(arguments["role"]), str(variables["inventory_hostname"]))
            arguments["specs"] = [*arguments.get("specs", []), *specs]
        result: dict[str, Any] = self._execute_module(
            module_name="dgxspark.suite.audit", module_args=arguments, task_vars=variables
        )
        # It repeats all options of all specs, which nobody reads and every fork hands on.
        result.pop("invocation", None)
        return result

    def _asked_by(self, role: str, node: str) -> list[dict[str, Any]]:
        """What the role's tasks ask of a node, one entry for each task or item of its loop."""
        play = self._task.get_play()
        manager = play.get_variable_manager()
        host = manager._inventory.get_host(node)
        asked: list[dict[str, Any]] = []
        for task in _tasks(self._blocks(role)):
            action = task.resolved_action or task.action
            if action not in DYNAMIC and not action.startswith(ENSURE):
                continue
            known = manager.get_vars(play=play, host=host, task=task)
            if not task.evaluate_tags(play.only_tags, play.skip_tags, all_vars=known):
                continue
            if action in DYNAMIC:
                raise AnsibleError(
                    f"{role}: the audit cannot see what {action} brings in", obj=task
                )
            spec = action.removeprefix(ENSURE)
            options = self._options(task, known)
            asked += [{"spec": spec, "options": one} for one in options]
        return asked

    def _blocks(self, role: str) -> list[Block]:
        play = self._task.get_play()
        for one in play.get_roles():
            if one.get_name() == role and not one.from_include:
                return list(one.compile(play=play))
        raise AnsibleError(
            f"the audit finds no role {role} in its play, where it has to stand under roles"
        )

    def _options(self, task: Task, known: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The options of each run of the task; none where its condition or loop wants none."""
        templar = Templar(self._loader, variables=dict(known))
        items = [None] if task.loop is None else templar.template(task.loop)
        name = task.loop_control.loop_var if task.loop_control else "item"
        for item in items:
            mine = templar
            if task.loop is not None:
                mine = Templar(self._loader, variables={**known, name: item})
            if all(mine.evaluate_conditional(condition) for condition in task.when):
                yield dict(mine.template(task.args))


def _tasks(blocks: list[Block]) -> Iterator[Task]:
    for block in blocks:
        for one in block.block:
            if isinstance(one, Block):
                yield from _tasks([one])
            else:
                yield one
