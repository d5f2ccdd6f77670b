# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What answers, from what each node reports about its services. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import is_service
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import KINDS
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import Declared
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.outages import (
    BUSY,
    DEEP,
    DOWN,
    NODE,
    OFF,
    POLL,
    SERVICE,
    UNKNOWN,
    UP,
    Observation,
    Outage,
)

# Of two answers about one service the first of these counts.
_WORST = (DOWN, UNKNOWN, BUSY, UP, OFF)
_TEXT = 300  # characters of a text that is shown
_MOST = 1000  # entries of a list that a node returns

Results = t.Mapping[str, t.Mapping[str, t.Any]]


@dataclasses.dataclass(frozen=True)
class Row:
    """A node or a service. node: that has the server, or asks it if it is watched.

    state: UP, BUSY, DOWN, UNKNOWN or OFF. The others: as of the module health.
    """

    what: str
    name: str
    state: str
    detail: str = ""
    node: str = ""
    url: str = ""
    model: str = ""
    kind: tuple[str, ...] = ()
    phase: str = ""
    seconds: float | None = None
    deep: bool = False
    watched: bool = False

    @property
    def subject(self) -> str:
        return f"{self.what}/{self.name}"


def watched(services: t.Iterable[Declared]) -> list[dict[str, t.Any]]:
    """The option `watch` of the module health for the services that are declared by url."""
    return [
        {"name": service.name, "url": service.url, "kind": list(service.kind)}
        for service in services
        if service.url
    ]


def rows(services: t.Sequence[Declared], results: Results, hosts: t.Sequence[str]) -> list[Row]:
    """The nodes in their order, then the services by name.

    services: those that the inventory declares. results: node -> what the module health returned
    there, or why it did not. hosts: the nodes of the play, of which the first asks what is watched.
    """
    nodes = [_node(node, results.get(node, {})) for node in hosts]
    state = {row.name: row for row in nodes}
    found: dict[str, Row] = {}
    names = {service.name for service in services if service.url}
    for node in hosts:
        for entry in _maps(results.get(node, {}), "services"):
            row = _service(node, entry)
            # What is watched has its name from the inventory, and is asked by the first node.
            if not row or (row.watched and (node != hosts[0] or row.name not in names)):
                continue
            other = found.get(row.name)
            if other is None or _WORST.index(row.state) < _WORST.index(other.state):
                found[row.name] = row
    for name, head in _heads(services, results, hosts):
        if name not in found and (row := _headless(name, head, state)):
            found[name] = row
    for service in services:
        if service.name in found or service.port:
            continue
        if service.url:
            row = Row(
                SERVICE,
                service.name,
                UNKNOWN,
                f"{hosts[0]}, which asks it, has not answered",
                hosts[0],
                service.url,
                kind=service.kind,
                watched=True,
            )
            found[service.name] = row
        elif (service.nodes or hosts)[0] in state:
            found[service.name] = Row(
                SERVICE, service.name, OFF, "declared, and no node has a unit or container of it"
            )
    return [*nodes, *(found[name] for name in sorted(found))]


def _node(node: str, result: t.Mapping[str, t.Any]) -> Row:
    if result.get("unreachable"):
        return Row(NODE, node, DOWN, f"could not be reached: {_text(result, 'msg')}", node)
    if not isinstance(result.get("services"), list):
        why = _text(result, "msg") or "it has returned no services"
        return Row(NODE, node, UNKNOWN, f"could not be inspected: {why}", node)
    why = _text(result, "containers_unknown")
    texts = [f"Docker was not asked: {why}"] if why else []
    # It answers all the same: what is said of the kernel is for people, and no outage.
    messages = [_text(entry, "message") for entry in _maps(result, "kernel")]
    texts += [f"kernel: {message}" for message in messages if message]
    return Row(NODE, node, UP, "; ".join(texts)[:_TEXT], node)


def _service(node: str, entry: t.Mapping[str, t.Any]) -> Row | None:
    """The row of what a node reports; None without the name of a service."""
    name = entry.get("name")
    if not isinstance(name, str) or not is_service(name):
        return None
    state, seconds, kind = entry.get("state"), entry.get("seconds"), entry.get("kind")
    # Neither NaN nor a number that no float has.
    number = isinstance(seconds, (int, float)) and 0 <= seconds < 1e9
    return Row(
        SERVICE,
        name,
        str(state) if state in (UP, BUSY, DOWN) else UNKNOWN,
        _text(entry, "detail"),
        node,
        _text(entry, "url"),
        _text(entry, "model"),
        tuple(word for word in _texts(kind) if word in KINDS),
        _text(entry, "phase"),
        float(seconds) if number and seconds is not None else None,
        entry.get("deep") is True,
        entry.get("watched") is True,
    )


def _heads(
    services: t.Sequence[Declared], results: Results, hosts: t.Sequence[str]
) -> t.Iterator[tuple[str, str]]:
    """Service and the node of its rank 0, by the units of its other ranks, then as declared."""
    for node in hosts:
        for entry in _maps(results.get(node, {}), "ranks"):
            name, nodes = entry.get("service"), _texts(entry.get("nodes"))
            if isinstance(name, str) and is_service(name) and nodes:
                yield name, foreign.line(nodes[0])[:_TEXT]
    lost = [node for node in hosts if not isinstance(results.get(node, {}).get("services"), list)]
    for service in services:
        if (service.recipe or service.bot) and (service.nodes or hosts)[0] in lost:
            yield service.name, (service.nodes or hosts)[0]


def _headless(name: str, head: str, nodes: t.Mapping[str, Row]) -> Row | None:
    """The row of a service whose server no node has reported; head: the node that should have."""
    if head not in nodes:
        why = f"its server is on {head}, which is not in this run"
        return Row(SERVICE, name, UNKNOWN, why, head)
    if nodes[head].state == UP:
        return Row(
            SERVICE, name, DOWN, f"{head} should have its server, and has no unit of it", head
        )
    why = f"its server is on {head}, which {nodes[head].detail.partition(':')[0]}"
    return Row(SERVICE, name, nodes[head].state, why, head)


def _texts(given: t.Any) -> list[str]:
    """The list of texts; empty for anything else."""
    texts = isinstance(given, list) and all(isinstance(word, str) for word in given)
    return given if texts else []


def _maps(result: t.Mapping[str, t.Any], key: str) -> list[t.Mapping[str, t.Any]]:
    """At most _MOST maps of a list."""
    given = result.get(key)
    entries = given[:_MOST] if isinstance(given, list) else []
    return [entry for entry in entries if isinstance(entry, t.Mapping)]


def _text(entry: t.Mapping[str, t.Any], key: str) -> str:
    text = entry.get(key)
    return foreign.line(text.strip())[:_TEXT] if isinstance(text, str) else ""


def containers(results: Results) -> dict[str, list[dict[str, str]]]:
    """Node -> its containers; nodes whose containers are not known are left out."""
    keys = ("name", "service", "rank", "status", "health")
    return {
        node: [{key: _text(entry, key) for key in keys} for entry in _maps(result, "containers")]
        for node, result in results.items()
        if isinstance(result.get("containers"), list) and not result.get("containers_unknown")
    }


def failing(found: t.Iterable[Row]) -> list[str]:
    """The subjects for which a run fails: what is down, and nodes that could not be inspected."""
    return [
        row.subject
        for row in found
        if row.state == DOWN or (row.what == NODE and row.state == UNKNOWN)
    ]


def observations(found: t.Iterable[Row], at: int) -> list[Observation]:
    """What the reducer of outages takes. at: seconds since 1970."""
    return [
        Observation(at, row.subject, row.state, row.detail, DEEP if row.deep else POLL)
        for row in found
    ]


def table(
    found: t.Sequence[Row],
    present: t.Mapping[str, t.Sequence[t.Mapping[str, str]]],
    outages: t.Mapping[str, Outage],
) -> list[str]:
    """The lines for a screen. present: of containers(). outages: of the log, if there is one."""
    cells = [(row.what, row.name, row.state, _said(row)) for row in found]
    cells += [
        (
            "container",
            one["name"],
            one["status"],
            ", ".join(filter(None, [f"on {node}", one["health"]])),
        )
        for node, entries in sorted(present.items())
        for one in entries
    ]
    widths = [max((len(cell[column]) for cell in cells), default=0) for column in range(3)]
    lines = [
        "  ".join([*(cell[n].ljust(widths[n]) for n in range(3)), cell[3]]).rstrip()
        for cell in cells
    ]
    width = max(map(len, outages), default=0)
    lines += [
        f"outages  {subject.ljust(width)}  {one.count}, {one.seconds / 60:.1f} min in all"
        + (", still down" if one.state == DOWN else "")
        for subject, one in outages.items()
        if one.count
    ]
    if outages and not any(one.count for one in outages.values()):
        lines.append("outages  none")
    return lines


def _said(row: Row) -> str:
    where = f"{row.model} at {row.url}" if row.model and row.url else row.url
    detail = row.detail
    if row.seconds is not None:
        detail += f" in {row.seconds:.2f} s"
    return ": ".join(filter(None, [where, detail]))
