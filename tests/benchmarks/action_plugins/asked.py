# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit would ask of a node, into a file: for who asks the same without Ansible."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.dgxspark.suite.plugins.action.audit import ActionModule as Audit


class ActionModule(Audit):
    """Asks nobody."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        variables = task_vars or {}
        node = str(variables["inventory_hostname"])
        told = {
            **{
                name: str(self._templar.template(variables[f"ansible_{name}"]))
                for name in ("host", "user", "ssh_common_args")
            },
            "specs": self._specs(str(self._task.args["role"]), node)[0],
        }
        path = Path(str(self._task.args["folder"]), f"{node}.json")
        path.write_text(json.dumps(told), encoding="utf-8")
        return {"changed": False}
