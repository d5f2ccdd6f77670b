# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of a recipe's rendered command."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.rendering import (
    Given,
    Rendering,
    folded,
    spread_over,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command import flags
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.server import (
    CommandError,
    Server,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.template import (
    TemplateError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import (
    Degrees,
    size_issue,
    topology,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.nearest import nearest
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    GIVEN,
    Value,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.quantisation import (
    GGUF_BITS,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import Engine

# Values that mean something even where the command has no placeholder for them.
_CONSUMED = ("model", "container", "tensor_parallel", "pipeline_parallel", "data_parallel")
# Names of quantisations; Unsloth's dynamic ones begin with UD-.
_GGUF = re.compile(rf"(ud_)?({'|'.join(GGUF_BITS)})")
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
            near=rendering.error.near if isinstance(rendering.error, CommandError) else "",
        )
        return
    yield from _flags(recipe, server, engine)
    yield from _port(recipe, values, server, engine)
    yield from _host(recipe, values, server, engine)
    yield from _overrides(recipe, given, rendering.used, values, server, engine)
    yield from _defaults(recipe, rendering.used, values, server, engine)
    yield from _names(recipe, server, engine)
    yield from _parsed(rendering, server)
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
    ranks = spread_over(rendering, topology(recipe).min_nodes).size
    _runtime, _server, chosen = engine.runtime_of(recipe, values, server, ranks)
    yield from (issue for issue in chosen if issue.severity == "error")


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
    if share and _over_one(share, engine.share[0], engine):
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


def _over_one(value: str, flag: str, engine: Engine) -> bool:
    """Whether the value is a share of the memory, and more than all of it."""
    number = re.fullmatch(r"[0-9]+(\.[0-9]*)?", value)
    return flag in engine.share and number is not None and float(value) > 1


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
    port = written = server.flag(engine.port)
    if port is None and "port" in values and values["port"].value is not None:
        port = values["port"].text
    if port is not None and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        yield recipe.issue(
            "port-invalid",
            "error",
            "defaults.port" if written is None or "port" in recipe.defaults else "command",
            f"{port!r} is not a port",
            "Use 1 to 65535",
            near=engine.port[0] if engine.port else "",
        )


def _host(
    recipe: Recipe, values: t.Mapping[str, Value], server: Server, engine: Engine
) -> t.Iterator[Issue]:
    """An address at which no other machine reaches the server."""
    host = server.flag(engine.host)
    field = "command"
    if host is None and engine.loopback and values["host"].source in GIVEN:
        host, field = values["host"].text, "defaults.host"
    if host and (host in ("localhost", "::1") or host.startswith("127.")):
        yield recipe.issue(
            "unsupported-host",
            "error",
            field,
            f"with --host {host} the server answers on its own node only",
            "Remove it, or let it be 0.0.0.0",
            near="--host",
        )


def _consumed(engine: Engine) -> set[str]:
    """Values that count without a placeholder."""
    host = ("host",) if engine.loopback else ()
    revision = ("model_revision",) if engine.revision else ()
    return {*_CONSUMED, *engine.flag_of, *engine.further_values, *host, *revision}


def _overrides(
    recipe: Recipe,
    given: Given,
    used: t.Collection[str],
    values: t.Mapping[str, Value],
    server: Server,
    engine: Engine,
) -> t.Iterator[Issue]:
    """Overrides that would have no effect."""
    for key in folded(given.overrides, {**recipe.defaults, **given.inventory}):
        if key.startswith("env."):
            continue
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
    for key in folded(given.inventory, recipe.defaults):
        if not key.startswith("env.") and key not in {*used, *_consumed(engine), *given.overrides}:
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
    """Names that the server looks up itself, where it is not known to have them."""
    for flag, (names, plugin) in engine.known_values.items():
        name = server.flag((flag,))
        if not name or name in names or server.flag((plugin,)) is not None:
            continue
        near = nearest(name, sorted(names))
        yield recipe.issue(
            "unknown-name",
            "warning",
            "command",
            f"{flag} {name} is not a name that {engine.label} is known to have",
            f"Did you mean {near[0]}?" if near else "No change is needed if the image has it",
            near=flag,
        )


def _parsed(rendering: Rendering, server: Server) -> t.Iterator[Issue]:
    """What the server's parser would refuse, and what its file of settings hides."""
    recipe, engine = rendering.recipe, rendering.engine
    if engine.grammar is None:
        return
    words, positionals = engine.arguments(server.words)
    # What runs before the server, or how its image is built, may add flags.
    sure = not (recipe.mods or recipe.pre_exec or recipe.build_args or recipe.overlay)
    given, problems = flags.read(words, positionals, engine.grammar, sure)
    numbers = {name for names in engine.flag_of.values() for name in names}
    for problem in problems:
        # Ports and degrees have issues of their own, and so has a share of more than 1.
        if problem.code == "number-invalid" and (
            problem.flag in numbers or _over_one(problem.value, problem.flag, engine)
        ):
            continue
        yield recipe.issue(
            problem.code,
            problem.severity,
            _field_of(rendering, problem),
            problem.message,
            problem.fix,
            near=problem.near,
        )
    for one in given:
        if one.flag.name in engine.grammar.configs:
            yield recipe.issue(
                "config-file",
                "warning",
                "command",
                f"the plan does not know what the file of {one.written} sets: it asks port "
                f"{engine.port_of(server, rendering.values)}, and the file is in the container "
                "only if the image or a volume has it",
                "Write its settings as flags, or at least --port and the served name",
                near=one.written,
            )
        if one.written in engine.grammar.gguf and one.values:
            yield from _quantisation(recipe, server, one)


def _field_of(rendering: Rendering, problem: flags.Problem) -> str:
    """The default that has the value, if it is one; else the command."""
    for key in rendering.recipe.defaults:
        value = rendering.values[key]
        if (
            key in rendering.used
            and value.source == "default"
            and problem.flag
            and value.text == problem.value
            and rendering.engine.flag_for(key) == problem.flag
        ):
            return f"defaults.{key}"
    return "command"


def _quantisation(recipe: Recipe, server: Server, given: flags.Given) -> t.Iterator[Issue]:
    """The quantisation of `-hf repository:QUANTISATION`, of which a repository has several."""
    repository, _colon, name = given.values[0].partition(":")
    if server.flag(("-hff", "--hf-file")) is not None:
        return
    if not name:
        yield recipe.issue(
            "quantisation-missing",
            "warning",
            "model",
            f"{repository} has no quantisation: llama.cpp takes Q4_K_M, or any that it finds first",
            f"Write {repository}:Q4_K_M, or another that the repository has",
        )
    elif _GGUF.fullmatch(name.lower().replace("-", "_")) is None:
        near = nearest(name.lower(), GGUF_BITS)
        yield recipe.issue(
            "quantisation-unknown",
            "warning",
            "model",
            f"{name!r:.60} is not a quantisation of GGUF files",
            f"Did you mean {near[0].upper()}?" if near else "Use one that the repository has",
        )
