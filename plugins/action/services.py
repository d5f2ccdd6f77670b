# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares declared services with what runs; see the module of the same name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.exemptions import (
    Exemptions,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.loop import ARGUMENTS
from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import parted
from ansible_collections.dgxspark.suite.plugins.plugin_utils.next_step import refusal
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.slots import slot_for
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.workloads import (
    workloads,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.again import (
    ACTIONS,
    REAPPLY,
    Refused,
    chosen,
    differs,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import (
    Declared,
    declared,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.drift import (
    Service,
    launch_of,
    pending,
    plan_of,
    service,
    undeclared,
)


class ActionModule(ActionBase):
    """Reads what the nodes have returned; no node is contacted."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        specification = {
            "services": {"type": "raw", "default": []},
            "observed": {"type": "dict", "required": True},
            "launched": {"type": "dict", "default": {}},
            "overlays": {"type": "dict", "default": {}},
            "plan_only": {"type": "bool", "default": False},
            "again": {"type": "str", "choices": ["", *ACTIONS], "default": ""},
            "only": {"type": "str", "default": ""},
            "confirm": {"type": "str", "default": ""},
            "skip": ARGUMENTS["skip"],
            "accepted": ARGUMENTS["accepted"],
        }
        _checked, options = self.validate_argument_spec(argument_spec=specification)
        hosts = list(variables["ansible_play_hosts_all"])
        observed: dict[str, Any] = {
            node: seen for node, seen in options["observed"].items() if "containers" in seen
        }
        try:
            exempt = Exemptions.given(options["skip"], options["accepted"])
            # With --limit the play has fewer nodes than the inventory.
            wanted = declared(options["services"], [*hosts, *variables["groups"]["all"]])
            if options["again"]:
                again = self._again(options, wanted, observed, variables)
                return {**result, "changed": False, "pending": again, "undeclared": {}}
            services = [
                self._service(one, observed, hosts, variables, options["overlays"])
                for one in wanted
            ]
        except (AnsibleError, RecipeError, ValueError) as error:
            playbook = error.playbook if isinstance(error, Refused) else ("services", "--check")
            return {**result, "failed": True, "msg": refusal(str(error), *playbook)}
        result.update(
            changed=False, pending=pending(services), undeclared=undeclared(services, observed)
        )
        if options["plan_only"]:
            return result
        node = str(variables["inventory_hostname"])
        launched = {name: parted(why)[0] for name, why in options["launched"].items()}
        plan = exempt.applied(plan_of(services, node, launched))
        return {
            **result,
            "changed": bool(plan.actions) and self._task.check_mode,
            "spec": "services",
            "findings": [asdict(finding) for finding in plan.findings],
        }

    def _again(
        self,
        options: dict[str, Any],
        wanted: list[Declared],
        observed: dict[str, Any],
        variables: dict[str, Any],
    ) -> list[dict[str, Any]]:
        """What is launched again. Raises Refused and AnsibleError."""
        running = [one for one in workloads(observed) if one["state"] != "retained"]
        plans = {one["service"]: one["plan_hash"] for one in running}
        action = options["again"]
        services = chosen(action, options["only"], options["confirm"], wanted, running)
        for one in services if action != REAPPLY else ():
            plan = self._plan(one, observed, list(one.nodes), variables)
            if problem := differs(one.name, plans[one.name], plan):
                raise Refused(
                    problem, "services", "-e", f"again={REAPPLY}", "-e", f"service={one.name}"
                )
        return [launch_of(one) for one in services]

    def _service(
        self,
        one: Declared,
        observed: dict[str, Any],
        hosts: list[str],
        variables: dict[str, Any],
        overlays: dict[str, Any],
    ) -> Service:
        plan, error = None, ""
        if one.recipe and all(node in observed for node in one.nodes or hosts):
            try:
                plan = self._plan(one, observed, list(one.nodes or hosts), variables)
            except (AnsibleError, RecipeError) as problem:
                error = " ".join(parted(str(problem))).rstrip()
        return service(one, plan, error, observed, hosts, overlays)

    def _plan(
        self,
        one: Declared,
        observed: dict[str, Any],
        nodes: list[str],
        variables: dict[str, Any],
    ) -> dict[str, Any]:
        """The plan of a launch of the service as it is declared. Raises AnsibleError."""
        lookup = lookup_loader.get(
            "dgxspark.suite.launch_plan", loader=self._loader, templar=self._templar
        )
        (plan,) = lookup.run(
            [one.recipe],
            variables,
            nodes=nodes,
            overrides=dict(one.overrides),
            image_facts=_image_facts(one.name, observed),
            service=one.name,
            slot=slot_for(observed, one.name),
            **one.launch,
        )
        return dict(plan)


def _image_facts(name: str, observed: dict[str, Any]) -> dict[str, Any]:
    """What the running plan of a service uses of its image, by node: part of its hash."""
    for workload in workloads(observed):
        if workload["service"] == name and workload["state"] != "retained":
            return dict(workload["image_facts"])
    return {}
