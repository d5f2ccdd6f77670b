# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nodes answer to checks: the one door for their findings.

A node that is damaged, or that somebody else controls, answers anything. Whatever is no finding
becomes one of status FAILED, which is reported and counted like any other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import (
    ACCEPTED,
    CRITICAL,
    FIXED,
    OK,
    SEVERITIES,
    SKIPPED,
    STATUSES,
    Finding,
)

# The status of an answer that is no finding. It is given here, not by a node.
FAILED = "failed"
# All others mean that something is wrong.
IN_ORDER = frozenset((OK, SKIPPED, FIXED, ACCEPTED))

# Characters of a text. The longest lists all packages of a node.
TEXT = 1 << 17
# Findings of one spec, and characters of all their texts. The largest, storage, has a few for each
# folder.
FINDINGS = 1000
TEXTS = 1 << 20

_ID = re.compile(r"[a-z][a-z0-9_]{0,199}")
_FIELDS = frozenset(one.name for one in fields(Finding))
_HINT = (
    "This is no answer of this collection's modules. Check the node's Python interpreter"
    " (ansible_python_interpreter), and who can write to it."
)


def is_id(name: object) -> bool:
    """Whether it is fit for the id of a check or the name of a spec."""
    return isinstance(name, str) and _ID.fullmatch(name) is not None


def text_of(value: object) -> str:
    """A message of a node as it may be displayed: "no reason given" if it is no text."""
    if not isinstance(value, str) or not value.strip():
        return "no reason given"
    return foreign.shown(value if len(value) <= TEXT else value[:TEXT] + " ...")


def outcomes(result: Mapping[str, Any]) -> list[Any]:
    """The outcome of each item of a loop; the result itself without a loop, or with an empty one.

    An outcome is anything.
    """
    results = result.get("results")
    return results if isinstance(results, list) and results else [result]


def spec_of(outcome: object, otherwise: str) -> str:
    """The spec that an outcome names; otherwise if it names none."""
    named = outcome.get("spec") if isinstance(outcome, Mapping) else None
    return str(named) if is_id(named) else otherwise


def findings_of(outcome: object, spec: str) -> list[Finding]:
    """The findings of an outcome, those FAILED that are malformed; none if it has none.

    spec: the id of what is no finding begins with it.
    """
    if not isinstance(outcome, Mapping):
        return [_failed(f"{spec}_answer", f"the answer is {_kind(outcome)}")]
    found = outcome.get("findings", [])
    if not isinstance(found, list):
        return [_failed(f"{spec}_answer", f"its findings are {_kind(found)}")]
    checked: list[Finding] = []
    size = 0
    for one in found:
        finding = _checked(one, f"{spec}_answer")
        size += sum(map(len, (finding.expected, finding.actual, finding.fix, finding.hint)))
        if len(checked) == FINDINGS or size > TEXTS:
            problem = f"more than {FINDINGS} findings or {TEXTS} characters"
            return [*checked, _failed(f"{spec}_answer", problem)]
        checked.append(finding)
    return checked


def complete(asked: Sequence[str], results: object) -> list[Any]:
    """The outcomes of an audit, with one that is FAILED for each spec that is asked for in vain."""
    answered = list(results) if isinstance(results, list) else []
    left = Counter(asked) - Counter(spec_of(outcome, "") for outcome in answered)
    failed = {spec: _failed(f"{spec}_answer", "it has not answered") for spec in left}
    return answered + [
        {"spec": spec, "findings": [asdict(failed[spec])]} for spec in left.elements()
    ]


def wrong_checks(results: Mapping[str, Any]) -> list[str]:
    """The ids of the checks that are not in order, each once; results: spec -> registered result.

    A spec that has ended without findings, neither skipped nor an empty loop, is wrong itself.
    """
    return list(dict.fromkeys(_wrong(results)))


def _wrong(results: Mapping[str, Any]) -> Iterator[str]:
    for spec, result in results.items():
        if not isinstance(result, Mapping):
            yield f"{spec}_answer"
            continue
        for outcome in [] if result.get("results") == [] else outcomes(result):
            if isinstance(outcome, Mapping) and "findings" not in outcome:
                if not outcome.get("skipped"):
                    yield f"{spec}_answer"
                continue
            for finding in findings_of(outcome, spec):
                if finding.status not in IN_ORDER:
                    yield finding.check


def _checked(given: object, otherwise: str) -> Finding:
    """The finding; FAILED, with the check that it names or that id, if it is malformed."""
    if not isinstance(given, Mapping):
        return _failed(otherwise, f"a finding is {_kind(given)}")
    problem = _problem(given)
    if not problem:
        return Finding(**given)
    check = given.get("check")
    return _failed(str(check) if is_id(check) else otherwise, problem)


def _problem(given: Mapping[Any, Any]) -> str:
    missing, unknown = _FIELDS - given.keys(), given.keys() - _FIELDS
    if missing or unknown:
        return "; ".join(
            f"{what}: {', '.join(sorted(_quoted(name) for name in names))[:200]}"
            for what, names in (("missing", missing), ("unknown", unknown))
            if names
        )
    for name in sorted(_FIELDS):
        if not isinstance(given[name], str):
            return f"{name} is {_kind(given[name])}"
        if len(given[name]) > TEXT:
            return f"{name} has {len(given[name])} characters"
    if not is_id(given["check"]):
        return f"check is {_quoted(given['check'])}"
    if given["status"] not in (*STATUSES, FAILED):
        return f"status is {_quoted(given['status'])}"
    if given["severity"] not in SEVERITIES:
        return f"severity is {_quoted(given['severity'])}"
    return ""


def _failed(check: str, problem: str) -> Finding:
    return Finding(
        check, FAILED, "findings of this collection", f"malformed: {problem}", CRITICAL, hint=_HINT
    )


def _quoted(name: object) -> str:
    return foreign.line(name[:60]) if isinstance(name, str) else _kind(name)


def _kind(value: object) -> str:
    """What JSON calls it, for a message."""
    names: Sequence[tuple[type | tuple[type, ...], str]] = (
        (type(None), "null"),
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "a text"),
        (list, "a list"),
        (Mapping, "an object"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "no JSON")
