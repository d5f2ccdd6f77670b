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
  - An answer that is no finding of this collection is C(failed), with the reason. A node of a play
    that has findings, but none of this node, is C(not assessed).
  - After C(site) and C(audit) the last line is C(next:) with the command that leads on.
  - A run without findings prints nothing.
  - With a directory for reports it also writes C(drift.json), C(drift.xml) for JUnit and
    C(drift.html), one self-contained page. They have the same content in a stable
    order, so that two reports can be compared. If they cannot be written, the run fails.
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
  - The playbooks of this collection bring it with them. For your own playbooks, enable it in
    C(ansible.cfg) with C(callbacks_enabled = dgxspark.suite.drift).
"""

import os
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.plugins.callback import CallbackBase
from ansible.template import Templar

from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Finding
from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import (
    LOGIN,
    login_command,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.next_step import next_command
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.answers import (
    FAILED,
    findings_of,
    outcomes,
    spec_of,
    text_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.documents import (
    ORDER,
    Report,
    ReportEntry,
    natural,
    write,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.variable_names import (
    warnings,
    words,
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
# An outcome that is neither a failure nor skipped.
ANSWERED = "answered"


def _worst(statuses: Sequence[str]) -> str:
    return min(statuses, key=ORDER.index)


def _one_line(text: str) -> str:
    """A node that answers line ends must not add lines to the report."""
    return " ".join(text.split())


class CallbackModule(CallbackBase):
    """Gathers results as they come; prints when the run ends."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "dgxspark.suite.drift"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.status: dict[tuple[str, str], str] = {}  # (node, spec) -> the worst
        self.findings: list[tuple[str, str, Finding]] = []
        self.unreachable: dict[str, str] = {}
        self.audited: set[str] = set()  # nodes whose audit has ended
        self.messages: dict[tuple[str, str], str] = {}  # of specs that failed without findings
        self.expected: set[str] = set()  # nodes of all plays that have findings
        self.play_nodes: list[str] = []
        self.playbook = ""
        self.words: set[str] = set()  # of -e, that the playbook reads
        self.check_mode = False
        self.folder = ""
        self.no_folder = ""  # why the directory that is asked for is not known
        self.checked_names = False
        self.play: Any = None  # the last

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self.playbook = os.path.basename(playbook._file_name)
        self.words = words(playbook.get_plays())

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self.check_mode = bool(play.check_mode)
        self.play = play
        inventory = play.get_variable_manager()._inventory
        # Also those of the other batches of a play that is serial.
        hosts = inventory.get_hosts(play.hosts, ignore_restrictions=True)
        self.play_nodes = [host.get_name() for host in hosts]
        self.folder = self.folder or self._report_dir(play)
        if not self.checked_names:
            self.checked_names = True
            for warning in warnings(play, self.words):
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
            self.no_folder = f"dgxspark_report_dir: {error}"
            return ""
        return os.path.abspath(os.path.expanduser(str(folder))) if folder else ""

    def v2_runner_on_ok(self, result: Any) -> None:
        self._take(result, ANSWERED)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._take(result, FAILED)

    def v2_runner_on_skipped(self, result: Any) -> None:
        if result.task.vars.get(REPORTED_IN) != "ran":
            self._take(result, "not assessed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        # The message of a complete loop, "All items completed", is no reason.
        items = [one for one in outcomes(result.result) if isinstance(one, Mapping)]
        lost = next((one for one in items if one.get("unreachable")), result.result)
        self.unreachable[result.host.get_name()] = _one_line(text_of(lost.get("msg")))
        self._take(result, "unreachable")

    def _take(self, result: Any, without_findings: str) -> None:
        """Record a task's result; without_findings: the status of an ensure task that has none.

        With ANSWERED that depends on the reason: only what is skipped or hidden may have none.
        """
        action = result.task.resolved_action or result.task.action
        if not action.startswith(OURS):
            return
        answers = outcomes(result.result)
        checks = action.startswith(ENSURE) or action == AUDIT
        if not checks and not any(
            isinstance(one, Mapping) and "findings" in one for one in answers
        ):
            return
        reported_in = result.task.vars.get(REPORTED_IN)
        if reported_in == "never" or (reported_in == "check" and not self.check_mode):
            return
        node = result.host.get_name()
        if action == AUDIT and isinstance(result.result.get("results"), list):
            # Its results are those of specs; it has a column of its own only if it has failed.
            self.audited.add(node)
            answers = result.result["results"]
            for spec in result.result.get("skipped_specs", ()):
                self._note(node, spec, "not assessed")
        for outcome in answers:
            spec = spec_of(outcome, action.removeprefix(ENSURE).removeprefix(OURS))
            self._take_outcome(node, spec, outcome, without_findings)

    def _take_outcome(self, node: str, spec: str, outcome: Any, without_findings: str) -> None:
        findings = findings_of(outcome, spec)
        for finding in findings:
            self._note(node, spec, finding.status)
            self.findings.append((node, spec, finding))
        if findings:
            return
        status, message = without_findings, text_of(outcome.get("msg"))
        if status == ANSWERED:
            known = bool({"findings", "skipped", "censored"} & outcome.keys())
            status, message = "not assessed" if known else FAILED, "it has answered no findings"
        self._note(node, spec, status)
        if status == FAILED:
            self.messages[node, spec] = message

    def _note(self, node: str, spec: str, status: str) -> None:
        self.status[node, spec] = _worst([self.status.get((node, spec), status), status])
        self.expected.update(self.play_nodes)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if not self.status:
            return
        report = self._report()
        self._display.banner("DRIFT REPORT")
        self._show_table(report)
        self._show_findings()
        for node, reason in sorted(report.unreachable.items()):
            self._display.display(f"\n{node}: unreachable: {reason}", color=COLOURS["unreachable"])
        for (node, spec), message in sorted(report.messages.items()):
            text = f"\n{node}: {spec}: failed: {_one_line(message)}"
            self._display.display(text, color=COLOURS[FAILED])
        counts = ", ".join(f"{count} {status}" for status, count in report.counts().items())
        worst = _worst(list(report.cells.values()))
        self._display.display(f"\nChecks: {counts}", color=COLOURS[worst])
        if self.folder or self.no_folder:
            self._write(report)
        if command := next_command(report, self._logins(), context.CLIARGS):
            self._display.display(f"next: {command}")

    def _logins(self) -> dict[str, str]:
        """Node -> the command that connects to it, of nodes that could not be reached."""
        if self.play is None:
            return {}
        variables = self.play.get_variable_manager()
        logins = {}
        for node in self.unreachable:
            known = variables.get_vars(play=self.play, host=variables._inventory.get_host(node))
            given = {name: known[name] for name in LOGIN if name in known}
            # Without the values that have no meaning outside of a task.
            with suppress(AnsibleError):
                given = Templar(self.play.get_loader(), variables=known).template(given)
                logins[node] = login_command(node, given)
        return {node: command for node, command in logins.items() if command}

    def _report(self) -> Report:
        nodes = sorted(
            {node for node, _spec in self.status} | set(self.unreachable) | self.expected,
            key=natural,
        )
        specs = sorted({spec for _node, spec in self.status})
        return Report(
            nodes,
            specs,
            {(node, spec): self._cell(node, spec) for node in nodes for spec in specs},
            [ReportEntry(node, spec, **asdict(finding)) for node, spec, finding in self.findings],
            self.unreachable,
            self.messages,
            self.playbook,
            # An audit repairs nothing, in whatever mode Ansible runs.
            self.check_mode or bool(self.audited),
            datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
        )

    def _show_table(self, report: Report) -> None:
        width = max(len(word) for word in (*report.nodes, "node")) + 2
        columns = [max(len(spec), len("not assessed")) + 2 for spec in report.specs]

        def line(first: str, words: Sequence[str]) -> str:
            padded = (word.ljust(column) for word, column in zip(words, columns, strict=True))
            return (first.ljust(width) + "".join(padded)).rstrip()

        self._display.display(line("node", report.specs))
        for node in report.nodes:
            row = [report.cells[node, spec] for spec in report.specs]
            self._display.display(line(node, row), color=COLOURS[_worst(row)])

    def _show_findings(self) -> None:
        together = self._together()
        for (spec, finding), nodes in together.items():
            if finding.status not in BRIEF:
                text = self._paragraph(nodes, spec, finding)
                self._display.display(text, color=COLOURS[finding.status])
        brief = [entry for entry in together.items() if entry[0][1].status in BRIEF]
        for number, ((spec, finding), nodes) in enumerate(brief):
            blank = "" if number else "\n"
            text = blank + self._line(nodes, spec, finding)
            self._display.display(text, color=COLOURS[finding.status])

    def _write(self, report: Report) -> None:
        """Ends the run with an error if there is no report where one is asked for."""
        try:
            if not self.folder:
                raise OSError(self.no_folder)
            written = write(report, self.folder)
        except Exception as error:
            reason = getattr(error, "strerror", None) or error
            self._display.error(f"No report in {self.folder or 'any directory'}: {reason}")
            # Of all other exceptions Ansible makes a warning.
            raise SystemExit(1) from error
        self._display.display("Reports: " + ", ".join(written))

    def _cell(self, node: str, spec: str) -> str:
        if node in self.unreachable:
            return "unreachable"
        done = node in self.audited and f"{OURS}{spec}" == AUDIT
        return self.status.get((node, spec), "ok" if done else "not assessed")

    def _together(self) -> dict[tuple[str, Finding], list[str]]:
        """Findings that are not ok, (spec, finding) -> nodes that have the same finding."""
        together: dict[tuple[str, Finding], list[str]] = {}
        for node, spec, finding in sorted(
            self.findings, key=lambda entry: (natural(entry[0]), entry[1])
        ):
            if finding.status != "ok":
                nodes = together.setdefault((spec, finding), [])
                if node not in nodes:
                    nodes.append(node)
        return together

    @staticmethod
    def _line(nodes: list[str], spec: str, finding: Finding) -> str:
        why = _one_line(finding.hint if finding.status == "accepted" else finding.actual)
        return f"{', '.join(nodes)}: {spec}: {finding.check}: {finding.status}: {why}"

    @staticmethod
    def _paragraph(nodes: list[str], spec: str, finding: Finding) -> str:
        title = f"{spec}: {finding.check}: {finding.status} ({finding.severity})"
        head = f"\n{', '.join(nodes)}: {title}"
        body = [
            textwrap.fill(
                f"{name + ':':<10}{text}",
                width=116,
                initial_indent="  ",
                subsequent_indent=" " * 12,
                break_long_words=False,
                break_on_hyphens=False,
            )
            for name in ("expected", "actual", "fix", "hint")
            if (text := getattr(finding, name))
        ]
        return "\n".join([head, *body])
