# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of an inventory that cannot stand beside each other."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    RecipeError,
)

# Of an entry of dgxspark_services, see services/declared.py.
KEYS = (
    "name",
    "recipe",
    "overrides",
    "nodes",
    "url",
    "port",
    "kind",
    "restart_on_deep_failure",
    "checkout",
    "user",
    "branch",
    "compose",
    "deploy_key",
    "container",
)


class Service(t.NamedTuple):
    """A server of the inventory. node: on which it listens; "" for any, where none is named."""

    name: str
    port: int
    node: str


def services_of(
    given: t.Any, port_of: t.Callable[[str, t.Any], int]
) -> tuple[list[Service], list[Issue]]:
    """The services that the inventory names, each {name, recipe or port, overrides, nodes}.

    One with a `url` listens elsewhere, a bot nowhere; both are left out.

    port_of: the port of a recipe with overrides; raises RecipeError where it has none.
    """
    if not isinstance(given, (list, tuple)):
        return [], [_wrong(f"dgxspark_services is {given!r:.60}, expected a list of maps")]
    services, issues = [], []
    for entry in given:
        if isinstance(entry, t.Mapping) and (entry.get("url") or entry.get("checkout")):
            continue
        try:
            services.append(_service(entry, port_of))
        except RecipeError as exc:
            issues.append(_wrong(str(exc)))
    return services, issues


def port_clashes(services: t.Sequence[Service]) -> list[Issue]:
    """An error for each two services that listen on one port of one node."""
    issues = []
    for index, first in enumerate(services):
        for other in services[index + 1 :]:
            if first.port == other.port and (
                first.node == other.node or "" in (first.node, other.node)
            ):
                where = f"port {first.port} of {first.node or other.node or 'the same node'}"
                issues.append(
                    Issue(
                        "port-clash",
                        "error",
                        f"dgxspark_services.{other.name}",
                        f"{first.name} and {other.name} both listen on {where}",
                        "Give one of them another port, or another node",
                    )
                )
    return issues


def _service(entry: t.Any, port_of: t.Callable[[str, t.Any], int]) -> Service:
    if not isinstance(entry, t.Mapping) or not set(entry) <= set(KEYS):
        raise RecipeError(f"expected a map of {', '.join(KEYS)}, found {entry!r:.80}")
    name = str(entry.get("name") or entry.get("recipe") or "")
    port = entry.get("port")
    if port is None and entry.get("recipe"):
        port = port_of(str(entry["recipe"]), entry.get("overrides"))
    try:
        number = int(str(port))
    except ValueError:
        number = 0
    if not name or not 0 < number < 65536:
        raise RecipeError(f"{name or 'a service'}: it has no name, or no port from 1 to 65535")
    nodes = entry.get("nodes") or [""]
    # The first is the head, where a model's server listens.
    return Service(name, number, str(nodes if isinstance(nodes, str) else nodes[0]))


def _wrong(message: str) -> Issue:
    return Issue(
        "service-invalid",
        "error",
        "dgxspark_services",
        message,
        "Write each as {name: chat, recipe: NAME, nodes: [spark1]} or with port for recipe",
    )
