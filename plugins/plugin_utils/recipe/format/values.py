# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values of placeholders: the source of each and how it is written."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.fields import MEMORY
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError

Source = t.Literal["override", "inventory", "default", "recipe", "platform", "runtime", "topology"]
# Given by a user or an author: it counts even if the command has no placeholder for it.
GIVEN = ("override", "inventory", "default")
# Typed by a person: one argument, exactly as it stands.
TYPED = ("override", "inventory")

_INTEGER = re.compile(r"[+-]?\d+")
_FLOAT = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?")
_WORDS = {"true": True, "yes": True, "false": False, "no": False}


@dataclasses.dataclass(frozen=True)
class Value:
    """value: for decisions (typed). text: what is written into a command."""

    value: t.Any
    text: str
    source: Source

    @property
    def several(self) -> bool:
        """Whether the text is several words (`"1 2 4"`); a JSON document is one."""
        return re.search(r"[\s'\"]", self.text) is not None and self.text.lstrip()[:1] not in (
            "{",
            "[",
        )

    def words(self) -> list[str]:
        """The text as a shell would split it, quotes removed; one word where it cannot be split."""
        try:
            return shlex.split(self.text)
        except ValueError:
            return [self.text]


def coerce(text: str) -> t.Any:
    """What a typed override means: true/yes, false/no, an integer, a float, else itself."""
    word = text.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def memory_bytes(text: str) -> int:
    """The bytes of `512m`, `4GiB` or `1.5 g`; units are binary, as of `docker run --memory`.

    Raises ValueError.
    """
    if not re.search(MEMORY, text):
        raise ValueError(f"{text!r:.40} is not an amount of memory")
    number, unit = re.fullmatch(r"\s*([0-9.]+)\s*([mMgG]).*", text, re.DOTALL).groups()  # type: ignore[union-attr]
    return int(float(number) * (1 << {"m": 20, "g": 30}[unit.lower()]))


def text_of(value: t.Any) -> str:
    """How a YAML value is written into a command: booleans and collections as JSON."""
    if isinstance(value, (bool, list, tuple, dict)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    return str(value)


def parse_overrides(given: t.Any) -> dict[str, t.Any]:
    """Overrides as a map, from a map, from `["key=value", ...]` or from `"key=value key2='a b'"`.

    Strings stay strings; `coerce` says what they mean. Raises RecipeError for anything else.
    """
    if given is None or given == "":
        return {}
    if isinstance(given, t.Mapping):
        return {str(key): value for key, value in given.items()}
    way_out = "Write overrides as a map {port: 9000} or as text 'port=9000 served_model_name=mine'"
    if isinstance(given, str):
        try:
            given = shlex.split(given)
        except ValueError as exc:
            raise RecipeError(
                f"overrides {given!r} cannot be split into words: {exc}. {way_out}"
            ) from exc
    if not isinstance(given, (list, tuple)):
        raise RecipeError(f"overrides are a {type(given).__name__}. {way_out}")
    result: dict[str, t.Any] = {}
    for item in given:
        key, equals, value = str(item).partition("=")
        if not equals or not key:
            raise RecipeError(f"override {str(item)!r} has no 'key='. {way_out}")
        result[key] = value
    return result


def chain(
    overrides: t.Mapping[str, t.Any],
    defaults: t.Mapping[str, t.Any],
    recipe_fields: t.Mapping[str, t.Any],
    inventory: t.Mapping[str, t.Any] | None = None,
    platform: t.Mapping[str, t.Any] | None = None,
    runtime: t.Mapping[str, t.Any] | None = None,
) -> dict[str, Value]:
    """All values by name: overrides win over the inventory's, those over defaults, those over the
    recipe's own fields, those over what suits the platform, and that over what the runtime does.

    A null hides what is below it: its placeholder has no value.
    """
    layers: list[tuple[t.Mapping[str, t.Any], Source]] = [
        (runtime or {}, "runtime"),
        (platform or {}, "platform"),
        (recipe_fields, "recipe"),
        (defaults, "default"),
        (inventory or {}, "inventory"),
        (overrides, "override"),
    ]
    return {key: _value(value, source) for layer, source in layers for key, value in layer.items()}


def _value(value: t.Any, source: Source) -> Value:
    if isinstance(value, str):
        # The text stays as typed: `1e5` or `007` must not come out as another number.
        return Value(coerce(value) if source in TYPED else value, value, source)
    return Value(value, text_of(value), source)
