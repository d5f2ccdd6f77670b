# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that leads on from the health of nodes and services.

Apart from health.py, which programs without Ansible import as well.
"""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import playbook_command
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.health import Row
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.outages import (
    DOWN,
    NODE,
    OFF,
    SERVICE,
    UP,
)


def health_command(rows: t.Sequence[Row], deep: bool) -> str:
    """One line for a shell, from what answers.

    deep: servers were sent the request of their kind.
    """
    down = [row for row in rows if row.state == DOWN]
    lost = [row.name for row in rows if row.what == NODE and row.state != UP]
    if lost:
        return playbook_command("site", ["--check", "--limit", ",".join(lost)])
    for row in down:
        if row.kind == ("bot",):
            return playbook_command("bot", ["-e", f"service={row.name}", "-e", "do=restart"])
        if not row.watched:
            return playbook_command("logs", ["-e", f"service={row.name}"])
    if any(row.state == OFF for row in rows):
        return playbook_command("services", ["--check"])
    if not any(row.what == SERVICE for row in rows):
        return playbook_command("recipes")
    if down or deep:
        return playbook_command("status")
    return playbook_command("health", ["-e", "deep=true"])
