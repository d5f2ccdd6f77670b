# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings of a run as JSON, JUnit and one page of HTML: the same facts in the same order."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from ansible_collections.dgxspark.suite.plugins.plugin_utils.report import page
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.answers import FAILED, IN_ORDER

VERSION = 1

# The worst first. A spec has the worst status of its findings; skipped only if all are.
ORDER = (
    "unreachable",
    "failed",
    "blocked",
    "drift",
    "not assessed",
    "fixed",
    "accepted",
    "ok",
    "skipped",
)


def natural(name: str) -> list[tuple[str, int]]:
    """A sort key: node2 comes before node10."""
    return [(word, int(part or 0)) for word, part in re.findall(r"(\D*)(\d*)", name)]


@dataclass(frozen=True, order=True)
class ReportEntry:
    """A finding of one node."""

    node: str
    spec: str
    check: str
    status: str
    severity: str = "info"
    expected: str = ""
    actual: str = ""
    fix: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Report:
    """All results of a run.

    cells: (node, spec) -> status. messages: (node, spec) -> error of a spec that ended without
    findings. unreachable: node -> reason. generated: the only difference between the reports of
    two runs on nodes in the same state.
    """

    nodes: Sequence[str]
    specs: Sequence[str]
    cells: Mapping[tuple[str, str], str]
    entries: Sequence[ReportEntry]
    unreachable: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[tuple[str, str], str] = field(default_factory=dict)
    playbook: str = ""
    check_mode: bool = False
    generated: str = ""

    def ordered(self) -> list[ReportEntry]:
        """By node and spec, the worst first, each check once."""
        unique = dict.fromkeys(self.entries)
        return sorted(
            unique,
            key=lambda one: (
                natural(one.node),
                one.spec,
                ORDER.index(one.status),
                one.check,
                one,
            ),
        )

    def counts(self) -> dict[str, int]:
        """Status -> number, of those that occur, the worst first."""
        counted = Counter(one.status for one in self.entries)
        counted["unreachable"] = len(self.unreachable)
        counted["failed"] += len(self.messages)
        counted["not assessed"] = list(self.cells.values()).count("not assessed")
        return {status: counted[status] for status in ORDER if counted[status]}


def to_json(report: Report) -> str:
    """The document of docs/contracts/drift_report.md."""
    document = {
        "version": VERSION,
        "run": {
            "generated": report.generated,
            "playbook": report.playbook,
            "check_mode": report.check_mode,
        },
        "counts": report.counts(),
        "table": [
            {
                "node": node,
                "spec": spec,
                "status": report.cells[node, spec],
                **(
                    {"message": report.messages[node, spec]}
                    if (node, spec) in report.messages
                    else {}
                ),
            }
            for node in report.nodes
            for spec in report.specs
        ],
        "unreachable": dict(sorted(report.unreachable.items())),
        "findings": [asdict(entry) for entry in report.ordered()],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def to_junit(report: Report) -> str:
    """A suite for each node, a case for each check; drift fails, a spec that failed is an error."""
    root = ET.Element("testsuites", name="dgxspark.suite")
    for node in report.nodes:
        suite = ET.SubElement(root, "testsuite", name=node)
        for entry in (one for one in report.ordered() if one.node == node):
            case = ET.SubElement(suite, "testcase", classname=_class(entry), name=entry.check)
            if entry.status not in IN_ORDER:
                kind = "error" if entry.status == FAILED else "failure"
                failed = ET.SubElement(case, kind, type=entry.status, message=_xml(entry.actual))
                failed.text = _xml(_details(entry))
            elif entry.status in ("skipped", "accepted"):
                reason = entry.hint if entry.status == "accepted" else entry.actual
                ET.SubElement(case, "skipped", message=_xml(reason))
        for spec in report.specs:
            status = report.cells[node, spec]
            message = report.messages.get((node, spec), "")
            # A spec with findings that failed has their cases.
            if status not in ("unreachable", "not assessed") and not message:
                continue
            case = ET.SubElement(suite, "testcase", classname=f"{node}.{spec}", name=spec)
            message = report.unreachable.get(node) or message or status
            kind = "skipped" if status == "not assessed" else "error"
            ET.SubElement(case, kind, type=status, message=_xml(message))
        for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(name, str(len(suite.findall(f"testcase/{kind}"))))
        suite.set("tests", str(len(suite)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _class(entry: ReportEntry) -> str:
    return f"{entry.node}.{entry.spec}"


def _xml(text: str) -> str:
    """Without characters that XML does not allow."""
    return "".join(
        char
        for char in text
        if char in "\t\n\r" or 32 <= ord(char) < 0xD800 or 0xE000 <= ord(char) < 0xFFFE
    )


def _details(entry: ReportEntry) -> str:
    details = (("expected", entry.expected), ("fix", entry.fix), ("hint", entry.hint))
    return "\n".join(f"{name}: {text}" for name, text in details if text)


def write(report: Report, folder: str) -> list[str]:
    """Write all three into a directory, each atomically; returns their paths. Raises OSError."""
    os.makedirs(folder, exist_ok=True)
    texts = {
        "drift.json": to_json(report),
        "drift.xml": to_junit(report),
        "drift.html": to_html(report),
    }
    return [page.replace(os.path.join(folder, name), text) for name, text in texts.items()]


def to_html(report: Report) -> str:
    """One self-contained page."""
    occurring = {entry.status for entry in report.entries}
    statuses = [(status, status) for status in ORDER if status in occurring]
    every = [("", "all")]
    choices = {
        "node": every + [(node, node) for node in report.nodes],
        "spec": every + [(spec, spec) for spec in report.specs],
        "status": [("", "what matters"), ("all", "all"), *statuses],
    }
    return page.render("drift.html.j2", report=report, choices=choices)
