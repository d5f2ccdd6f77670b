# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the events of ansible-runner to what clients are shown. Pure.

An event of ansible-runner has what each task was given and returned. Only what is named here goes
on: names of tasks, lines that the playbooks print for people, and the results in RESULTS.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

Map = Mapping[str, Any]

# The phases of a launch, by the role and the task that each begins with.
PHASES = {
    ("cluster_lock", "Take the cluster lock"): "lock",
    ("launch", "Inspect the nodes and what they serve"): "preflight",
    ("launch", "Copy the model"): "model",
    ("launch", "Cache the steps for the image"): "image",
    ("launch", "Plan the swap"): "prepare",
    ("launch", "Follow the swap until its end"): "swap",
    ("launch", "Show what is served"): "finalize",
}
# Module -> the keys of its result that a job has.
RESULTS: Mapping[str, tuple[str, ...]] = {
    "model_setup": (
        *("path", "written", "name", "settings", "memory", "fit", "nodes", "warnings"),
    ),
}
# A swap that has ended otherwise than complete is a code of its job.
SWAP = "wait_swap"
SWAP_RESULTS = ("complete", "rolled_back", "failed", "interrupted")
LOCK = "cluster_lock"
LOCK_KEYS = ("owner", "reason", "since", "expires", "run_since")

# What a key is named whose value is masked.
_SECRET = re.compile(r"token|secret|passw|api_?key|\brun$", re.I)
_MASK = "***"
# Characters of a line, lines of an event, and lines that a job remembers.
_LINE, _LINES, _LAST = 2000, 2000, 20
_DEPTH = 8
_PREFIX = "dgxspark.suite."


@dataclass(frozen=True)
class Event:
    """What clients get. id: the number of Ansible's event."""

    id: int
    name: str
    data: dict[str, Any]


@dataclass
class Progress:
    """What is known of a job from its events so far, which `feed` takes in their order.

    secrets: values that no line may have. lock: what cluster_lock has returned last, its token
    included, which goes nowhere else than to who has asked for it.
    """

    secrets: set[str] = field(default_factory=set)
    task: str = ""
    step: str = ""
    phase: str = ""
    phases: list[dict[str, Any]] = field(default_factory=list)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST))
    result: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    why: str = ""
    lock: dict[str, Any] = field(default_factory=dict)
    _since: float = 0.0
    _at: float = 0.0

    def feed(self, raw: Map) -> list[Event]:
        """Take one event, and return what clients are shown of it."""
        number = raw.get("counter")
        if not isinstance(number, int):
            return []
        data = raw.get("event_data")
        data = data if isinstance(data, dict) else {}
        self._at = _seconds(raw.get("created")) or self._at
        self.secrets |= _secrets(data.get("res")) | _secrets(data.get("task_args"))
        return [
            Event(number, name, {**shown, "at": _moment(self._at)})
            for name, shown in self._shown(str(raw.get("event", "")), raw, data)
        ]

    def _shown(self, kind: str, raw: Map, data: Map) -> Iterator[tuple[str, dict[str, Any]]]:
        if kind == "playbook_on_task_start":
            yield from self._begun(data)
        elif kind == "verbose":
            # Printed by the playbook itself, while a task works.
            yield from self._printed(str(raw.get("stdout", "")), "")
        elif kind in ("runner_on_ok", "runner_item_on_ok"):
            yield from self._ended(data)
        elif kind in ("runner_on_failed", "runner_on_unreachable", "runner_item_on_failed"):
            yield from self._failed(kind, data)
        elif kind == "playbook_on_stats":
            stats = data.get("artifact_data")
            plan = stats.get("dgxspark_plan") if isinstance(stats, dict) else None
            if isinstance(plan, dict):
                self.result["plan"] = _displayable(plan)

    def _begun(self, data: Map) -> Iterator[tuple[str, dict[str, Any]]]:
        self.task = self._clean(str(data.get("task", "")))
        self.step = ""
        role = str(data.get("role", "")).rpartition(".")[2]
        name = PHASES.get((role, str(data.get("task", ""))))
        if name and name != self.phase:
            self._close_phase()
            self.phase, self._since = name, self._at
            self.phases.append({"name": name, "seconds": None})
            yield "phase", {"name": name}
        yield "task", {"task": self.task}

    def _close_phase(self) -> None:
        if self.phases and self.phases[-1]["seconds"] is None:
            self.phases[-1]["seconds"] = round(max(0.0, self._at - self._since), 1)

    def _printed(self, text: str, host: str) -> Iterator[tuple[str, dict[str, Any]]]:
        lines = [self._clean(line) for line in text.splitlines()[:_LINES] if line.strip()]
        if lines:
            self.step = lines[-1].strip()
            self.lines.extend(lines)
            yield "lines", {"lines": lines, "host": host}

    def _ended(self, data: Map) -> Iterator[tuple[str, dict[str, Any]]]:
        result = data.get("res")
        action = _action(data)
        host = self._clean(str(data.get("host", "")))
        if not isinstance(result, dict) or result.get("censored"):
            return
        self._keep(action, result)
        if action == "debug":
            said = result.get("msg")
            words = said if isinstance(said, list) else [said]
            text = "\n".join(word for word in words if isinstance(word, str))
            yield from self._printed(text, host)

    def _failed(self, kind: str, data: Map) -> Iterator[tuple[str, dict[str, Any]]]:
        result = data.get("res")
        result = result if isinstance(result, dict) else {}
        if data.get("ignore_errors"):
            return
        action = _action(data)
        self._keep(action, result)
        if kind == "runner_on_unreachable":
            self.code = "unreachable"
        elif action == LOCK and isinstance(result.get("lock"), dict):
            self.code = "locked"
            self.result["lock"] = _public_lock(result["lock"])
            self.result["lock"]["by_run"] = result.get("by_run") is True
        elif action == SWAP:
            self.code = str(self.result.get("result") or "error")
        elif not self.code:
            self.code = "error"
        host = self._clean(str(data.get("host", "")))
        text = str(result.get("msg") or result.get("censored") or "it failed without a message")
        lines = [self._clean(line) for line in text.splitlines()[:40] if line.strip()]
        if lines:
            self.why = f"{host}: {lines[0]}" if host else lines[0]
        yield "failed", {"host": host, "lines": lines}

    def _keep(self, action: str, result: Map) -> None:
        if action in RESULTS:
            kept = {key: result[key] for key in RESULTS[action] if key in result}
            self.result.update(_displayable(kept))
        elif action == SWAP and result.get("phase") in SWAP_RESULTS:
            self.result["result"] = result["phase"]
            for key in ("phases", "kind", "why"):
                if key in result:
                    self.result[key] = _displayable(result[key])
        elif action == LOCK:
            self.lock = {
                key: result[key]
                for key in ("token", "lock", "taken_from", "changed", "by_run")
                if key in result
            }

    def end(self) -> None:
        """Close what is open: nothing follows."""
        self._close_phase()
        self.task = self.step = ""

    def _clean(self, text: str) -> str:
        return masked(foreign.line(text.rstrip())[:_LINE], self.secrets)


def masked(text: str, secrets: set[str]) -> str:
    """The text without these values."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, _MASK)
    return text


def _action(data: Map) -> str:
    """The module, without the name of its collection."""
    action = str(data.get("resolved_action") or data.get("task_action") or "")
    return action.removeprefix(_PREFIX).removeprefix("ansible.builtin.")


def _secrets(given: object, depth: int = 0) -> set[str]:
    """The values of keys that are named as secrets are."""
    found: set[str] = set()
    if depth > _DEPTH:
        return found
    if isinstance(given, dict):
        for key, value in given.items():
            if isinstance(value, str) and len(value) >= 8 and _SECRET.search(str(key)):
                found.add(value)
            elif isinstance(value, (dict, list)):
                found |= _secrets(value, depth + 1)
    elif isinstance(given, list):
        for value in given:
            if isinstance(value, (dict, list)):
                found |= _secrets(value, depth + 1)
    return found


def _displayable(given: Any, depth: int = 0) -> Any:
    """The value, with displayable text; too deep ones are null."""
    if depth > _DEPTH:
        return None
    if isinstance(given, str):
        return foreign.shown(given)[:_LINE]
    if isinstance(given, list):
        return [_displayable(value, depth + 1) for value in given[:_LINES]]
    if isinstance(given, dict):
        return {foreign.line(str(key)): _displayable(one, depth + 1) for key, one in given.items()}
    return given if isinstance(given, (int, float, bool)) else None


def _public_lock(lock: Map) -> dict[str, Any]:
    return {key: _displayable(lock.get(key)) for key in LOCK_KEYS}


def _seconds(text: object) -> float:
    """Of 2026-11-27T23:24:36.113371+00:00, or 0."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return 0.0
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
