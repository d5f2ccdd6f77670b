# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a recipe, found before anything is launched."""

from __future__ import annotations

import difflib
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.recipe import vllm
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.engines import (
    Engine,
    engine_of,
    split,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.fields import (
    IGNORED_FIELDS,
    KNOWN_FIELDS,
    LATER_RUNTIMES,
    REFUSED_FIELDS,
    RUNTIMES,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.model import Issue, Recipe
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.template import (
    Renderer,
    TemplateError,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.topology import (
    size_issue,
    topology,
    topology_issues,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.values import Value, chain

# Names of variables whose values are nobody's business: kept out of plans and printouts.
SECRET_NAME = re.compile(r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|KEY|APIKEY|CREDENTIALS?)$", re.I)
ENV_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)")

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
# Overrides that mean something even where the command has no placeholder for them.
_CONSUMED = ("model", "tensor_parallel", "pipeline_parallel")


def validate(recipe: Recipe, overrides: t.Mapping[str, t.Any] | None = None) -> list[Issue]:
    """Every issue of the recipe with these overrides; independent of nodes and inventory.

    A recipe without an issue of severity `error` can be resolved, given nodes that fit it.
    """
    given = dict(overrides or {})
    issues = [
        *recipe.issues,
        *_fields(recipe),
        *_runtime(recipe),
        *topology_issues(recipe),
        *_env(recipe),
    ]
    engine = engine_of(recipe)
    if recipe.command and engine:
        issues += _command(recipe, given, engine)
    # A field of the wrong type is reported once, not again as missing.
    mistyped = {issue.field for issue in issues if issue.code == "wrong-type"}
    return [
        issue
        for issue in issues
        if not (issue.field in mistyped and issue.code.startswith("missing-"))
    ]


def errors(issues: t.Iterable[Issue]) -> list[Issue]:
    return [issue for issue in issues if issue.severity == "error"]


def command_values(
    recipe: Recipe, overrides: t.Mapping[str, t.Any], tensor_parallel: int
) -> dict[str, Value]:
    """What placeholders may refer to; tensor_parallel: its value where nobody gives one."""
    own = {"model": recipe.model}
    if recipe.data.get("model_revision"):
        own["model_revision"] = str(recipe.data["model_revision"])
    values = chain(overrides, recipe.defaults, own)
    values.setdefault("tensor_parallel", Value(tensor_parallel, str(tensor_parallel), "topology"))
    return values


def degrees(
    values: t.Mapping[str, Value],
    server: vllm.Server,
    used: t.Collection[str],
    engine: Engine,
) -> tuple[int | None, int | None]:
    """tensor_parallel and pipeline_parallel as the engine will get them; None where nobody says.

    used: the names that the command's placeholders refer to.
    Raises ValueError with the text that is not a whole number of at least 1.
    """
    # A flag that shows the number that `command_values` filled in says nothing.
    filled_in = values["tensor_parallel"].source == "topology" and "tensor_parallel" in used
    tensor = None if filled_in else _degree(values, server, engine, "tensor_parallel")
    return tensor, _degree(values, server, engine, "pipeline_parallel")


def _degree(
    values: t.Mapping[str, Value], server: vllm.Server, engine: Engine, key: str
) -> int | None:
    text = server.flag(engine.flag_of.get(key, ()))
    if text is None:
        value = values.get(key)
        if value is None or value.source == "topology":
            return None
        text = value.text
    if not re.fullmatch(r"[1-9]\d{0,4}", text):
        raise ValueError(text)
    return int(text)


def _fields(recipe: Recipe) -> t.Iterator[Issue]:
    if not recipe.model:
        yield recipe.issue(
            "missing-model",
            "error",
            "model",
            "no model is named",
            "Add model: <organisation>/<name>, or the absolute path of a model folder",
        )
    if not recipe.container:
        yield recipe.issue(
            "missing-container",
            "error",
            "container",
            "no image is named",
            "Add container: <image>:<tag>",
        )
    elif not _IMAGE.fullmatch(recipe.container):
        yield recipe.issue(
            "container-invalid",
            "error",
            "container",
            f"{recipe.container!r} is not an image reference",
            "Write it as <image>:<tag>, without spaces",
        )
    if not recipe.command:
        yield recipe.issue(
            "missing-command",
            "error",
            "command",
            "recipes without a command are not supported yet",
            "Add command: vllm serve {model} ...",
        )
    for field in recipe.data:
        if field in REFUSED_FIELDS and recipe.data[field]:
            yield recipe.issue(
                "unsupported-field",
                "error",
                field,
                f"not supported yet ({REFUSED_FIELDS[field]}), and "
                "without it something else would be served",
                "Use a recipe without it",
            )
        elif field in IGNORED_FIELDS and recipe.data[field]:
            yield recipe.issue(
                "ignored-field",
                "warning",
                field,
                f"not applied yet ({IGNORED_FIELDS[field]})",
                "Nothing, if the recipe serves without it",
            )
        elif field not in KNOWN_FIELDS:
            near = difflib.get_close_matches(field, KNOWN_FIELDS, n=1, cutoff=0.8)
            yield recipe.issue(
                "unknown-field",
                "warning" if near else "suggestion",
                field,
                "not a field of the format; kept in runtime_config, without effect",
                f"Did you mean {near[0]}?" if near else "Put notes under metadata",
            )


def _runtime(recipe: Recipe) -> t.Iterator[Issue]:
    if recipe.recipe_version == "1":
        yield recipe.issue(
            "unsupported-version",
            "error",
            "recipe_version",
            "version 1 (eugr) recipes are not supported yet",
            'Use a recipe of version "2"',
        )
    elif recipe.recipe_version != "2":
        yield recipe.issue(
            "unknown-version",
            "warning",
            "recipe_version",
            f"{recipe.recipe_version!r} is unknown and read as version 2",
            'Write recipe_version: "2"',
        )
    if not recipe.runtime:
        engine = engine_of(recipe)
        assumed = engine.name if engine else "vllm"
        yield recipe.issue(
            "missing-runtime",
            "suggestion",
            "runtime",
            f"no runtime is named; {assumed} is assumed",
            f"Add runtime: {assumed}",
        )
    elif recipe.runtime in LATER_RUNTIMES:
        yield recipe.issue(
            "unsupported-runtime",
            "error",
            "runtime",
            f"{recipe.runtime} is not supported yet",
            f"Use a recipe for one of {', '.join(RUNTIMES)}",
        )
    elif recipe.runtime not in RUNTIMES:
        near = difflib.get_close_matches(recipe.runtime.lower(), [*RUNTIMES, *LATER_RUNTIMES], n=1)
        yield recipe.issue(
            "unknown-runtime",
            "error",
            "runtime",
            f"{recipe.runtime!r} is no runtime of the format",
            f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(RUNTIMES)}",
        )


def _env(recipe: Recipe) -> t.Iterator[Issue]:
    for name, value in recipe.env.items():
        field = f"env.{name}"
        if not _ENV_NAME.fullmatch(name):
            yield recipe.issue(
                "env-invalid",
                "error",
                field,
                f"{name!r} is not a name of a variable",
                "Use letters, digits and _",
            )
        elif value is None or isinstance(value, (list, dict)):
            yield recipe.issue(
                "env-invalid",
                "error",
                field,
                f"expected text, found {value!r:.40}",
                'Write the value in quotes ("" for empty), or remove the line',
            )
        elif "\0" in str(value):
            yield recipe.issue(
                "env-invalid", "error", field, "the value contains a NUL character", "Remove it"
            )
        elif not isinstance(value, str):
            # YAML's true is text to a container; which text is the author's to say.
            yield recipe.issue(
                "env-not-text",
                "warning" if isinstance(value, bool) else "suggestion",
                field,
                f"expected text, found {value!r}; passed on as {env_text(value)!r}",
                "Write the value in quotes",
            )
        elif SECRET_NAME.search(name) and value and not ENV_REFERENCE.search(value):
            yield recipe.issue(
                "secret-in-recipe",
                "warning",
                field,
                "a secret is written into the recipe",
                f'Write "${{{name}}}" and allow that variable in the inventory',
            )


def env_text(value: t.Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _command(recipe: Recipe, overrides: t.Mapping[str, t.Any], engine: Engine) -> t.Iterator[Issue]:
    values = command_values(recipe, overrides, 1)
    renderer = Renderer(values, recipe.defaults)
    try:
        text = renderer.command(recipe.command)
    except TemplateError as exc:
        for problem in exc.problems:
            yield recipe.issue(problem.code, "error", "command", problem.message, problem.fix)
        return
    try:
        server = split(engine, text)
    except vllm.CommandError as exc:
        yield recipe.issue(
            "command-shape",
            "error",
            "command",
            str(exc),
            f"Write the command so that its last statement is `{engine.example} ...`, alone",
        )
        return
    yield from _flags(recipe, server, engine)
    yield from _port(recipe, values, server, engine)
    yield from _overrides(recipe, overrides, renderer.used, values, server, engine)
    try:
        tensor, pipeline = degrees(values, server, renderer.used, engine)
    except ValueError as exc:
        yield recipe.issue(
            "parallel-invalid",
            "error",
            "defaults.tensor_parallel",
            f"{str(exc)!r} is not a number of ranks",
            "tensor_parallel and pipeline_parallel are whole numbers from 1",
        )
        return
    if tensor is not None:
        wrong_size = size_issue(recipe, tensor, pipeline or 1)
        if wrong_size:
            yield wrong_size
    several = several_nodes_issue(recipe, engine, (tensor or 1) * (pipeline or 1))
    if several:
        yield several
    data = server.flag(engine.data) or (
        values["data_parallel"].text if "data_parallel" in values else "1"
    )
    if data != "1":
        yield recipe.issue(
            "unsupported-field",
            "error",
            "defaults.data_parallel",
            f"data parallelism ({data}) is not supported yet",
            "Use tensor_parallel or pipeline_parallel",
        )


def _flags(recipe: Recipe, server: vllm.Server, engine: Engine) -> t.Iterator[Issue]:
    for flag in engine.rank_flags:
        if server.flag((flag,)) is not None:
            yield recipe.issue(
                "rank-flag",
                "error",
                "command",
                f"{flag} differs per rank and is set by the launch",
                "Remove it; a launch over several nodes adds it on each node",
            )
    for flag, instead in engine.secret_flags.items():
        if server.flag((flag,)) is not None:
            yield recipe.issue(
                "secret-in-command",
                "error",
                "command",
                f"{flag} would show a secret in process lists and plans",
                instead,
            )
    share = server.flag(("--gpu-memory-utilization",)) if engine.name == "vllm" else None
    if share and re.fullmatch(r"[0-9]+(\.[0-9]*)?", share) and float(share) > 1:
        yield recipe.issue(
            "utilization-over-one",
            "error",
            "defaults.gpu_memory_utilization",
            f"{share} is not a share of the memory; vLLM takes 0 to 1",
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
            )


def _port(
    recipe: Recipe, values: t.Mapping[str, Value], server: vllm.Server, engine: Engine
) -> t.Iterator[Issue]:
    """The port in the command, else the value that the launch adds to it."""
    port = server.flag(engine.port)
    if port is None and "port" in values and values["port"].value is not None:
        port = values["port"].text
    if port is not None and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        yield recipe.issue(
            "port-invalid", "error", "defaults.port", f"{port!r} is not a port", "Use 1 to 65535"
        )


def several_nodes_issue(recipe: Recipe, engine: Engine, size: int) -> Issue | None:
    """Why this engine cannot be spread over so many nodes."""
    if engine.tensor or max(size, topology(recipe).min_nodes) < 2:
        return None
    return recipe.issue(
        "unsupported-runtime",
        "error",
        "runtime",
        f"{engine.name} over several nodes is not supported yet",
        "Use it on one node, or another runtime",
    )


def _consumed(engine: Engine) -> set[str]:
    """Overrides that count without a placeholder."""
    names = {*_CONSUMED, *engine.flag_of}
    if engine.loopback:
        names.add("host")
    if engine.name == "vllm":
        names.add("distributed_executor_backend")
    return names


def _overrides(
    recipe: Recipe,
    overrides: t.Mapping[str, t.Any],
    used: t.Collection[str],
    values: t.Mapping[str, Value],
    server: vllm.Server,
    engine: Engine,
) -> t.Iterator[Issue]:
    """Overrides that would change nothing: somebody asked for something that would not happen."""
    for key in overrides:
        if key in used:
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
            near = difflib.get_close_matches(key, sorted(used), n=1)
            guess = f"Did you mean {near[0]}? " if near else ""
            yield recipe.issue(
                "override-without-effect",
                "error",
                "command",
                f"the override {key} has no effect: the command has no {{{key}}}",
                f"{guess}It has: {', '.join(sorted(used))}",
            )
