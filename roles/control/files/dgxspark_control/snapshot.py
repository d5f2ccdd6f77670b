# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers that are made of several reports. Pure.

Reports are those of docs/contracts; what is not of their shape is as if it were missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import KINDS
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.endpoints import document
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.health import Row
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.outages import (
    BUSY,
    DEEP,
    NODE,
    OFF,
    POLL,
    SERVICE,
    STATES,
    UNKNOWN,
    UP,
    Entry,
    Line,
    Observation,
    State,
    outages,
    to_json,
)
from dgxspark_control import plays
from dgxspark_control.config import Config
from dgxspark_control.files import moment
from dgxspark_control.plays import Play

Map = Mapping[str, Any]
Maps = list[dict[str, Any]]

RETAINED = "retained"
# Seconds after which a poll and a status are late.
LATE_POLL, LATE_FACTS = 30.0, 900.0
_SWAP_SECONDS = 20


@dataclass(frozen=True)
class Known:
    """What is known. at: of the last poll. details: subject -> of its last poll.

    status, health, deep, schedule: reports, or None. failure: why the last status.yml has failed.
    """

    at: float | None = None
    facts_at: float | None = None
    failure: str = ""
    subjects: Mapping[str, Entry] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    status: Map | None = None
    health: Map | None = None
    deep: Map | None = None
    schedule: Sequence[Any] | None = None


def status(known: Known, jobs: Maps, config: Config, now: float) -> dict[str, Any]:
    """As of answers.Status."""
    report = known.status or {}
    why = _stale(known, config, now)
    return {
        "at": _moment(known.at),
        "facts_at": _moment(known.facts_at),
        "stale": bool(why),
        "why": why,
        "nodes": nodes(known, config),
        "services": services(known, config),
        "lock": lock(report, now),
        "swaps": swaps(report),
        "last_swap": dict(_map(report.get("swap"))),
        "schedule": entries(known.schedule),
        "jobs": jobs,
        "gateway": config.gateway,
    }


def _stale(known: Known, config: Config, now: float) -> str:
    if known.at is None or now - known.at > max(LATE_POLL, 3 * config.poll):
        return "the nodes were not polled lately"
    if known.failure:
        return f"status.yml has failed: {known.failure}"
    if known.facts_at is None:
        return "status.yml has not reported yet"
    late = now - known.facts_at > max(LATE_FACTS, 3 * config.facts)
    return "status.yml has not reported lately" if late else ""


def _moment(at: float | None) -> str | None:
    return None if at is None else moment(at)


def _map(value: Any) -> Map:
    return value if isinstance(value, Mapping) else {}


def _maps(value: Any) -> list[Map]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _text(of: Map, key: str) -> str:
    value = of.get(key)
    return value if isinstance(value, str) else ""


def nodes(known: Known, config: Config) -> Maps:
    """As of answers.Node: those of the settings, then others that plays have reported."""
    rows = {_text(row, "name"): row for row in rows_of(known.health, NODE)}
    report = known.status or {}
    addresses = {node.name: node.address for node in config.nodes}
    names = dict.fromkeys([*addresses, *rows, *map(str, _map(report.get("nodes")))])
    return [
        {
            "name": name,
            "address": addresses.get(name, ""),
            **_state(known, f"{NODE}/{name}", rows.get(name, {})),
            "memory_total_bytes": _bytes(report, "memory", name),
            "memory_available_bytes": _bytes(report, "nodes", name),
            "containers_unknown": _text(_map(report.get("containers_unknown")), name),
        }
        for name in names
    ]


def _bytes(report: Map, key: str, name: str) -> int | None:
    value = _map(report.get(key)).get(name)
    return value if isinstance(value, int) and value > 0 else None


def _state(known: Known, subject: str, row: Map) -> dict[str, Any]:
    entry = known.subjects.get(subject)
    state = entry.state if entry else _text(row, "state")
    return {
        "state": state if state in STATES else UNKNOWN,
        "since": moment(entry.since) if entry else None,
        "detail": known.details.get(subject) or _text(row, "detail"),
    }


def rows_of(health: Map | None, what: str) -> list[Map]:
    """The rows of a kind of subject."""
    subjects = _maps((health or {}).get("subjects"))
    return [row for row in subjects if row.get("what") == what and _text(row, "name")]


def workloads(report: Map | None) -> dict[str, Map]:
    """Service -> what runs of it."""
    found: dict[str, Map] = {}
    for workload in _maps((report or {}).get("workloads")):
        if workload.get("state") != RETAINED and _text(workload, "service"):
            found.setdefault(_text(workload, "service"), workload)
    return found


def services(known: Known, config: Config) -> Maps:
    """As of answers.Service, by name."""
    rows = {_text(row, "name"): row for row in rows_of(known.health, SERVICE)}
    running = workloads(known.status)
    return [
        _service(name, known, rows.get(name, {}), running.get(name, {}), config)
        for name in sorted({*rows, *running})
    ]


def _service(name: str, known: Known, row: Map, workload: Map, config: Config) -> dict[str, Any]:
    report = known.status or {}
    plan, recipe = _text(workload, "plan_hash"), _text(workload, "recipe")
    watched = row.get("watched") is True
    kind = [one for one in _texts(row.get("kind")) or _texts(workload.get("kind")) if one in KINDS]
    return {
        "name": name,
        **_state(known, f"{SERVICE}/{name}", row),
        "kind": kind,
        "recipe": recipe,
        "served_model_name": _text(workload, "served_model_name") or _text(row, "model"),
        "url": _text(workload, "url") or _text(row, "url"),
        "endpoint": _text(workload, "endpoint") or _text(row, "url"),
        "head": _text(workload, "head"),
        "nodes": _texts(workload.get("nodes")),
        "plan_hash": plan,
        "confirm": f"{recipe}@{plan[:12]}" if workload else "",
        "runs": _text(workload, "state"),
        "drift": _text(_map(report.get("drift")), plan),
        "watched": watched,
        "deep": _deep(name, known.deep),
        "ranks": [_rank(rank) for rank in _maps(workload.get("ranks"))],
        "ray": _texts(workload.get("ray")),
        "commands": {} if watched else _commands(name, bool(workload), report, config),
    }


def _deep(name: str, report: Map | None) -> dict[str, Any] | None:
    at = (report or {}).get("at")
    for row in rows_of(report, SERVICE):
        if row["name"] == name and row.get("deep") is True and isinstance(at, (int, float)):
            state = _text(row, "state")
            seconds = row.get("seconds")
            return {
                "at": moment(at),
                "state": state if state in STATES else UNKNOWN,
                "detail": _text(row, "detail"),
                "seconds": seconds if isinstance(seconds, (int, float)) else None,
            }
    return None


def _rank(rank: Map) -> dict[str, Any]:
    unit = rank.get("unit")
    return {
        "rank": _whole(rank.get("rank")),
        **{key: _text(rank, key) for key in ("node", "container", "status", "started")},
        "unit": _unit(unit) if isinstance(unit, Mapping) and unit else None,
    }


def _unit(unit: Map) -> dict[str, Any]:
    down = unit.get("down")
    down = down if isinstance(down, Mapping) else {}
    at = down.get("at")
    fell = {"at": float(at), "why": _text(down, "why")} if isinstance(at, (int, float)) else None
    return {
        "state": _text(unit, "state"),
        "enabled": unit.get("enabled") is True,
        "restarts": _whole(unit.get("restarts")),
        "status_text": _text(unit, "status_text"),
        "down": fell,
    }


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _commands(name: str, runs: bool, report: Map, config: Config) -> dict[str, str]:
    found: dict[str, Play] = {}
    if runs:
        found["stop"] = plays.stop(name)
        found |= {action: plays.again(action, name) for action in plays.AGAIN if action != "start"}
        found["logs"] = plays.logs(name)
    else:
        found["start"] = plays.again("start", name)
    if _maps(_map(report.get("history")).get(name)):
        found["back"] = plays.launch("", True, name)
    return {action: plays.command(play, config) for action, play in found.items()}


def lock(report: Map, now: float) -> dict[str, Any]:
    """As of answers.Lock."""
    held = _map(report.get("lock"))
    expires = _text(held, "expires")
    return {
        "held": bool(held) and expires > moment(now),
        "owner": _text(held, "owner"),
        "reason": _text(held, "reason"),
        **{key: _text(held, key) or None for key in ("since", "expires", "run_since")},
    }


def swaps(report: Map) -> Maps:
    """As of answers.OpenSwap."""
    words = ("service", "id", "recipe", "owner", "decider", "state", "step", "since", "what")
    return [
        {
            **{word: _text(swap, word) for word in words},
            "attempt": _whole(swap.get("attempt")),
            "missing": _texts(swap.get("missing")),
            "nodes": _texts(swap.get("nodes")),
        }
        for swap in _maps(report.get("swaps"))
    ]


def entries(schedule: Sequence[Any] | None) -> Maps:
    """As of answers.Announced."""
    keys = ("id", "owner", "reason", "begin", "end")
    return [{key: _text(one, key) for key in keys} for one in _maps(schedule)]


def endpoints(services: Iterable[Map], gateway: str) -> dict[str, Any]:
    """As of answers.Endpoints. services: of the status."""
    found = []
    for service in services:
        ready = service["state"] in (UP, BUSY)
        found.append(
            {
                "name": service["name"],
                "kind": service["kind"],
                "ready": ready,
                "state": service["state"],
                "model": service["served_model_name"],
                "base_url": service["endpoint"],
                "why": "" if ready else service["detail"] or service["state"],
            }
        )
    return {"gateway": gateway, "services": found}


def recipes(report: Iterable[Any], config: Config) -> Maps:
    """As of answers.Recipe."""
    found = []
    for row in _maps(report):
        name, memory, disk = _text(row, "name"), row.get("memory"), row.get("on_disk")
        texts = ("name", "title", "description", "model", "runtime", "mode", "nodes", "fits")
        command = plays.command(plays.launch(name, False, ""), config)
        found.append(
            {
                **{key: _text(row, key) for key in (*texts, "confidence", "error")},
                "memory": memory if isinstance(memory, (int, float)) else None,
                "on_disk": disk if isinstance(disk, bool) else None,
                "errors": _whole(row.get("errors")),
                "command": "" if row.get("errors") else command,
            }
        )
    return found


def models(report: Map, at: str | None, config: Config) -> dict[str, Any]:
    """As of answers.Models."""
    rows = []
    for row in _maps(report.get("models")):
        name, of = _text(row, "name"), _texts(row.get("recipes"))
        found = {"delete": plays.delete(name, name)}
        if of:
            found["launch"] = plays.launch(of[0], False, "")
        elif row.get("needs_setup") is True:
            found["setup"] = plays.setup(name)
        commands = {key: plays.command(play, config) for key, play in found.items()}
        rows.append({**row, "commands": commands})
    return {
        "at": at,
        "nodes": _texts(report.get("nodes")),
        "unknown": {str(node): str(why) for node, why in _map(report.get("unknown")).items()},
        "ignored": dict(_map(report.get("ignored"))),
        "models": rows,
        "download_command": plays.command(plays.download("ORG/NAME"), config),
    }


def health(known: Known, deep_at: str | None, config: Config) -> dict[str, Any]:
    """As of answers.HealthReport."""
    report = known.health or {}
    at = report.get("at")
    return {
        "at": moment(at) if isinstance(at, (int, float)) else None,
        "deep_at": deep_at,
        "subjects": [dict(row) for row in _maps(report.get("subjects"))],
        "containers": {
            str(node): [dict(one) for one in _maps(found)]
            for node, found in _map(report.get("containers")).items()
        },
        "command": plays.command(plays.health(True), config),
    }


def outage_log(lines: Iterable[Line], state: State, since: int, now: int) -> dict[str, Any]:
    """As of answers.Outages. Of an outage that began before, only what is after `since` counts."""
    recent = [
        line._replace(seconds=min(line.seconds, line.at - since)) if line.was == "down" else line
        for line in lines
        if line.at >= since
    ]
    clipped = {
        subject: entry._replace(since=max(entry.since, since))
        for subject, entry in state.subjects.items()
    }
    found = outages(recent, State(clipped, state.watched), now)
    down = {subject: one for subject, one in found.items() if one.count}
    return {
        "since": moment(since),
        "lines": [to_json(line) for line in reversed([one for one in lines if one.at >= since])],
        "minutes_down": {subject: round(one.seconds / 60, 1) for subject, one in down.items()},
        "count": {subject: one.count for subject, one in down.items()},
    }


def health_rows(report: Map | None) -> list[Row]:
    """The rows of a report of health.yml."""
    found = []
    for what in (NODE, SERVICE):
        for row in rows_of(report, what):
            seconds = row.get("seconds")
            found.append(
                Row(
                    what,
                    _text(row, "name"),
                    _text(row, "state"),
                    _text(row, "detail"),
                    _text(row, "node"),
                    _text(row, "url"),
                    _text(row, "model"),
                    tuple(_texts(row.get("kind"))),
                    _text(row, "phase"),
                    seconds if isinstance(seconds, (int, float)) else None,
                    row.get("deep") is True,
                    row.get("watched") is True,
                )
            )
    return found


def observations(
    rows: Sequence[Row], polled: Iterable[str], subjects: Mapping[str, Entry], at: int
) -> list[Observation]:
    """What a report adds to the polls: deep probes, what is not polled, and what is gone.

    polled: the subjects that are polled. subjects: those of the log. A service that no node has any
    more was stopped by a person, if all nodes were asked.
    """
    direct = set(polled)
    found = [
        Observation(at, row.subject, row.state, row.detail, DEEP if row.deep else POLL)
        for row in rows
        if row.state in STATES and (row.deep or row.state == OFF or row.subject not in direct)
    ]
    asked = all(row.state == UP for row in rows if row.what == NODE)
    present = {row.subject for row in rows}
    for subject, entry in subjects.items():
        gone = subject.startswith(f"{SERVICE}/") and subject not in present
        if asked and gone and entry.state not in (OFF, UNKNOWN):
            found.append(Observation(at, subject, OFF, "no node has a unit or container of it"))
    return found


def gateway_file(
    rows: Sequence[Row], previous: str, swapping: Mapping[str, str], report: Map | None, caps: Map
) -> dict[str, Any]:
    """The file of docs/contracts/gateway.md. swapping: service -> the step of its swap."""
    found = document(rows, previous, caps)
    history = _map((report or {}).get("history"))
    for entry in found["services"]:
        if entry.get("state") == "swapping":
            # Of an earlier file.
            entry["state"], entry["why"] = "ready", ""
        if entry.get("name") in swapping:
            entry["state"] = "swapping"
            entry["why"] = swapping[entry["name"]][:200]
            entry["retry_after"] = _swap_seconds(_maps(history.get(entry["name"])))
        else:
            entry.pop("retry_after", None)
    return found


def _swap_seconds(lines: Iterable[Map]) -> int:
    """How long the last swap of a service took, in seconds."""
    for line in lines:
        seconds = line.get("seconds")
        if line.get("result") == "complete" and isinstance(seconds, (int, float)):
            return max(1, min(3600, round(seconds)))
    return _SWAP_SECONDS
