# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`executor_config`: settings of the container that a recipe asks for, and which of them it gets.

Keys and forms are those that public recipes have; capabilities are named in capabilities(7).
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.fields import MEMORY
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.hooks import volumes_of
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Recipe,
    Volume,
)

_FIELD = "executor_config"
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?")
_LIMIT = re.compile(r"(-1|[0-9]{1,19}|unlimited)")
_ULIMIT = re.compile(r"[a-z]{1,16}")
# Those that concern the container's own processes, and no others of the node.
_CAPABILITIES = (
    "IPC_LOCK",
    "IPC_OWNER",
    "LEASE",
    "NET_BIND_SERVICE",
    "PERFMON",
    "SYS_CHROOT",
    "SYS_NICE",
    "SYS_PTRACE",
    "SYS_RESOURCE",
)
# What a container has anyway, or what a launch decides.
_DECIDED = ("auto_remove", "restart_policy", "gpus", "ipc", "network", "labels")


class Executor(t.NamedTuple):
    """Settings of every container of a recipe; empty where it does not ask for them.

    user: as `docker run --user` takes it. shm_size: an amount of memory. ulimits: name:soft:hard.
    """

    user: str = ""
    shm_size: str = ""
    cap_add: tuple[str, ...] = ()
    ulimits: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()

    def limits(self, others: t.Iterable[str]) -> list[str]:
        """These ulimits, and those of others that are not among them."""
        own = {limit.partition(":")[0] for limit in self.ulimits}
        return [*(limit for limit in others if limit.partition(":")[0] not in own), *self.ulimits]


def executor_of(recipe: Recipe) -> Executor:
    """What of `executor_config` is applied; `executor_issues` reports the rest."""
    return _read(recipe)[0]


def executor_issues(recipe: Recipe) -> list[Issue]:
    """What is wrong with `executor_config`, refused, or not applied."""
    executor, issues = _read(recipe)
    if not recipe.trusted:
        asked = [key for key in ("user", "cap_add", "volumes") if getattr(executor, key)]
        if asked:
            issues.append(
                _issue(
                    recipe,
                    "untrusted",
                    asked[0],
                    "it comes from a registry that is not trusted, and without it something else "
                    "would be served",
                    "Read it, then set trusted: true for that registry in "
                    "dgxspark_recipe_registries",
                )
            )
    return issues


def _read(recipe: Recipe) -> tuple[Executor, list[Issue]]:
    given = {str(key): value for key, value in recipe.executor_config.items()}
    issues: list[Issue] = []

    def wrong(key: str, message: str, fix: str) -> None:
        issues.append(_issue(recipe, "executor-invalid", key, message, fix))

    if given.pop("privileged", None):
        issues.append(
            _issue(
                recipe,
                "unsupported-field",
                "privileged",
                "a privileged container can change everything on its node; GPU, InfiniBand devices "
                "and locked memory are there without it",
                "Remove it; name what is missing by cap_add or ulimit",
            )
        )
    user = str(given.pop("user", None) or "").strip()
    if user and not _USER.fullmatch(user):
        wrong("user", f"{user!r:.40} is not a user", "Write it as user or user:group")
        user = ""
    size = str(given.pop("shm_size", None) or "").strip()
    if size and not re.search(MEMORY, size):
        wrong("shm_size", f"{size!r:.40} is not an amount of memory", "Write it as 16g or 512m")
        size = ""
    capabilities = []
    for name in _words(given.pop("cap_add", None)):
        short = name.upper().removeprefix("CAP_")
        if short in _CAPABILITIES:
            capabilities.append(short)
        else:
            wrong(
                "cap_add",
                f"{name!r:.40} reaches beyond the container",
                f"Use one of {', '.join(_CAPABILITIES)}",
            )
    limits = []
    for name, value in _ulimits(given.pop("ulimit", None), given.pop("ulimits", None)):
        soft, _colon, hard = value.partition(":")
        if _ULIMIT.fullmatch(name) and all(map(_LIMIT.fullmatch, (soft, hard or soft))):
            limits.append(f"{name}:{soft}:{hard or soft}".replace("unlimited", "-1"))
        else:
            wrong("ulimit", f"{name}={value:.40} is no limit", "Write it as memlock=-1:-1")
    volumes, problems = volumes_of(given.pop("volumes", None))
    for problem in problems:
        wrong("volumes", problem, "Write each as source:target, with :rw if it is written to")
    left = sorted(key for key, value in given.items() if value not in (None, "", [], {}, False))
    if left:
        issues.append(
            recipe.issue(
                "ignored-field",
                "suggestion" if set(left) <= set(_DECIDED) else "warning",
                _FIELD,
                f"not applied: {', '.join(left)}",
                "No change is needed if the recipe serves without it",
            )
        )
    executor = Executor(user, size, tuple(capabilities), tuple(limits), volumes)
    return executor, issues


def _words(value: t.Any) -> list[str]:
    return [str(one) for one in (value if isinstance(value, list) else [value] if value else [])]


def _ulimits(*given: t.Any) -> t.Iterator[tuple[str, str]]:
    """Name and limits of a list of `name=soft:hard`, or of a map; `name:soft:hard` is the same."""
    for value in given:
        if isinstance(value, dict):
            for name, limit in value.items():
                if isinstance(limit, dict):
                    limit = f"{limit.get('soft', '')}:{limit.get('hard', limit.get('soft', ''))}"
                yield str(name), str(limit)
            continue
        for text in _words(value):
            name, _mark, limit = re.sub(r"[=:]", "\0", text, count=1).partition("\0")
            yield name, limit


def _issue(recipe: Recipe, code: str, key: str, message: str, fix: str) -> Issue:
    return recipe.issue(code, "error", f"{_FIELD}.{key}", message, fix)
