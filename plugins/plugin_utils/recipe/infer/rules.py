# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of rules, looked up with facts: which rule decides, and the user's before the bundled."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.infer.tables import TABLES, Rule
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.launch_settings import (
    Confidence,
)

FACTS = frozenset(
    (
        "name",
        "repository",
        "architecture",
        "model_type",
        "kind",
        "scheme",
        "cache",
        "moe",
        "vision",
        "audio",
        "hybrid",
        "weight_only",
        "nodes",
        "image",
    )
)
# Tables whose values are maps, and what their keys look like.
_MAPS = {
    "flags": r"[a-z][a-z0-9_]*",
    "env": r"[A-Za-z_][A-Za-z0-9_]*",
    "limits": r"[a-z_]+",
}
_CONFIDENCE = ("high", "medium", "low")


class TableError(ValueError):
    """A user's table that cannot be used; the text names table, rule and reason."""


@dataclasses.dataclass(frozen=True)
class RuleSetting:
    """A value, where it comes from, and how far it can be trusted."""

    value: t.Any
    source: str
    confidence: Confidence

    def to_dict(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


class Tables:
    """The bundled tables, each with the user's rules before its own."""

    def __init__(self, given: t.Mapping[str, t.Any] | None = None) -> None:
        """given: table -> list of rules. Raises TableError."""
        if given is not None and not isinstance(given, t.Mapping):
            raise TableError(f"tables are a {type(given).__name__}, expected a map of lists")
        self._tables = {name: list(rules) for name, rules in TABLES.items()}
        for name, rules in (given or {}).items():
            if name not in TABLES:
                raise TableError(
                    f"{name!r:.60} is no table of inference; there are {', '.join(TABLES)}"
                )
            if not isinstance(rules, (list, tuple)):
                raise TableError(f"table {name} is a {type(rules).__name__}, expected a list")
            mine = [_checked(name, index, rule) for index, rule in enumerate(rules)]
            self._tables[name] = [*mine, *self._tables[name]]

    def first(self, table: str, facts: t.Mapping[str, t.Any]) -> RuleSetting | None:
        """What the first rule that fits says; None where none does."""
        for rule in self._tables[table]:
            if _fits(rule, facts):
                return _setting(rule, rule["value"])
        return None

    def merged(self, table: str, facts: t.Mapping[str, t.Any]) -> dict[str, RuleSetting]:
        """What all rules that fit say, by key; the first that names a key decides it."""
        settings: dict[str, RuleSetting] = {}
        for rule in self._tables[table]:
            if _fits(rule, facts):
                for key, value in (rule["value"] or {}).items():
                    settings.setdefault(str(key), _setting(rule, value))
        return settings


def _setting(rule: Rule, value: t.Any) -> RuleSetting:
    return RuleSetting(value, rule.get("source", "the inventory"), rule.get("confidence", "high"))


def _fits(rule: Rule, facts: t.Mapping[str, t.Any]) -> bool:
    return all(
        _fits_one(wanted, facts.get(fact)) for fact, wanted in (rule.get("when") or {}).items()
    )


def _fits_one(wanted: t.Any, fact: t.Any) -> bool:
    if isinstance(wanted, (list, tuple)):
        return any(_fits_one(item, fact) for item in wanted)
    if isinstance(wanted, str) and isinstance(fact, str):
        return fnmatch.fnmatchcase(fact.lower(), wanted.lower())
    return type(wanted) is type(fact) and bool(wanted == fact)


def _checked(table: str, index: int, rule: t.Any) -> Rule:
    where = f"table {table}, rule {index + 1}"
    if not isinstance(rule, t.Mapping) or "value" not in rule:
        raise TableError(f"{where}: expected a map with `when` and `value`")
    when = rule.get("when") or {}
    if not isinstance(when, t.Mapping):
        raise TableError(f"{where}: `when` is a {type(when).__name__}, expected a map")
    unknown = [str(fact) for fact in when if fact not in FACTS]
    if unknown:
        raise TableError(
            f"{where}: unknown in `when`: {', '.join(unknown)}; there are "
            f"{', '.join(sorted(FACTS))}"
        )
    if rule.get("confidence", "high") not in _CONFIDENCE:
        raise TableError(f"{where}: confidence is one of {', '.join(_CONFIDENCE)}")
    value = rule["value"]
    if table in _MAPS and value is not None:
        if not isinstance(value, t.Mapping):
            raise TableError(f"{where}: `value` is a {type(value).__name__}, expected a map")
        for key in value:
            if not re.fullmatch(_MAPS[table], str(key)):
                raise TableError(f"{where}: {key!r:.60} is no name for table {table}")
    return {
        "when": dict(when),
        "value": value,
        "source": str(rule.get("source") or "the inventory"),
        "confidence": rule.get("confidence", "high"),
    }
