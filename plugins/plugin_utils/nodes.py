# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts of an inventory are the nodes of a playbook, and why there are none."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import short

HEADS, WORKERS, SERVICES = "spark_heads", "spark_workers", "spark_services"
# What a playbook asks for -> the groups that have it.
GROUPS = {
    "serving": (HEADS, WORKERS),
    "services": (SERVICES,),
    "all": (HEADS, WORKERS, SERVICES),
}
# The value of a variable in an example inventory, in YAML or INI, that somebody has to replace.
PLACEHOLDER = re.compile(r"^[^#\n]*?[:=][ \t]*[\"']?(<[a-z][a-z0-9-]*>)[\"']?[ \t]*(?:#.*)?$", re.M)
# Larger files are written by programs.
LARGE = 1 << 20

Groups = Mapping[str, Sequence[str]]


def nodes_of(what: str, groups: Groups, own: Sequence[str] | None = None) -> list[str]:
    """The nodes, each once, the head first. own: the serving nodes, whatever the groups have."""
    serving = [*groups.get(HEADS, ()), *groups.get(WORKERS, ())] if own is None else list(own)
    services = [node for node in groups.get(SERVICES, ()) if node not in serving]
    chosen = {"serving": serving, "services": services, "all": serving + services}
    return list(dict.fromkeys(chosen[what]))


def why_none(what: str, groups: Groups, pattern: str = "") -> str:
    """One paragraph for an inventory without nodes. pattern: of dgxspark_hosts."""
    if not groups.get("all"):
        return "The inventory has no hosts. Name yours: -i INVENTORY."
    named = sorted(set(groups) - {"all", "ungrouped"})
    existing = f"Groups of the inventory: {', '.join(named) or 'none'}."
    if pattern:
        return f"dgxspark_hosts={pattern} matches no host of the inventory. {existing}"
    return (
        f"The inventory has no hosts in the groups {', '.join(GROUPS[what])}. Add your Sparks to"
        f" them, or use an existing group: -e dgxspark_hosts=GROUP. {existing}"
    )


def placeholders(sources: Sequence[str]) -> str:
    """One paragraph that names those of the inventory's files; "" without any."""
    found: dict[str, list[str]] = {}
    for path in _files(sources):
        with open(path, encoding="utf-8", errors="replace") as stream:
            names = list(dict.fromkeys(PLACEHOLDER.findall(stream.read())))
        if names:
            found[path] = names
    if not found:
        return ""
    where = "; ".join(f"{', '.join(names)} in {short(path)}" for path, names in found.items())
    return f"The inventory has placeholders: replace {where}."


def _files(sources: Sequence[str]) -> Iterator[str]:
    """The files of the sources that people write, those of group_vars and host_vars included."""
    for source in sources:
        inside = source if os.path.isdir(source) else os.path.dirname(source)
        if os.path.isfile(source):
            yield from filter(_is_written, [source])
        elif not os.path.isdir(source):
            continue  # a list of hosts
        folders = [os.path.join(inside, name) for name in ("group_vars", "host_vars")]
        if os.path.isdir(source):
            folders.insert(0, source)
        for folder in folders:
            for path, below, names in os.walk(folder):
                if path == source:
                    below.clear()
                paths = [os.path.join(path, name) for name in sorted(names)]
                yield from filter(_is_written, paths)


def _is_written(path: str) -> bool:
    try:
        return (
            os.path.isfile(path)
            and os.access(path, os.R_OK)
            and not os.access(path, os.X_OK)
            and os.path.getsize(path) <= LARGE
        )
    except OSError:
        return False
