# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts together what the nodes have reported; see the module of the same name."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services import health, outages_file
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import declared
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.following import (
    health_command,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.outages import (
    Observation,
    Outage,
    outages,
    reduce,
)


class ActionModule(ActionBase):
    """Reads what the nodes have returned, and writes the log of outages; no node is contacted."""

    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        specification = {
            "services": {"type": "raw", "default": []},
            "observed": {"type": "dict", "required": True},
            "deep": {"type": "bool", "default": False},
            "outages": {"type": "path", "default": ""},
        }
        _checked, options = self.validate_argument_spec(argument_spec=specification)
        hosts = [str(host) for host in variables["ansible_play_hosts_all"]]
        observed, now = options["observed"], int(time.time())
        try:
            services = declared(options["services"], variables["groups"]["all"])
            rows = health.rows(services, observed, hosts)
            log = self._log(options["outages"], health.observations(rows, now), now)
        except (RecipeError, ValueError, OSError) as error:
            return {**result, "failed": True, "msg": str(error)}
        present = health.containers(observed)
        return {
            **result,
            "changed": False,
            "report": {
                "at": now,
                "deep": options["deep"],
                "subjects": [{"subject": row.subject, **asdict(row)} for row in rows],
                "containers": present,
                "outages": {subject: asdict(one) for subject, one in log.items()},
            },
            "table": health.table(rows, present, log),
            "failing": health.failing(rows),
            "next": health_command(rows, options["deep"]),
        }

    def _log(self, path: str, observations: list[Observation], now: int) -> dict[str, Outage]:
        """The outages of the log with these observations. Raises OSError."""
        if not path:
            return {}
        if self._task.check_mode:
            state, lines = outages_file.read(path)
            state, more = reduce(state, observations)
            return outages([*lines, *more], state, now)
        state, lines = outages_file.observe(path, observations)
        return outages(lines, state, now)
