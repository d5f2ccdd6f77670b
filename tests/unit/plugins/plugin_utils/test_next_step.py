# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command at the end of a drift report, for each state of the nodes."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.fabric import NO_PLAN
from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import login_command
from ansible_collections.dgxspark.suite.plugins.plugin_utils.next_step import next_command
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.documents import (
    Report,
    ReportEntry,
)

SITE = "ansible-playbook dgxspark.suite.site"


def report(*statuses: str, playbook: str = "site.yml", **more: Any) -> Report:
    """spark1 with a spec of each status, in check mode."""
    entries = [ReportEntry("spark1", f"s_{s}", f"c_{s}", s) for s in statuses]
    cells = {(entry.node, entry.spec): entry.status for entry in entries}
    specs = [entry.spec for entry in entries]
    return Report(
        ["spark1"], specs, cells, entries, **{"check_mode": True, "playbook": playbook, **more}
    )


def fabric(*nodes: str, actual: str = NO_PLAN) -> Report:
    entries = [ReportEntry(n, "fabric", "fabric_netplan", "skipped", actual=actual) for n in nodes]
    cells = {(node, "fabric"): "skipped" for node in nodes}
    return Report(nodes, ["fabric"], cells, entries, playbook="audit.yml", check_mode=True)


STATES = {
    "in order": (report("ok", "skipped", "accepted"), "ansible-playbook dgxspark.suite.status"),
    "drift": (report("ok", "drift"), SITE),
    "drift, and something blocked": (report("drift", "blocked"), SITE),
    "blocked only": (report("ok", "blocked"), f"{SITE} --check"),
    "no answer of this collection": (report("failed"), f"{SITE} --check"),
    "repaired": (
        report("fixed", check_mode=False),
        "ansible-playbook dgxspark.suite.status",
    ),
    "drift that a run has left": (report("drift", check_mode=False), f"{SITE} --check"),
    "unreachable": (report("drift", unreachable={"spark1": "no route"}), "ssh 192.0.2.1"),
    "one node without a fabric": (fabric("spark1"), "ansible-playbook dgxspark.suite.status"),
    "nodes without a fabric": (
        fabric("spark1", "spark2"),
        "ansible-playbook dgxspark.suite.discover",
    ),
    "nodes that need no fabric": (
        fabric("spark1", "spark2", actual="not applicable: Alice has no cable"),
        "ansible-playbook dgxspark.suite.status",
    ),
    "another playbook": (report("drift", playbook="fabric_test.yml"), ""),
}


@pytest.mark.parametrize(("given", "command"), STATES.values(), ids=STATES)
def test_each_state_has_its_command(given: Report, command: str) -> None:
    assert next_command(given, {"spark1": "ssh 192.0.2.1"}, {}) == command


def test_an_unreachable_node_without_ssh_is_checked_again() -> None:
    given = report("ok", unreachable={"spark1": "gone"})
    given.cells["spark1", "s_ok"] = "unreachable"  # type: ignore[index]
    assert next_command(given, {}, {}) == f"{SITE} --check"


def test_the_choice_of_nodes_and_specs_is_repeated() -> None:
    options = {"subset": "spark1", "tags": ["ptxas", "fast"], "skip_tags": ["kernel"]}
    line = next_command(report("drift"), {}, options)
    assert line == f"{SITE} --limit spark1 --tags ptxas --skip-tags kernel"
    assert next_command(report("drift"), {}, {"tags": ["all"]}) == SITE
    assert next_command(report("ok"), {}, options) == "ansible-playbook dgxspark.suite.status"


def test_a_login_is_what_ansible_uses() -> None:
    given = {"ansible_host": "192.0.2.1", "ansible_port": 2222, "ansible_user": "alice"}
    key = {"ansible_ssh_private_key_file": "my key"}
    line = login_command("spark1", {**given, **key}, {"remote_user": "bob"})
    assert line == "ssh -p 2222 -i 'my key' alice@192.0.2.1"
    assert login_command("spark1", {}, {"remote_user": "bob"}) == "ssh bob@spark1"
    assert login_command("spark1", {"ansible_connection": "local"}, {}) == ""
