# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of services that the gateway reads: docs/contracts/gateway.md. Pure."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import kinds, readiness
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.nearest import nearest
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import is_ip
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import Declared
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.health import Row
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.outages import (
    DOWN,
    NODE,
    OFF,
    SERVICE,
    UP,
)

SCHEMA = 1
CAPS = ("concurrency", "queue", "timeout")
_ADDRESSES = ("dgxspark_address", "ansible_host", "dgxspark_fabric_address", "inventory_hostname")
# The phases in which a deep probe has proven that the server does not do its work. In others it
# does not answer yet, which the gateway itself observes.
_PROVEN = (readiness.HEALTHY, readiness.REFUSING, readiness.REJECTED)

Entry = dict[str, t.Any]


def document(
    rows: t.Sequence[Row],
    previous: str,
    caps: t.Mapping[str, t.Any],
) -> dict[str, t.Any]:
    """The file, from what health has found. Raises RecipeError for caps that it does not know.

    previous: the text of the file until now. What it has of nodes that were not inspected remains.
    caps: service -> those of CAPS that differ from its kind's.
    """
    inspected = {row.name for row in rows if row.what == NODE and row.state == UP}
    services = {}
    for row in rows:
        paths = _paths(row.kind)
        if row.what == SERVICE and row.node in inspected and row.url and row.state != OFF and paths:
            services[row.name] = _entry(row, paths)
    present = {row.name for row in rows if row.what == SERVICE and row.node in inspected}
    for entry in _entries(previous):
        if entry.get("node") not in inspected and entry.get("name") not in present:
            services.setdefault(str(entry.get("name")), entry)
    for name, entry in services.items():
        entry.update(_own_caps(name, caps.get(name) or {}))
    return {"schema": SCHEMA, "services": [services[name] for name in sorted(services)]}


def addresses(
    hosts: t.Iterable[t.Mapping[str, t.Any]], services: t.Iterable[Declared]
) -> list[str]:
    """The IP addresses that the inventory has for its hosts and for servers that are watched."""
    found = {str(host.get(name) or "") for host in hosts for name in _ADDRESSES}
    found |= {urlsplit(service.url).hostname or "" for service in services}
    return sorted(filter(is_ip, found))


def _paths(kind: t.Sequence[str]) -> list[str]:
    """Of a server whose kind is not known, all that it may have: it says itself what it lacks."""
    return sorted({path for one in kind or kinds.AUTO for path in kinds.KINDS[one].gateway})


def _entry(row: Row, paths: list[str]) -> Entry:
    failed = row.state == DOWN and row.deep and row.phase in _PROVEN
    of_kinds = [kinds.KINDS[one].caps for one in row.kind or kinds.AUTO[:1]]
    return {
        "name": row.name,
        "node": row.node,
        "url": row.url.rstrip("/"),
        "kind": list(row.kind),
        "paths": paths,
        "model": row.model,
        "light": kinds.light_path(row.kind),
        "state": "failed" if failed else "ready",
        "why": foreign.line(row.detail)[:200] if failed else "",
        "concurrency": min(one.concurrency for one in of_kinds),
        "queue": min(one.queue for one in of_kinds),
        "timeout": max(one.timeout for one in of_kinds),
    }


def _own_caps(name: str, given: t.Any) -> dict[str, int]:
    if not isinstance(given, t.Mapping):
        raise RecipeError(f"caps of {name}: expected a map, found {given!r:.60}")
    for key, value in given.items():
        if key not in CAPS:
            meant = "".join(f"; did you mean {one}?" for one in nearest(str(key), CAPS))
            raise RecipeError(f"caps of {name}: unknown key {key!r:.40}{meant}")
        if not isinstance(value, int) or isinstance(value, bool) or value < (key != "queue"):
            raise RecipeError(f"caps of {name}: {key} is {value!r:.40}, expected a number")
    return dict(given)


def _entries(text: str) -> list[Entry]:
    """Those of a file of this schema; none of anything else."""
    try:
        given = foreign.json_of(text)
    except foreign.Foreign:
        return []
    if not isinstance(given, dict) or given.get("schema") != SCHEMA:
        return []
    entries = given.get("services")
    return [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
