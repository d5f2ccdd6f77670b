# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`overrides` of a recipe: values that hold under a condition (`when`)."""

from __future__ import annotations

import dataclasses
import operator
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import Value

LAYERS = ("defaults", "env", "container")
# They say how the launch is spread or where it answers, which the conditions themselves ask for.
_FIXED = ("port", "served_model_name", "tensor_parallel", "pipeline_parallel", "data_parallel")

# What every node of this collection is.
_HARDWARE: dict[str, t.Any] = {
    "platform": ("dgx-spark",),
    "vendor": ("nvidia",),
    "accelerator": ("gb10",),
    "arch": ("sm_121", "sm_121a"),
    "capability": ("cuda", "unified-memory"),
    "memory_gb": 121,
    "gpus_per_node": 1,
}
_SHAPE = ("nodes", "tp", "pp", "dp", "runtime", "runtime_family")

_EQUAL = {"eq": True, "ne": False, "in": True, "not_in": False}
_ORDER: dict[str, t.Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


@dataclasses.dataclass(frozen=True)
class Launch:
    """What conditions ask for. family: of the runtime. values: without those of any override."""

    nodes: int
    tensor_parallel: int
    pipeline_parallel: int
    data_parallel: int
    runtime: str
    family: str
    values: t.Mapping[str, Value]

    def fact(self, name: str) -> t.Any:
        """The value of a selector; a tuple where several hold at once."""
        shape = {
            "nodes": self.nodes,
            "tp": self.tensor_parallel,
            "pp": self.pipeline_parallel,
            "dp": self.data_parallel,
            "runtime": self.runtime,
            "runtime_family": self.family,
        }
        return shape[name] if name in shape else _HARDWARE[name]


def condition_issues(recipe: Recipe) -> t.Iterator[Issue]:
    """What is wrong with the recipe's `overrides`."""
    for index, entry in enumerate(recipe.overrides):
        where = f"overrides[{index}]"
        for problem in _problems(entry):
            yield recipe.issue(
                "override-invalid",
                "error",
                "overrides",
                f"{where}: {problem}",
                "Write it as {when: {nodes: 2}, defaults: {...}}; also env and container",
            )
        unknown = _unknown(entry)
        if unknown:
            yield recipe.issue(
                "condition-unknown",
                "warning",
                "overrides",
                f"{where} never applies: {', '.join(unknown)}",
                f"Conditions are {', '.join([*_SHAPE, *_HARDWARE])} and config, "
                f"comparisons {', '.join([*_EQUAL, *_ORDER])}",
            )


def apply_overrides(recipe: Recipe, launch: Launch) -> Recipe:
    """The recipe with the values of every override whose condition holds; the last one wins."""
    defaults, env, container = dict(recipe.defaults), dict(recipe.env), recipe.container
    for entry in recipe.overrides:
        if any(_problems(entry)) or _unknown(entry) or not _holds(entry["when"], launch):
            continue
        defaults.update(entry.get("defaults") or {})
        env.update(entry.get("env") or {})
        container = str(entry.get("container") or container)
    return dataclasses.replace(recipe, defaults=defaults, env=env, container=container)


def _problems(entry: t.Any) -> t.Iterator[str]:
    if not isinstance(entry, dict):
        yield f"expected a map, found {entry!r:.40}"
        return
    when = entry.get("when")
    if not isinstance(when, dict) or not when:
        yield "it has no condition (when)"
    elif "config" in when and not isinstance(when["config"], dict):
        yield "config is not a map of a setting and its value"
    others = [str(key) for key in entry if key not in ("when", *LAYERS)]
    if others:
        yield f"it sets {', '.join(others)}, which is not supported"
    if not any(entry.get(layer) for layer in LAYERS):
        yield "it sets nothing"
    for layer in ("defaults", "env"):
        if not isinstance(entry.get(layer) or {}, dict):
            yield f"{layer} is not a map"
    if not isinstance(entry.get("container") or "", str):
        yield "container is not text"
    values = entry.get("defaults")
    fixed = [key for key in _FIXED if isinstance(values, dict) and key in values]
    if fixed:
        yield f"it sets {', '.join(fixed)}, which its conditions depend on"


def _unknown(entry: t.Any) -> list[str]:
    """Conditions and comparisons that this version does not know."""
    when = entry.get("when") if isinstance(entry, dict) else None
    if not isinstance(when, dict):
        return []
    config = when.get("config")
    tests = [*when.items(), *(config.items() if isinstance(config, dict) else ())]
    unknown = [f"unknown condition {name}" for name in when if not _is_known(name)]
    for name, test in tests:
        if name != "config" and isinstance(test, dict):
            unknown += [
                f"unknown comparison {name}.{op}" for op in test if op not in (*_EQUAL, *_ORDER)
            ]
    return unknown


def _is_known(name: t.Any) -> bool:
    return name == "config" or name in _SHAPE or name in _HARDWARE


def _holds(when: t.Mapping[str, t.Any], launch: Launch) -> bool:
    for name, test in when.items():
        if name != "config":
            if not _is_met(test, launch.fact(name), absent=False):
                return False
            continue
        for key, wanted in test.items():
            value = launch.values.get(str(key))
            actual = None if value is None else value.value
            if not _is_met(wanted, actual, absent=actual is None):
                return False
    return True


def _is_met(test: t.Any, actual: t.Any, *, absent: bool) -> bool:
    """absent: whether the setting has no value, so that it differs from every other."""
    if not isinstance(test, dict):
        test = {"in" if isinstance(test, list) else "eq": test}
    for op, wanted in test.items():
        if op in _ORDER:
            pair = (_number(actual), _number(wanted))
            if pair[0] is None or pair[1] is None or not _ORDER[op](pair[0], pair[1]):
                return False
            continue
        several = wanted if isinstance(wanted, list) else [wanted]
        facts = actual if isinstance(actual, tuple) else (actual,)
        same = not absent and any(
            _plain(fact) == _plain(part) for fact in facts for part in several
        )
        if same is not _EQUAL[op]:
            return False
    return True


def _plain(value: t.Any) -> t.Any:
    """Comparable: numbers by value, text without case; true is not 1."""
    if isinstance(value, bool) or value is None:
        return value
    number = _number(value)
    return str(value).strip().lower() if number is None else (number,)


def _number(value: t.Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
