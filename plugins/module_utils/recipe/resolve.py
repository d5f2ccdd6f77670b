# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what a recipe leaves open: mode, runtime, ranks, a command per rank, environment."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.recipe import vllm
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.engines import (
    VLLM,
    Engine,
    engine_of,
    split,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.model import (
    Issue,
    Node,
    Rank,
    Recipe,
    RecipeError,
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.template import Renderer
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.topology import (
    size_issue,
    topology,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.validate import (
    ENV_REFERENCE,
    command_values,
    degrees,
    env_text,
    errors,
    several_nodes_issue,
    validate,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.recipe.values import Value

DEFAULT_MASTER_PORT = 25000

_EVERY_ADDRESS = ("0.0.0.0", "::")


def resolve(
    recipe: Recipe,
    overrides: t.Mapping[str, t.Any] | None = None,
    nodes: t.Sequence[Node] = (),
    env_allow: t.Collection[str] = (),
    environ: t.Mapping[str, str] | None = None,
    master_port: int = DEFAULT_MASTER_PORT,
    inventory_env: t.Mapping[str, t.Any] | None = None,
) -> ResolvedRecipe:
    """Resolve a recipe for these nodes; ranks go to them in order, the first is the head.

    inventory_env: variables for every workload; the recipe's own win. env_allow: variables of the
    controller that either may refer to. environ: all of the controller's variables.
    Raises RecipeError with every reason at once.
    """
    overrides = dict(overrides or {})
    issues = validate(recipe, overrides)
    if not nodes:
        issues.append(
            recipe.issue(
                "no-nodes", "error", "", "there is no node to launch on", "Name at least one node"
            )
        )
    _refuse(recipe, issues)

    engine = engine_of(recipe) or VLLM
    tensor, pipeline = _degrees(recipe, overrides, len(nodes), engine)
    size = tensor * pipeline
    wrong_size = size_issue(recipe, tensor, pipeline) or several_nodes_issue(recipe, engine, size)
    if wrong_size:
        _refuse(recipe, [wrong_size])
    if size > len(nodes):
        names = ", ".join(node.name for node in nodes)
        _refuse(
            recipe,
            [
                recipe.issue(
                    "too-few-nodes",
                    "error",
                    "min_nodes",
                    f"needs {size} nodes (tensor_parallel {tensor} x pipeline_parallel "
                    f"{pipeline}), has {len(nodes)}: {names}",
                    "Add nodes or lower tensor_parallel",
                )
            ],
        )

    values = command_values(recipe, overrides, tensor)
    server = split(engine, Renderer(values, recipe.defaults).command(recipe.command))
    mode: t.Literal["solo", "cluster"] = "cluster" if size > 1 else "solo"
    runtime = engine.name
    found: list[Issue] = []
    if engine is VLLM:
        runtime, server, found = _runtime(recipe, values, server, mode)
    server, port, name = _with_values(server, values, tensor, pipeline, engine)
    issues += [*found, *_host_issues(recipe, server, nodes[0], engine)]
    environ = environ or {}
    base, base_secret, wrong = _environment(
        recipe, "dgxspark_env", inventory_env or {}, env_allow, environ
    )
    issues += wrong
    env, secret_env, wrong = _environment(recipe, "env", recipe.env, env_allow, environ)
    issues += wrong
    _refuse(recipe, issues)

    if runtime == "vllm-ray" and server.flag(vllm.BACKEND) is None:
        server = server.with_flags([*vllm.BACKEND, "ray"])
    return ResolvedRecipe(
        recipe=recipe,
        overrides=overrides,
        mode=mode,
        runtime=runtime,
        model=values["model"].text,
        image=recipe.container,
        served_model_name=name,
        port=port,
        tensor_parallel=tensor,
        pipeline_parallel=pipeline,
        ranks=tuple(
            _rank(index, nodes[:size], runtime, server, master_port) for index in range(size)
        ),
        env=env,
        inventory_env=base,
        secret_env={
            **{name: source for name, source in base_secret.items() if name not in env},
            **secret_env,
        },
        warnings=tuple(issue for issue in issues if issue.severity == "warning"),
    )


def _refuse(recipe: Recipe, issues: t.Sequence[Issue]) -> None:
    found = errors(issues)
    if found:
        raise RecipeError(f"recipe {recipe.name} ({recipe.path}) cannot be launched:", found)


def _degrees(
    recipe: Recipe, overrides: t.Mapping[str, t.Any], available: int, engine: Engine
) -> tuple[int, int]:
    """tensor_parallel and pipeline_parallel; what is not given follows from the nodes."""
    values = command_values(recipe, overrides, 1)
    renderer = Renderer(values, recipe.defaults)
    server = split(engine, renderer.command(recipe.command))
    tensor, said = degrees(values, server, renderer.used, engine)
    pipeline = said or 1
    if tensor is None:
        shape = topology(recipe)
        size = 1
        if shape.mode == "cluster":
            size = max(shape.min_nodes, min(available, shape.max_nodes or available))
        tensor = max(1, size // pipeline)
    return tensor, pipeline


def _runtime(
    recipe: Recipe, values: t.Mapping[str, Value], server: vllm.Server, mode: str
) -> tuple[str, vllm.Server, list[Issue]]:
    """Ray or native: said by the runtime, else an override, the command, the defaults; else Ray."""
    written = server.flag(vllm.BACKEND)
    value = values.get("distributed_executor_backend")
    asked = value.text.lower() if value is not None and value.value is not None else None
    if mode == "solo":
        if written != "ray":
            return "vllm", server, []
        return (
            "vllm",
            server.without_backend(),
            [
                recipe.issue(
                    "backend-removed",
                    "warning",
                    "command",
                    "on one node vLLM needs no Ray; --distributed-executor-backend ray is left out",
                    "Nothing",
                )
            ],
        )
    explicit = {"vllm-ray": "ray", "vllm-distributed": "mp"}.get(recipe.runtime)
    override = asked if value is not None and value.source == "override" else None
    backend = explicit or override or written or asked or "ray"
    issues = []
    if backend not in ("ray", "mp"):
        issues.append(
            recipe.issue(
                "backend-invalid",
                "error",
                "command",
                f"distributed_executor_backend {backend} does not run over several nodes",
                "Use ray or mp",
            )
        )
    for said, where in ((override, "the override"), (written, "the command"), (asked, "defaults")):
        if explicit and said is not None and said != explicit:
            issues.append(
                recipe.issue(
                    "backend-conflict",
                    "error",
                    "runtime",
                    f"runtime {recipe.runtime} means "
                    f"distributed_executor_backend {explicit}, but {where} says {said}",
                    "Use runtime: vllm, or make both say the same",
                )
            )
            break
    if written is not None and written != backend and not explicit:
        server = server.without_backend()
        issues.append(
            recipe.issue(
                "backend-replaced",
                "warning",
                "command",
                f"the command's "
                f"--distributed-executor-backend {written} gives way to the override {backend}",
                "Nothing",
            )
        )
    return "vllm-ray" if backend == "ray" else "vllm-distributed", server, issues


def _with_values(
    server: vllm.Server,
    values: t.Mapping[str, Value],
    tensor: int,
    pipeline: int,
    engine: Engine,
) -> tuple[vllm.Server, int, str]:
    """Add flags that the launch depends on and the command lacks; also port and served name."""
    for flags, number in ((engine.tensor, tensor), (engine.pipeline, pipeline)):
        if number > 1 and server.flag(flags) is None:
            server = server.with_flags([flags[-1], str(number)])
    added = [("port", engine.port), ("served_model_name", engine.served_name)]
    if engine.loopback:
        added.append(("host", engine.host))
    for key, names in added:
        value = values.get(key)
        if (
            value is not None
            and value.text
            and value.value is not None
            and server.flag(names) is None
        ):
            server = server.with_flags([names[-1], value.text])
    # The launch asks for the head by its address, where a server on 127.0.0.1 does not answer.
    if engine.loopback and server.flag(engine.host) is None:
        server = server.with_flags([engine.host[0], "0.0.0.0"])
    name = server.flag(engine.served_name) or values["model"].text
    return server, int(server.flag(engine.port) or engine.default_port), name


def _rank(
    index: int, nodes: t.Sequence[Node], runtime: str, server: vllm.Server, master_port: int
) -> Rank:
    role: t.Literal["head", "worker"] = "head" if index == 0 else "worker"
    if runtime == "vllm-ray" and role == "worker":
        return Rank(index, role, nodes[index], "", ())
    if runtime == "vllm-distributed":
        server = server.with_flags(
            [
                "--nnodes",
                str(len(nodes)),
                "--node-rank",
                str(index),
                "--master-addr",
                nodes[0].link_address,
                "--master-port",
                str(master_port),
                *(["--headless"] if index else []),
            ]
        )
    if runtime == "sglang" and len(nodes) > 1:
        head = nodes[0].link_address
        meeting = f"[{head}]" if ":" in head else head
        server = server.with_flags(
            [
                "--nnodes",
                str(len(nodes)),
                "--node-rank",
                str(index),
                "--dist-init-addr",
                f"{meeting}:{master_port}",
            ]
        )
    return Rank(index, role, nodes[index], server.script(), server.words)


def _host_issues(recipe: Recipe, server: vllm.Server, head: Node, engine: Engine) -> list[Issue]:
    """The launch proves the server at the head's address, so it must listen there."""
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
    recipe: Recipe,
    where: str,
    variables: t.Mapping[str, t.Any],
    allow: t.Collection[str],
    environ: t.Mapping[str, str],
) -> tuple[dict[str, str], dict[str, str], list[Issue]]:
    """Variables as text; references to the controller's variables apart, by name only.

    where: the field, or the setting, that they stand in.
    """
    env: dict[str, str] = {}
    secret: dict[str, str] = {}
    issues = []
    for name, value in variables.items():
        text = env_text(value)
        references = [one or other for one, other in ENV_REFERENCE.findall(text)]
        field = f"{where}.{name}"
        # No message shows the text: it may be a password with a $ in it.
        if references and not ENV_REFERENCE.fullmatch(text):
            issues.append(
                recipe.issue(
                    "env-partial",
                    "error",
                    field,
                    "the value mixes a variable of the controller ($...) with text",
                    "Let the whole value be ${NAME}, and export NAME with that text",
                )
            )
        elif references and references[0] not in allow:
            issues.append(
                recipe.issue(
                    "env-not-allowed",
                    "error",
                    field,
                    f"it asks for the controller's variable {references[0]}, which is not allowed",
                    f"Allow it with dgxspark_env_allow: [{references[0]}], or write the value",
                )
            )
        elif references and references[0] not in environ:
            issues.append(
                recipe.issue(
                    "env-unset",
                    "error",
                    field,
                    f"the controller has no variable {references[0]}",
                    f"export {references[0]}=... before the launch",
                )
            )
        elif references:
            secret[name] = references[0]
        else:
            env[name] = text
    return env, secret, issues
