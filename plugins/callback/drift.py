# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drift report at the end of a run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: drift
type: aggregate
short_description: Sum up, node by node, what is not as it should be
version_added: 0.1.0
description:
  - Collects the findings of all ensure modules and prints them at the end of the run, a table of node and spec first,
    then every finding that is not V(ok) with what was expected, what was found, and what is done about it.
  - A spec whose task was skipped is C(not assessed), and a node that could not be reached is C(unreachable); neither
    is ever counted as V(ok).
  - A run without ensure modules prints nothing.
author:
  - dgxspark.suite contributors (@dgxspark)
requirements:
  - enabled in C(ansible.cfg) with C(callbacks_enabled = dgxspark.suite.drift)
"""

import textwrap
from typing import Any

from ansible.plugins.callback import CallbackBase

# The worst first: a spec with several findings shows the first of these that occurs.
ORDER = (
    "unreachable",
    "failed",
    "blocked",
    "drift",
    "not assessed",
    "fixed",
    "accepted",
    "skipped",
    "ok",
)
COLOURS = {
    "unreachable": "bright red",
    "failed": "red",
    "blocked": "red",
    "drift": "yellow",
    "not assessed": "bright yellow",
    "fixed": "green",
    "accepted": "cyan",
    "skipped": "cyan",
    "ok": "green",
}
ENSURE = "dgxspark.suite.ensure_"


class CallbackModule(CallbackBase):
    """Gathers results as they come; prints when the run ends."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "dgxspark.suite.drift"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.status: dict[tuple[str, str], str] = {}  # (node, spec) -> the worst seen
        self.findings: list[tuple[str, str, dict[str, Any]]] = []
        self.unreachable: dict[str, str] = {}

    def v2_runner_on_ok(self, result: Any) -> None:
        self._take(result, "not assessed")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._take(result, "failed")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._take(result, "not assessed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self.unreachable[result.host.get_name()] = str(result.result.get("msg", ""))

    def _take(self, result: Any, without_findings: str) -> None:
        """Note what one task said; without_findings is what it means that an ensure task has none."""
        action = result.task.resolved_action or result.task.action
        if not action.startswith(ENSURE):
            return
        node = result.host.get_name()
        for outcome in result.result.get("results", [result.result]):
            spec = outcome.get("spec", action.removeprefix(ENSURE))
            found = outcome.get("findings", [])
            for finding in found:
                self._note(node, spec, finding["status"])
                self.findings.append((node, spec, finding))
            if not found:
                self._note(node, spec, without_findings)

    def _note(self, node: str, spec: str, status: str) -> None:
        worst = min(self.status.get((node, spec), "ok"), status, key=ORDER.index)
        self.status[node, spec] = worst

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if not self.status:
            return
        nodes = sorted({node for node, _spec in self.status} | set(self.unreachable))
        specs = sorted({spec for _node, spec in self.status})
        self._display.banner("DRIFT REPORT")
        width = max(len(word) for word in (*nodes, "node")) + 2
        columns = [max(len(spec), len("not assessed")) + 2 for spec in specs]
        self._display.display(
            "node".ljust(width)
            + "".join(spec.ljust(column) for spec, column in zip(specs, columns, strict=True))
        )
        for node in nodes:
            row = [self._cell(node, spec) for spec in specs]
            cells = "".join(cell.ljust(column) for cell, column in zip(row, columns, strict=True))
            self._display.display(
                node.ljust(width) + cells, color=COLOURS[min(row, key=ORDER.index)]
            )
        for node, spec, finding in sorted(self.findings, key=lambda entry: entry[:2]):
            if finding["status"] != "ok":
                self._display.display(
                    self._paragraph(node, spec, finding), color=COLOURS[finding["status"]]
                )
        for node, reason in sorted(self.unreachable.items()):
            self._display.display(f"\n{node}: unreachable: {reason}", color=COLOURS["unreachable"])
        self._display.display(
            "\n" + self._summary(), color=COLOURS[min(self.status.values(), key=ORDER.index)]
        )

    def _cell(self, node: str, spec: str) -> str:
        return (
            "unreachable"
            if node in self.unreachable
            else self.status.get((node, spec), "not assessed")
        )

    @staticmethod
    def _paragraph(node: str, spec: str, finding: dict[str, Any]) -> str:
        head = f"\n{node}: {spec}: {finding['check']}: {finding['status']} ({finding['severity']})"
        body = [
            textwrap.fill(
                f"{name + ':':<10}{finding[name]}",
                width=116,
                initial_indent="  ",
                subsequent_indent=" " * 12,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for name in ("expected", "actual", "fix", "hint")
            if finding.get(name)
        ]
        return "\n".join([head, *body])

    def _summary(self) -> str:
        counts = {status: 0 for status in ORDER}
        for _node, _spec, finding in self.findings:
            counts[finding["status"]] += 1
        counts["unreachable"] = len(self.unreachable)
        counts["not assessed"] = sum(status == "not assessed" for status in self.status.values())
        return "Checks: " + ", ".join(
            f"{count} {status}" for status, count in counts.items() if count
        )
