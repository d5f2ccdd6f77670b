# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has found, as JSON, JUnit and one page of HTML: the same facts in the same order."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

VERSION = 1

# The worst first. A spec shows the first of these that one of its findings has, and skipped only
# where nothing else was found.
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
_WRONG = ("blocked", "drift")


def natural(name: str) -> list[tuple[str, int]]:
    """The key by which node2 comes before node10."""
    return [(word, int(part or 0)) for word, part in re.findall(r"(\D*)(\d*)", name)]


@dataclass(frozen=True, order=True)
class Entry:
    """A finding, of one node."""

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
    """Everything that is told at the end of a run.

    cells is (node, spec) -> status; messages what a spec said that ended without findings;
    unreachable is node -> reason. generated is the only thing that two runs on nodes in the same
    state do not have in common.
    """

    nodes: Sequence[str]
    specs: Sequence[str]
    cells: Mapping[tuple[str, str], str]
    entries: Sequence[Entry]
    unreachable: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[tuple[str, str], str] = field(default_factory=dict)
    playbook: str = ""
    check_mode: bool = False
    generated: str = ""

    def ordered(self) -> list[Entry]:
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
        for status in ("failed", "not assessed"):  # there is no finding that says so
            counted[status] = list(self.cells.values()).count(status)
        return {status: counted[status] for status in ORDER if counted[status]}


def to_json(report: Report) -> str:
    """docs/contracts/drift_report.md describes it."""
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
    """A suite for each node, a case for each check; what is wrong fails, what was not done errs."""
    root = ET.Element("testsuites", name="dgxspark.suite")
    for node in report.nodes:
        suite = ET.SubElement(root, "testsuite", name=node)
        for entry in (one for one in report.ordered() if one.node == node):
            case = ET.SubElement(suite, "testcase", classname=_class(entry), name=entry.check)
            if entry.status in _WRONG:
                failed = ET.SubElement(
                    case, "failure", type=entry.status, message=_xml(entry.actual)
                )
                failed.text = _xml(_told(entry))
            elif entry.status in ("skipped", "accepted"):
                reason = entry.hint if entry.status == "accepted" else entry.actual
                ET.SubElement(case, "skipped", message=_xml(reason))
        for spec in report.specs:
            status = report.cells[node, spec]
            if status not in ("failed", "unreachable", "not assessed"):
                continue
            case = ET.SubElement(suite, "testcase", classname=f"{node}.{spec}", name=spec)
            message = report.unreachable.get(node) or report.messages.get((node, spec), status)
            kind = "skipped" if status == "not assessed" else "error"
            ET.SubElement(case, kind, type=status, message=_xml(message))
        for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(name, str(len(suite.findall(f"testcase/{kind}"))))
        suite.set("tests", str(len(suite)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _class(entry: Entry) -> str:
    return f"{entry.node}.{entry.spec}"


def _xml(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(
        char
        for char in text
        if char in "\t\n\r" or 32 <= ord(char) < 0xD800 or 0xE000 <= ord(char) < 0xFFFE
    )


def _told(entry: Entry) -> str:
    told = (("expected", entry.expected), ("fix", entry.fix), ("hint", entry.hint))
    return "\n".join(f"{name}: {text}" for name, text in told if text)


def write(report: Report, folder: str) -> list[str]:
    """Write all three into a folder, each in one step; their paths. Raises OSError."""
    os.makedirs(folder, exist_ok=True)
    texts = {
        "drift.json": to_json(report),
        "drift.xml": to_junit(report),
        "drift.html": to_html(report),
    }
    return [_replace(os.path.join(folder, name), text) for name, text in texts.items()]


def _replace(path: str, text: str) -> str:
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    return path


_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #646b73; --line: #dfe3e8;
  --paper: #ffffff; --panel: #f6f7f9; --ok: #2b7a4b; --fixed: #1c6d8c; --drift: #9a6700;
  --blocked: #b42318; --skipped: #646b73; --accepted: #6941c6; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa3ad; --line: #2c323a;
  --paper: #14171b; --panel: #1b1f25; --ok: #6bc48c; --fixed: #6cc0e0; --drift: #e3b341;
  --blocked: #ff7b72; --skipped: #9aa3ad; --accepted: #b59bf5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; }
.run { color: var(--soft); margin: 0.2rem 0 1.2rem; overflow-wrap: anywhere; }
.counts { display: flex; flex-wrap: wrap; gap: 0.5rem; margin: 0 0 1.5rem; padding: 0;
  list-style: none; }
.counts li { background: var(--panel); border: 1px solid var(--line); border-radius: 0.6rem;
  padding: 0.4rem 0.9rem; }
.counts b { font-size: 1.25rem; margin-right: 0.35rem; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 0.6rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 0.45rem 0.8rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
tr:last-child td, tr:last-child th { border-bottom: 0; }
thead th { color: var(--soft); font-weight: 500; font-size: 0.85rem; }
.status { font-weight: 600; color: var(--skipped); }
.ok { color: var(--ok); } .fixed { color: var(--fixed); } .drift { color: var(--drift); }
.blocked, .failed, .unreachable { color: var(--blocked); }
.accepted { color: var(--accepted); }
form { display: flex; flex-wrap: wrap; gap: 0.8rem; margin: 1.8rem 0 1rem; }
label { color: var(--soft); font-size: 0.85rem; }
select { display: block; font: inherit; padding: 0.3rem 0.5rem; color: var(--ink);
  background: var(--panel); border: 1px solid var(--line); border-radius: 0.4rem;
  max-width: 100%; }
article { border: 1px solid var(--line); border-left: 0.3rem solid currentcolor;
  border-radius: 0.5rem; padding: 0.7rem 1rem; margin: 0.6rem 0; }
article > * { color: var(--ink); }
article h2 { font-size: 1rem; margin: 0; display: flex; flex-wrap: wrap; gap: 0.2rem 0.8rem; }
article h2 .where { color: var(--soft); font-weight: 400; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 0.9rem;
  margin: 0.5rem 0 0; }
dt { color: var(--soft); font-size: 0.9rem; } dd { margin: 0; overflow-wrap: anywhere; }
.none { color: var(--soft); }
[hidden] { display: none; }
@media (max-width: 32rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 0.4rem; } }
"""

# What is chosen stands in the address, so that a view can be sent on: #node=spark1&status=drift
_SCRIPT = """
const form = document.querySelector("form");
const none = document.querySelector(".none");
const fields = ["node", "spec", "status"];
function show() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  let shown = 0;
  for (const name of fields) {
    const value = wanted.get(name) || "";
    form[name].value = [...form[name].options].some((one) => one.value === value) ? value : "";
  }
  for (const article of document.querySelectorAll("article")) {
    article.hidden = fields.some((name) => {
      const value = form[name].value;
      if (name === "status" && value === "") return article.dataset.quiet === "yes";
      return value !== "" && value !== "all" && article.dataset[name] !== value;
    });
    shown += article.hidden ? 0 : 1;
  }
  none.hidden = shown > 0;
  document.body.dataset.shown = String(shown);
}
form.addEventListener("change", () => {
  const chosen = fields.filter((name) => form[name].value !== "");
  location.hash = chosen.map((name) => name + "=" + encodeURIComponent(form[name].value)).join("&");
  show();
});
window.addEventListener("hashchange", show);
show();
"""


def to_html(report: Report) -> str:
    """One page that needs nothing else: it may load nothing, and runs only its own script."""
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    kind = "check, nothing was changed" if report.check_mode else "run"
    counts = "".join(
        f'<li class="status {_word(status)}"><b>{number}</b>{_e(status)}</li>'
        for status, number in report.counts().items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_e(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Drift report</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Drift report</h1>
<p class="run">{_e(report.playbook)} &middot; {kind} &middot; {_e(report.generated)}</p>
<ul class="counts">{counts}</ul>
{_table(report)}
{_form(report)}
<main>
{"".join(_lost(node, reason) for node, reason in sorted(report.unreachable.items()))}
{"".join(_failed(where, text) for where, text in sorted(report.messages.items()))}
{"".join(_article(entry) for entry in report.ordered())}
<p class="none" hidden>Nothing to show here.</p>
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _e(text: str) -> str:
    return html.escape(text, quote=True)


def _word(status: str) -> str:
    return status.replace(" ", "-")


def _table(report: Report) -> str:
    heads = "".join(f'<th scope="col">{_e(spec)}</th>' for spec in report.specs)
    rows = ""
    for node in report.nodes:
        cells = "".join(
            f'<td class="status {_word(report.cells[node, spec])}">'
            f"{_e(report.cells[node, spec])}</td>"
            for spec in report.specs
        )
        rows += f'<tr><th scope="row">{_e(node)}</th>{cells}</tr>\n'
    return (
        f'<div class="wide"><table><thead><tr><th scope="col">node</th>{heads}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _form(report: Report) -> str:
    statuses = [status for status in ORDER if any(one.status == status for one in report.entries)]
    choices = {"node": list(report.nodes), "spec": list(report.specs), "status": statuses}
    fields = ""
    for name, values in choices.items():
        first = [("", "what matters"), ("all", "all")] if name == "status" else [("", "all")]
        options = "".join(
            f'<option value="{_e(value)}">{_e(text)}</option>'
            for value, text in [*first, *((value, value) for value in values)]
        )
        fields += f'<label>{name}<select name="{name}">{options}</select></label>'
    return f"<form>{fields}</form>"


def _article(entry: Entry) -> str:
    rows = "".join(
        f"<dt>{name}</dt><dd>{_e(text)}</dd>"
        for name, text in (
            ("expected", entry.expected),
            ("actual", entry.actual),
            ("fix", entry.fix),
            ("hint", entry.hint),
        )
        if text
    )
    quiet = "yes" if entry.status in ("ok", "skipped") else "no"
    where = f"{_e(entry.node)} &middot; {_e(entry.spec)} &middot; {_e(entry.severity)}"
    return _box(entry.node, entry.spec, entry.status, quiet, entry.check, where, f"<dl>{rows}</dl>")


def _lost(node: str, reason: str) -> str:
    return _box(node, "", "unreachable", "no", node, "", f"<p>{_e(reason)}</p>")


def _failed(where: tuple[str, str], text: str) -> str:
    node, spec = where
    return _box(node, spec, "failed", "no", spec, _e(node), f"<p>{_e(text)}</p>")


def _box(node: str, spec: str, status: str, quiet: str, title: str, where: str, inside: str) -> str:
    return (
        f'<article class="{_word(status)}" data-node="{_e(node)}" data-spec="{_e(spec)}" '
        f'data-status="{_e(status)}" data-quiet="{quiet}"><h2>{_e(title)} '
        f'<span class="status {_word(status)}">{_e(status)}</span> '
        f'<span class="where">{where}</span></h2>{inside}</article>\n'
    )
