# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services that an inventory declares in `dgxspark_services`."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from urllib.parse import urlsplit

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import is_service
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import KINDS
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.conflicts import KEYS
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.hooks import is_absolute
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.nearest import nearest
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    parse_overrides,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import is_ip

_BOT = ("user", "branch", "compose", "deploy_key", "container")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# No option of git, and nothing that climbs.
_BRANCH = re.compile(r"[A-Za-z0-9_](?!.*\.\.)[A-Za-z0-9_./-]*")
_EXPECTED = {
    "checkout": "an absolute path",
    "user": "the name of a user, not root",
    "container": "the name of a container",
    "branch": "the name of a branch",
    "compose": "a path within the checkout",
    "deploy_key": "an absolute path",
}


@dataclasses.dataclass(frozen=True)
class Bot:
    """A bot of somebody's: a checkout of a git repository that Docker Compose runs.

    checkout: an absolute path on its node. user: who owns it and runs it, not root. compose: the
    file, in the checkout. deploy_key: a private key on the node; "" for what the user has set up.
    container: by which its health is known.
    """

    checkout: str
    user: str
    container: str
    branch: str = "main"
    compose: str = "compose.yml"
    deploy_key: str = ""


@dataclasses.dataclass(frozen=True)
class Declared:
    """A service that should run. nodes: for its ranks, in order; empty for those of the play.

    recipe: name or path; empty where `url` (watched, never touched) or `port` (of somebody else's
    server, which only counts for ports) or `bot` is given. restart_on_deep_failure: as of
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
    bot: Bot | None = None

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
    kinds = [key for key in ("recipe", "url", "port", "checkout") if entry.get(key)]
    if len(kinds) != 1:
        raise RecipeError(
            f"{name}: expected one of recipe, url, port and checkout, found {kinds or 'none'}"
        )
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
        _bot(name, entry, nodes),
    )


def _bot(name: str, entry: t.Mapping[str, t.Any], nodes: t.Sequence[str]) -> Bot | None:
    if not entry.get("checkout"):
        strange = [key for key in _BOT if entry.get(key)]
        if strange:
            raise RecipeError(f"{name}: {strange[0]} is for a bot, with its checkout")
        return None
    missing = [key for key in ("user", "container") if not entry.get(key)]
    if missing:
        raise RecipeError(f"{name}: a bot has a user, who runs it, and a container")
    bot = Bot(**{key: str(entry[key]) for key in ("checkout", *_BOT) if entry.get(key)})
    if list(_kinds(entry)) != ["bot"] or len(nodes) != 1:
        raise RecipeError(f"{name}: with a checkout, kind is bot, and nodes has its one node")
    wrong = [
        (key, text)
        for key, text, right in (
            ("checkout", bot.checkout, is_absolute(bot.checkout) and bot.checkout != "/"),
            ("user", bot.user, _USER.fullmatch(bot.user) and bot.user != "root"),
            ("container", bot.container, _CONTAINER.fullmatch(bot.container)),
            ("branch", bot.branch, _BRANCH.fullmatch(bot.branch)),
            ("compose", bot.compose, is_absolute(f"/{bot.compose}") and bot.compose[0] != "/"),
            ("deploy_key", bot.deploy_key, not bot.deploy_key or is_absolute(bot.deploy_key)),
        )
        if not right
    ]
    for key, text in wrong:
        raise RecipeError(f"{name}: {key} is {text!r:.80}, expected {_EXPECTED[key]}")
    return bot


def bot_of(services: t.Sequence[Declared], name: str) -> Declared:
    """The bot of that name; the only one without a name. Raises RecipeError."""
    bots = {one.name: one for one in services if one.bot}
    if not bots:
        raise RecipeError("dgxspark_services has no bot: an entry with kind: bot and a checkout")
    if not name and len(bots) > 1:
        raise RecipeError(f"Several bots are declared: {', '.join(sorted(bots))}. Name one")
    name = name or next(iter(bots))
    if name not in bots:
        raise RecipeError(f"There is no bot {name!r:.40}, but {', '.join(sorted(bots))}")
    return bots[name]


def _kinds(entry: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    given = entry.get("kind") or ()
    return tuple(map(str, [given] if isinstance(given, str) else given))


def _kind(name: str, entry: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    words = _kinds(entry)
    if words and not (entry.get("url") or entry.get("checkout")):
        raise RecipeError(f"{name}: kind is for a url or a bot; a recipe has its own")
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
