# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drift report at the end of a run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: drift
type: aggregate
short_description: Report configuration drift, node by node
version_added: 0.1.0
description:
  - Collects the findings of all ensure modules and prints them at the end of the run, first a table
    of nodes and specs, then every finding that is not V(ok) with the expected state, the actual
    state and the repair.
  - A spec whose task was skipped is C(not assessed), and a node that could not be reached is
    C(unreachable); neither counts as V(ok).
  - Findings of M(dgxspark.suite.audit) are reported like those of the ensure modules.
  - A run without findings prints nothing.
  - With a directory for reports it also writes C(drift.json), C(drift.xml) for JUnit and
    C(drift.html), one self-contained page. They have the same content in a stable
    order, so that two reports can be compared.
  - Warns of variables of the inventory and of C(-e) that begin with C(dgxspark_) and that nothing
    reads, with the nearest name that exists.
author:
  - dgxspark.suite contributors (@dgxspark)
options:
  report_dir:
    description:
      - The directory for reports. It is created if needed. If not set, no reports are written.
      - The variable C(dgxspark_report_dir), from the inventory or by C(-e), takes precedence.
    type: path
    env:
      - name: DGXSPARK_REPORT_DIR
    ini:
      - section: callback_drift
        key: report_dir
requirements:
  - enabled in C(ansible.cfg) with C(callbacks_enabled = dgxspark.suite.drift)
"""

import os
import textwrap
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.callback import CallbackBase
from ansible.template import Templar

from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.documents import (
    ORDER,
    Report,
    ReportEntry,
    natural,
    write,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.variable_names import (
    given,
    warnings,
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
# Shown in one line, since no action is needed.
BRIEF = ("accepted", "skipped")
OURS = "dgxspark.suite."
ENSURE = f"{OURS}ensure_"
AUDIT = f"{OURS}audit"
# A variable of a task: report its findings in `check` mode only, only if it `ran`, or `never`.
REPORTED_IN = "dgxspark_report_in"


def _worst(statuses: Sequence[str]) -> str:
    return min(statuses, key=ORDER.index)


class CallbackModule(CallbackBase):
    """Gathers results as they come; prints when the run ends."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "dgxspark.suite.drift"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.status: dict[tuple[str, str], str] = {}  # (node, spec) -> the worst
        self.findings: list[tuple[str, str, dict[str, Any]]] = []
        self.unreachable: dict[str, str] = {}
        self.audited: set[str] = set()  # nodes whose audit has ended
        self.messages: dict[tuple[str, str], str] = {}  # of specs that failed without findings
        self.playbook = ""
        self.check_mode = False
        self.folder = ""
        self.checked_names = False

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self.playbook = os.path.basename(playbook._file_name)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self.check_mode = bool(play.check_mode)
        self.folder = self.folder or self._report_dir(play)
        if not self.checked_names:
            self.checked_names = True
            for warning in warnings(given(play)):
                self._display.warning(warning)

    def _report_dir(self, play: Any) -> str:
        """The directory by the variables of the play's first host, or else by the option."""
        variables = play.get_variable_manager()
        hosts = variables._inventory.get_hosts(play.hosts)
        known = variables.get_vars(play=play, host=hosts[0] if hosts else None)
        folder = known.get("dgxspark_report_dir") or self.get_option("report_dir") or ""
        try:
            folder = Templar(play.get_loader(), variables=known).template(folder)
        except AnsibleError as error:
            self._display.warning(f"dgxspark_report_dir: {error}")
            return ""
        return os.path.abspath(os.path.expanduser(str(folder))) if folder else ""

    def v2_runner_on_ok(self, result: Any) -> None:
        self._take(result, "not assessed")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._take(result, "failed")

    def v2_runner_on_skipped(self, result: Any) -> None:
        if result.task.vars.get(REPORTED_IN) != "ran":
            self._take(result, "not assessed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        # The message of a complete loop, "All items completed", is no reason.
        outcomes = self._outcomes(result)
        lost = next((outcome for outcome in outcomes if outcome.get("unreachable")), result.result)
        self.unreachable[result.host.get_name()] = str(lost.get("msg", ""))
        self._take(result, "unreachable")

    @staticmethod
    def _outcomes(result: Any) -> list[dict[str, Any]]:
        """One for each item of a loop; the result itself without a loop, or with an empty one."""
        return result.result.get("results") or [result.result]

    def _take(self, result: Any, without_findings: str) -> None:
        """Record a task's result; without_findings: the status of an ensure task that has none."""
        action = result.task.resolved_action or result.task.action
        outcomes = self._outcomes(result)
        if not action.startswith(OURS):
            return
        checks = action.startswith(ENSURE) or action == AUDIT
        if not checks and not any(outcome.get("findings") for outcome in outcomes):
            return
        reported_in = result.task.vars.get(REPORTED_IN)
        if reported_in == "never" or (reported_in == "check" and not self.check_mode):
            return
        node = result.host.get_name()
        if action == AUDIT and "results" in result.result:
            # Its results are those of specs; it has a column of its own only if it has failed.
            self.audited.add(node)
            outcomes = result.result["results"]
            for spec in result.result.get("skipped_specs", ()):
                self._note(node, spec, "not assessed")
        for outcome in outcomes:
            spec = outcome.get("spec", action.removeprefix(ENSURE).removeprefix(OURS))
            findings = outcome.get("findings", [])
            for finding in findings:
                self._note(node, spec, finding["status"])
                self.findings.append((node, spec, finding))
            if not findings:
                self._note(node, spec, without_findings)
            if not findings and without_findings == "failed":
                self.messages[node, spec] = str(outcome.get("msg", "no reason given"))

    def _note(self, node: str, spec: str, status: str) -> None:
        self.status[node, spec] = _worst([self.status.get((node, spec), status), status])

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if not self.status:
            return
        nodes = sorted({node for node, _spec in self.status} | set(self.unreachable), key=natural)
        specs = sorted({spec for _node, spec in self.status})
        self._display.banner("DRIFT REPORT")
        width = max(len(word) for word in (*nodes, "node")) + 2
        columns = [max(len(spec), len("not assessed")) + 2 for spec in specs]
        heads = "".join(spec.ljust(column) for spec, column in zip(specs, columns, strict=True))
        self._display.display(("node".ljust(width) + heads).rstrip())
        table = {node: [self._cell(node, spec) for spec in specs] for node in nodes}
        for node, row in table.items():
            padded = "".join(cell.ljust(column) for cell, column in zip(row, columns, strict=True))
            line = (node.ljust(width) + padded).rstrip()
            self._display.display(line, color=COLOURS[_worst(row)])
        together = [
            (affected, spec, dict(items)) for (spec, items), affected in self._together().items()
        ]
        for affected, spec, finding in together:
            if finding["status"] not in BRIEF:
                text = self._paragraph(affected, spec, finding)
                self._display.display(text, color=COLOURS[finding["status"]])
        lines = [entry for entry in together if entry[2]["status"] in BRIEF]
        for number, (affected, spec, finding) in enumerate(lines):
            text = self._line(affected, spec, finding)
            blank = "" if number else "\n"
            self._display.display(blank + text, color=COLOURS[finding["status"]])
        for node, reason in sorted(self.unreachable.items()):
            self._display.display(f"\n{node}: unreachable: {reason}", color=COLOURS["unreachable"])
        cells = [cell for row in table.values() for cell in row]
        self._display.display("\n" + self._summary(cells), color=COLOURS[_worst(cells)])
        if self.folder:
            self._write(nodes, specs)

    def _write(self, nodes: list[str], specs: list[str]) -> None:
        report = Report(
            nodes,
            specs,
            {(node, spec): self._cell(node, spec) for node in nodes for spec in specs},
            [ReportEntry(node, spec, **finding) for node, spec, finding in self.findings],
            self.unreachable,
            self.messages,
            self.playbook,
            # An audit repairs nothing, in whatever mode Ansible runs.
            self.check_mode or bool(self.audited),
            datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
        )
        try:
            written = write(report, self.folder)
        except OSError as error:
            self._display.warning(f"no report in {self.folder}: {error.strerror or error}")
            return
        self._display.display("Reports: " + ", ".join(written))

    def _cell(self, node: str, spec: str) -> str:
        if node in self.unreachable:
            return "unreachable"
        done = node in self.audited and f"{OURS}{spec}" == AUDIT
        return self.status.get((node, spec), "ok" if done else "not assessed")

    def _together(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], list[str]]:
        """Findings that are not ok, (spec, finding) -> nodes that have the same finding."""
        together: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
        for node, spec, finding in sorted(
            self.findings, key=lambda entry: (natural(entry[0]), entry[1])
        ):
            if finding["status"] != "ok":
                nodes = together.setdefault((spec, tuple(finding.items())), [])
                if node not in nodes:
                    nodes.append(node)
        return together

    @staticmethod
    def _line(nodes: list[str], spec: str, finding: dict[str, Any]) -> str:
        why = finding["hint"] if finding["status"] == "accepted" else finding["actual"]
        return f"{', '.join(nodes)}: {spec}: {finding['check']}: {finding['status']}: {why}"

    @staticmethod
    def _paragraph(nodes: list[str], spec: str, finding: dict[str, Any]) -> str:
        title = f"{spec}: {finding['check']}: {finding['status']} ({finding['severity']})"
        head = f"\n{', '.join(nodes)}: {title}"
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

    def _summary(self, cells: list[str]) -> str:
        counts = dict.fromkeys(ORDER, 0)
        for _node, _spec, finding in self.findings:
            counts[finding["status"]] += 1
        counts["unreachable"] = len(self.unreachable)
        for status in ("failed", "not assessed"):  # no finding has that status
            counts[status] = cells.count(status)
        return "Checks: " + ", ".join(
            f"{count} {status}" for status, count in counts.items() if count
        )
