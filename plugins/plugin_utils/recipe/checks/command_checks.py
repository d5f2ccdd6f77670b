# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of a recipe's rendered command."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.rendering import (
    Given,
    Rendering,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.server import Server
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.template import (
    TemplateError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import (
    Degrees,
    size_issue,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.nearest import nearest
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import Value
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import Engine

# Values that mean something even where the command has no placeholder for them.
_CONSUMED = ("model", "container", "tensor_parallel", "pipeline_parallel", "data_parallel")
# Flags that may stand more than once.
_REPEATABLE = ("--lora-modules", "--allowed-local-media-path")


def command_issues(rendering: Rendering, given: Given) -> t.Iterator[Issue]:
    """Every issue of the rendered command and of the values in it."""
    recipe, engine = rendering.recipe, rendering.engine
    if isinstance(rendering.error, TemplateError):
        for problem in rendering.error.problems:
            yield recipe.issue(
                problem.code,
                "error",
                "command",
                problem.message,
                problem.fix,
                near=f"{{{problem.name}}}",
            )
        return
    for field, problem in rendering.hook_problems:
        yield recipe.issue(problem.code, "error", field, problem.message, problem.fix)
    # Without nodes, as on one.
    rendering = rendering.for_degrees(rendering.degrees or Degrees(1, 1, 1))
    server, values = rendering.server, rendering.values
    if server is None:
        yield recipe.issue(
            "command-shape",
            "error",
            "command",
            str(rendering.error),
            "Write words for the entrypoint of the image; for a shell, add entrypoint: [sh, -c]"
            if engine.any_image
            else f"Write the command so that its last statement is `{engine.example} ...`, alone",
        )
        return
    yield from _flags(recipe, server, engine)
    yield from _port(recipe, values, server, engine)
    yield from _overrides(recipe, given, rendering.used, values, server, engine)
    yield from _defaults(recipe, rendering.used, values, server, engine)
    yield from _names(recipe, server, engine)
    if rendering.degrees is None:
        yield recipe.issue(
            "parallel-invalid",
            "error",
            "defaults.tensor_parallel",
            f"{rendering.bad_degree!r} is not a number of ranks",
            "tensor_parallel, pipeline_parallel and data_parallel are whole numbers from 1",
        )
        return
    if rendering.degrees.tensor is not None or rendering.degrees.size > 1:
        wrong_size = size_issue(recipe, rendering.degrees)
        if wrong_size:
            yield wrong_size
    yield from spread_issues(recipe, engine, rendering.degrees)


def spread_issues(recipe: Recipe, engine: Engine, spread: Degrees) -> t.Iterator[Issue]:
    """Ways of spreading a model that this version, or the engine, does not have."""
    if (spread.data or 1) > 1:
        yield recipe.issue(
            "unsupported-field",
            "error",
            "defaults.data_parallel",
            f"data parallelism ({spread.data}) is not supported yet",
            "Use tensor_parallel or pipeline_parallel",
        )
    if engine.any_image and spread.size > 1:
        yield recipe.issue(
            "parallel-invalid",
            "error",
            "defaults.tensor_parallel",
            f"a container runs on one node, not on {spread.size}",
            "Remove tensor_parallel and pipeline_parallel",
        )
        return
    if not engine.tensor and (spread.tensor or 1) > 1 and (spread.pipeline or 1) > 1:
        yield recipe.issue(
            "parallel-invalid",
            "error",
            "defaults.tensor_parallel",
            f"{engine.name} splits a model by rows (tensor_parallel) or by layers "
            "(pipeline_parallel), not both",
            "Use one of them",
        )


def _flags(recipe: Recipe, server: Server, engine: Engine) -> t.Iterator[Issue]:
    for flag in engine.rank_flags:
        if server.flag((flag,)) is None:
            continue
        mixed = engine.mixed(server, flag)
        yield recipe.issue(
            "backend-mixed" if mixed else "rank-flag",
            "error",
            "command",
            f"{flag} differs per rank and is set by the launch{mixed}",
            "Remove it; a launch over several nodes adds it on each node",
            near=flag,
        )
    for flag, instead in engine.secret_flags.items():
        if server.flag((flag,)) is not None:
            yield recipe.issue(
                "secret-in-command",
                "error",
                "command",
                f"{flag} would show a secret in process lists and plans",
                instead,
                near=flag,
            )
    share = server.flag(engine.share)
    if share and re.fullmatch(r"[0-9]+(\.[0-9]*)?", share) and float(share) > 1:
        yield recipe.issue(
            "utilization-over-one",
            "error",
            "defaults.gpu_memory_utilization",
            f"{share} is not a share of the memory; {engine.share[0]} takes 0 to 1",
            f"If GB are meant: on 128 GB that is about {min(float(share) / 128, 1):.2f}"
            if float(share) > 2
            else "Use a number such as 0.8",
        )
    for flag in engine.elsewhere_flags:
        if server.flag((flag,)) is not None:
            yield recipe.issue(
                "unsupported-flag",
                "error",
                "command",
                f"with {flag} the server does not answer at http://<address>:<port>, where the "
                "launch proves that it serves",
                "Remove it; a proxy in front of the server can do that",
                near=flag,
            )
    yield from _repeated(recipe, server, engine)


def _repeated(recipe: Recipe, server: Server, engine: Engine) -> t.Iterator[Issue]:
    """One flag twice with different values, or a switch both on and off."""
    known_flags = frozenset(engine.flags.values())
    seen: dict[str, str] = {}
    for flag, value in server.flags():
        off = flag.startswith("--no-")
        name = f"--{flag[5:]}" if off and f"--{flag[5:]}" in known_flags else flag
        if name not in known_flags or name in _REPEATABLE:
            continue
        written = f"{flag} {value}".strip()
        if name in seen and seen[name] != written:
            yield recipe.issue(
                "flag-conflict",
                "warning",
                "command",
                f"the command says both {seen[name]} and {written}; the last one counts",
                "Remove one of them",
                near=flag,
            )
        seen[name] = written


def _port(
    recipe: Recipe, values: t.Mapping[str, Value], server: Server, engine: Engine
) -> t.Iterator[Issue]:
    """The port in the command, else the value that the launch adds to it."""
    port = server.flag(engine.port)
    if port is None and "port" in values and values["port"].value is not None:
        port = values["port"].text
    if port is not None and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        yield recipe.issue(
            "port-invalid", "error", "defaults.port", f"{port!r} is not a port", "Use 1 to 65535"
        )


def _consumed(engine: Engine) -> set[str]:
    """Values that count without a placeholder."""
    host = ("host",) if engine.loopback else ()
    return {*_CONSUMED, *engine.flag_of, *engine.further_values, *host}


def _overrides(
    recipe: Recipe,
    given: Given,
    used: t.Collection[str],
    values: t.Mapping[str, Value],
    server: Server,
    engine: Engine,
) -> t.Iterator[Issue]:
    """Overrides that would have no effect."""
    for key in given.overrides:
        if key in used or _in_a_built_command(recipe, engine, key):
            continue
        flag = server.flag(engine.flag_of.get(key, ()))
        if flag is not None and flag != values[key].text:
            yield recipe.issue(
                "override-without-effect",
                "error",
                "command",
                f"the override {key} = {values[key].text} "
                f"cannot replace {flag}, which is written into the command",
                f"Write {{{key}}} there in a copy of the recipe",
            )
        elif key not in _consumed(engine):
            near = nearest(key, sorted(used))
            guess = f"Did you mean {near[0]}? " if near else ""
            yield recipe.issue(
                "override-without-effect",
                "error",
                "command",
                f"the override {key} has no effect: the command has no {{{key}}}",
                f"{guess}It has: {', '.join(sorted(used))}",
            )
    for key in given.inventory:
        if key not in {*used, *_consumed(engine), *given.overrides}:
            yield recipe.issue(
                "inventory-without-effect",
                "suggestion",
                "command",
                f"the inventory's {key} has no effect: the command has no {{{key}}}",
                "No change is needed if other recipes use it",
            )


def _in_a_built_command(recipe: Recipe, engine: Engine, key: str) -> bool:
    """Whether a recipe without a command has that value as a flag."""
    return not recipe.command and engine.flag_for(key) is not None


def _defaults(
    recipe: Recipe,
    used: t.Collection[str],
    values: t.Mapping[str, Value],
    server: Server,
    engine: Engine,
) -> t.Iterator[Issue]:
    """Defaults that would change nothing, or that the command contradicts."""
    asked = {key for entry in recipe.overrides for key in _asked_for(entry)}
    for key, value in recipe.defaults.items():
        if key in used or value is None or key in asked or values[key].source != "default":
            continue
        flag = engine.flag_for(key)
        names = engine.flag_of.get(key) or ((flag,) if flag else ())
        written = server.flag(names)
        if recipe.command and written is not None and not _same(written, values[key].text):
            yield recipe.issue(
                "flag-conflict",
                "warning",
                f"defaults.{key}",
                f"the command says {names[-1]} {written}, which counts, but defaults say "
                f"{values[key].text}",
                f"Write {{{key}}} into the command, or remove the default",
            )
        elif written is None and key not in _consumed(engine) and not (flag and not recipe.command):
            near = nearest(key, engine.flags, cutoff=0.8)
            guess = f"Did you mean {near[0]}? " if near and not recipe.command else ""
            yield recipe.issue(
                "unused-default",
                "warning",
                f"defaults.{key}",
                f"it has no effect: the command has no {{{key}}}"
                if recipe.command
                else f"it has no effect: {engine.name} has no flag of that name here",
                f"{guess}Write it into the command, or remove it",
            )


def _asked_for(entry: t.Any) -> t.Iterable[str]:
    """Settings that a condition asks for."""
    when = entry.get("when") if isinstance(entry, dict) else None
    config = when.get("config") if isinstance(when, dict) else None
    return map(str, config) if isinstance(config, dict) else ()


def _same(left: str, right: str) -> bool:
    if left == right:
        return True
    try:
        return float(left) == float(right)
    except ValueError:
        return left == "" and right == "true"


def _names(recipe: Recipe, server: Server, engine: Engine) -> t.Iterator[Issue]:
    """Parsers and backends that the server is not known to have."""
    for flag, (names, plugin) in engine.known_values.items():
        value = server.flag((flag,))
        name = (value or "").replace("-", "_") if flag == "--moe-backend" else value
        brought = plugin and server.flag((plugin,)) is not None
        if not name or name in names or brought or name.startswith(engine.known_families):
            continue
        near = nearest(name, sorted(names))
        yield recipe.issue(
            "unknown-name",
            "warning",
            "command",
            f"{flag} {value} is not a name that {engine.label} is known to have",
            f"Did you mean {near[0]}?" if near else "No change is needed if the image has it",
            near=flag,
        )
