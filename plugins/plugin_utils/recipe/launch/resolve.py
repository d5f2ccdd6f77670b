# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve a checked recipe: mode, runtime, ranks, a command per rank, environment."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.command_checks import (
    spread_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.env_checks import (
    ENV_PARTIAL,
    ENV_REFERENCE,
    env_text,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.model_checks import (
    models_of,
    revisions_of,
    with_revision,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.rendering import (
    Rendering,
    spread_over,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import (
    CheckedRecipe,
    check,
    errors,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.server import Server
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import (
    Degrees,
    nodes_issue,
    size_issue,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.executor import (
    executor_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Node,
    Recipe,
    RecipeError,
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    GIVEN,
    Value,
    memory_bytes,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import (
    Engine,
    Ports,
    Runtime,
)

DEFAULT_PORTS = Ports()
_EVERY_ADDRESS = ("0.0.0.0", "::")


@dataclasses.dataclass(frozen=True)
class Variables:
    """Variables from outside of the recipe.

    shared: the inventory's, for every workload; the recipe's own win. allow: variables of the
    controller that either may refer to. environ: all of the controller's variables.
    """

    shared: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    allow: t.Collection[str] = ()
    environ: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


class _Environment(t.NamedTuple):
    """Variables as text; secret: variable -> the controller's variable with its value."""

    plain: dict[str, str]
    secret: dict[str, str]
    issues: list[Issue]


def resolve(
    recipe: Recipe,
    overrides: t.Mapping[str, t.Any] | None = None,
    nodes: t.Sequence[Node] = (),
    variables: Variables = Variables(),
    inventory: t.Mapping[str, t.Any] | None = None,
    mod_paths: t.Sequence[str] = (),
    ports: Ports = DEFAULT_PORTS,
) -> ResolvedRecipe:
    """Check a recipe and resolve it for these nodes, as `check` and `resolve_checked` do."""
    checked = check(recipe, overrides, inventory, mod_paths, len(nodes) or None)
    return resolve_checked(checked, nodes, variables, ports)


def resolve_checked(
    checked: CheckedRecipe,
    nodes: t.Sequence[Node],
    variables: Variables = Variables(),
    ports: Ports = DEFAULT_PORTS,
) -> ResolvedRecipe:
    """Resolve a checked recipe; ranks go to the nodes in order, the first is the head.

    Raises RecipeError with every reason at once.
    """
    recipe, rendering = checked.recipe, checked.rendering
    issues = list(checked.issues)
    if not nodes:
        issues.append(
            recipe.issue(
                "no-nodes", "error", "", "there is no node to launch on", "Name at least one node"
            )
        )
    _refuse(recipe, issues)
    if rendering is None:
        raise AssertionError("a recipe without an error has a rendering")

    spread = spread_over(rendering, len(nodes))
    _refuse(recipe, _spread_problems(recipe, rendering.engine, spread, nodes))
    rendering = rendering.for_degrees(spread)
    runtime, server, chosen = _server(rendering, spread)
    base = _environment(recipe, "dgxspark_env", variables.shared, variables)
    own = _environment(recipe, "env", recipe.env, variables)
    issues += [
        *chosen,
        *_host_issues(recipe, server, nodes[0], rendering.engine),
        *base.issues,
        *own.issues,
    ]
    _refuse(recipe, issues)
    server = runtime.completed(server)
    engine, values, size = rendering.engine, rendering.values, spread.size
    return ResolvedRecipe(
        recipe=recipe,
        overrides=dict(checked.given.overrides),
        mode="cluster" if size > 1 else "solo",
        runtime=runtime.name,
        model=values["model"].text,
        image=checked.given.image(recipe),
        served_model_name=engine.name_of(server, values),
        port=engine.port_of(server, values),
        tensor_parallel=spread.tensor or 1,
        pipeline_parallel=spread.pipeline or 1,
        ranks=tuple(runtime.rank(index, nodes[:size], server, ports) for index in range(size)),
        env=own.plain,
        inventory_env=base.plain,
        secret_env={
            **{name: source for name, source in base.secret.items() if name not in own.plain},
            **own.secret,
        },
        warnings=tuple(issue for issue in issues if issue.severity == "warning"),
        data_parallel=spread.data or 1,
        models=models_of(recipe, values, server),
        revisions=revisions_of(values["model"].text, server, engine),
        values={key: value.text for key, value in values.items() if value.value is not None},
        mods=checked.mods,
        pre_exec=rendering.hooks["pre_exec"],
        # One that is not trusted is left out, with a warning.
        post_exec=rendering.hooks["post_exec"] if recipe.trusted else (),
        volumes=(*recipe.volumes, *executor_of(recipe).volumes),
        rpc_port=runtime.rpc_port(ports, size),
        **_own_program(recipe, engine, values),
    )


def _own_program(recipe: Recipe, engine: Engine, values: t.Mapping[str, Value]) -> dict[str, t.Any]:
    """The settings of a container that runs the program of its image; empty for others."""
    if not engine.any_image:
        return {}
    limit = values["memory"].text if "memory" in values else ""
    return {
        "entrypoint": recipe.entrypoint,
        "container_port": int(values["container_port"].text),
        "memory_bytes": memory_bytes(limit) if limit else None,
    }


def _spread_problems(
    recipe: Recipe, engine: Engine, spread: Degrees, nodes: t.Sequence[Node]
) -> list[Issue]:
    size = size_issue(recipe, spread) or nodes_issue(recipe, spread, [node.name for node in nodes])
    return [*([size] if size else []), *spread_issues(recipe, engine, spread)]


def _server(rendering: Rendering, spread: Degrees) -> tuple[Runtime, Server, list[Issue]]:
    """How the ranks run, the server with the flags that the launch needs, and what is wrong."""
    if rendering.server is None:
        raise AssertionError("a recipe without an error has a server")
    engine = rendering.engine
    runtime, server, issues = engine.runtime_of(
        rendering.recipe, rendering.values, rendering.server, spread.size
    )
    server = engine.with_degrees(server, spread)
    server = with_revision(rendering.recipe, rendering.values, server, engine)
    return runtime, _with_values(server, rendering.values, engine), issues


def _refuse(recipe: Recipe, issues: t.Sequence[Issue]) -> None:
    reasons = errors(issues)
    if reasons:
        raise RecipeError(f"recipe {recipe.name} ({recipe.path}) cannot be launched:", reasons)


def _with_values(server: Server, values: t.Mapping[str, Value], engine: Engine) -> Server:
    """Add the values that the launch depends on and the command lacks."""
    added = [("port", engine.port), ("served_model_name", engine.served_name)]
    if engine.loopback:
        added.append(("host", engine.host))
    for key, names in added:
        value = values.get(key)
        if (
            names
            and value is not None
            and value.source in GIVEN
            and value.text
            and value.value is not None
            and server.flag(names) is None
        ):
            server = server.with_flags([names[-1], value.text])
    # The launch asks for the head by its address, where a server on 127.0.0.1 does not answer.
    if engine.loopback and server.flag(engine.host) is None:
        server = server.with_flags([engine.host[0], "0.0.0.0"])
    return server


def _host_issues(recipe: Recipe, server: Server, head: Node, engine: Engine) -> list[Issue]:
    """The launch tests the server at the head's address, so it must listen there."""
    host = server.flag(engine.host)
    if host is None or host in (*_EVERY_ADDRESS, head.address):
        return []
    return [
        recipe.issue(
            "unsupported-host",
            "error",
            "command",
            f"with --host {host} the server does not answer at {head.address}, the address of the "
            f"head {head.name}",
            "Remove --host, or let it be 0.0.0.0",
        )
    ]


def _environment(
    recipe: Recipe, where: str, wanted: t.Mapping[str, t.Any], variables: Variables
) -> _Environment:
    """Variables as text, references to the controller's variables apart, by name only.

    where: the field, or the setting, that they stand in.
    """
    result = _Environment({}, {}, [])
    for name, value in wanted.items():
        text = env_text(value)
        references = [braced or bare for braced, bare in ENV_REFERENCE.findall(text)]
        if not references:
            result.plain[name] = text
            continue
        problem = _reference_problem(text, references[0], variables)
        if problem is None:
            result.secret[name] = references[0]
        else:
            code, message, fix = problem
            result.issues.append(recipe.issue(code, "error", f"{where}.{name}", message, fix))
    return result


def _reference_problem(text: str, name: str, variables: Variables) -> tuple[str, str, str] | None:
    """Code, message and fix for a reference that cannot be followed; None for one that can."""
    if not ENV_REFERENCE.fullmatch(text):
        return ENV_PARTIAL
    if name not in variables.allow:
        return (
            "env-not-allowed",
            f"it asks for the controller's variable {name}, which is not allowed",
            f"Allow it with dgxspark_env_allow: [{name}], or write the value",
        )
    if name not in variables.environ:
        return (
            "env-unset",
            f"the controller has no variable {name}",
            f"export {name}=... before the launch",
        )
    return None
