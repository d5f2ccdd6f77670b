# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services that an inventory declares in `dgxspark_services`."""

from __future__ import annotations

import dataclasses
import typing as t
from urllib.parse import urlsplit

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import is_service
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import KINDS
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.conflicts import KEYS
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.nearest import nearest
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    parse_overrides,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import is_ip


@dataclasses.dataclass(frozen=True)
class Declared:
    """A service that should run. nodes: for its ranks, in order; empty for those of the play.

    recipe: name or path; empty where `url` (watched, never touched) or `port` (of somebody else's
    server, which only counts for ports) is given. restart_on_deep_failure: as of
    `launch_plan`, None where it is that of the inventory. kind: what a watched server is asked, as
    of kinds.py.
    """

    name: str
    recipe: str = ""
    overrides: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    url: str = ""
    port: int = 0
    restart_on_deep_failure: bool | None = None
    kind: tuple[str, ...] = ()

    @property
    def launch(self) -> dict[str, t.Any]:
        """Further options of the lookup launch_plan, which are variables of a launch as well."""
        chosen = self.restart_on_deep_failure
        return {} if chosen is None else {"restart_on_deep_failure": chosen}


def declared(given: t.Any, hosts: t.Collection[str]) -> list[Declared]:
    """The services of an inventory, in its order. hosts: that a service may name.

    Raises RecipeError with all that is wrong.
    """
    if not isinstance(given, (list, tuple)):
        raise RecipeError(f"dgxspark_services is {given!r:.60}, expected a list of maps")
    services: list[Declared] = []
    problems: list[str] = []
    for number, entry in enumerate(given, 1):
        try:
            services.append(_declared(entry, hosts))
        except (RecipeError, ValueError) as error:
            problems.append(f"service {number}: {error}")
    names = [service.name for service in services]
    problems += [
        f"two services are named {name}" for name in sorted({*names}) if names.count(name) > 1
    ]
    if problems:
        raise RecipeError("dgxspark_services: " + "; ".join(problems))
    return services


def _declared(entry: t.Any, hosts: t.Collection[str]) -> Declared:
    if not isinstance(entry, t.Mapping):
        raise RecipeError(f"expected a map, found {entry!r:.60}")
    for key in entry:
        if key not in KEYS:
            meant = "".join(f"; did you mean {other}?" for other in nearest(str(key), KEYS))
            raise RecipeError(f"unknown key {key!r:.40}{meant}")
    name = str(entry.get("name") or "")
    if not is_service(name):
        raise RecipeError(
            f"its name is {name!r:.60}, expected lower-case letters, digits and dashes, at most 31"
        )
    kinds = [key for key in ("recipe", "url", "port") if entry.get(key)]
    if len(kinds) != 1:
        raise RecipeError(f"{name}: expected one of recipe, url and port, found {kinds or 'none'}")
    nodes = entry.get("nodes") or ()
    nodes = tuple(map(str, nodes.split(",") if isinstance(nodes, str) else nodes))
    unknown = [node for node in nodes if node not in hosts]
    if unknown:
        raise RecipeError(
            f"{name}: there is no host {', '.join(unknown)}, but {', '.join(sorted({*hosts}))}"
        )
    url = str(entry.get("url") or "")
    if url and not _is_watchable(url):
        raise RecipeError(
            f"{name}: url is {url!r:.80}, expected http://ADDRESS:PORT with an IP address"
        )
    restart = entry.get("restart_on_deep_failure")
    if restart is not None and not isinstance(restart, bool):
        raise RecipeError(f"{name}: restart_on_deep_failure is {restart!r:.40}, expected a boolean")
    return Declared(
        name,
        str(entry.get("recipe") or ""),
        parse_overrides(entry.get("overrides") or {}),
        nodes,
        url,
        int(entry.get("port") or 0),
        restart,
        _kind(name, entry),
    )


def _kind(name: str, entry: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    given = entry.get("kind") or ()
    words = tuple(map(str, [given] if isinstance(given, str) else given))
    if words and not entry.get("url"):
        raise RecipeError(f"{name}: kind is for a url; a recipe has its own")
    unknown = [word for word in words if word not in KINDS]
    if unknown:
        raise RecipeError(f"{name}: kind is {unknown[0]!r:.40}, expected of {', '.join(KINDS)}")
    return words


def _is_watchable(url: str) -> bool:
    parts = urlsplit(url)
    return (
        parts.scheme in ("http", "https")
        and is_ip(parts.hostname or "")
        and not parts.username
        and not parts.query
    )
