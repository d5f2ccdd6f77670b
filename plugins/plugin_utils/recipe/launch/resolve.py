# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what a recipe leaves open: mode, runtime, ranks, a command per rank, environment."""

from __future__ import annotations

import json
import shlex
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.command_checks import (
    spread_issues,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.env_checks import (
    ENV_REFERENCE,
    env_text,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import (
    errors,
    validate,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command import vllm
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.command import (
    Given,
    command_values,
    conditioned,
    spread_over,
    template_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.engines import (
    LLAMA_CPP,
    VLLM,
    Engine,
    engine_of,
    split,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.template import Renderer
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.topology import (
    Degrees,
    nodes_issue,
    size_issue,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.hooks import mods_of
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Hook,
    Issue,
    Node,
    Rank,
    Recipe,
    RecipeError,
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    GIVEN,
    Value,
)

DEFAULT_MASTER_PORT = 25000
# Of llama.cpp's RPC server, on each worker.
DEFAULT_RPC_PORT = 50052
# Its name has changed in 2026, and not every image has it.
_RPC_SERVER = """\
server=$(command -v ggml-rpc-server || command -v rpc-server) || {
  echo "dgxspark: the image has neither ggml-rpc-server nor rpc-server: over several nodes" \
    "llama.cpp needs an image that was built with GGML_RPC" >&2
  exit 1
}
"$server" "$@" &
child=$!
# As process 1 it would not hear that it has to end.
trap 'kill "$child"; wait "$child"; exit 143' TERM INT
wait "$child"
"""

_EVERY_ADDRESS = ("0.0.0.0", "::")
_SPLIT_MODE = ("-sm", "--split-mode")


def resolve(
    recipe: Recipe,
    overrides: t.Mapping[str, t.Any] | None = None,
    nodes: t.Sequence[Node] = (),
    env_allow: t.Collection[str] = (),
    environ: t.Mapping[str, str] | None = None,
    master_port: int = DEFAULT_MASTER_PORT,
    inventory_env: t.Mapping[str, t.Any] | None = None,
    inventory: t.Mapping[str, t.Any] | None = None,
    mod_paths: t.Sequence[str] = (),
    rpc_port: int = DEFAULT_RPC_PORT,
) -> ResolvedRecipe:
    """Resolve a recipe for these nodes; ranks go to them in order, the first is the head.

    inventory: the inventory's values for this recipe; overrides win over them. inventory_env:
    variables for every workload; the recipe's own win. env_allow: variables of the controller that
    either may refer to. environ: all of the controller's variables. mod_paths: folders with mods.
    Raises RecipeError with every reason at once.
    """
    overrides = dict(overrides or {})
    given = Given(overrides, dict(inventory or {}))
    issues = validate(recipe, overrides, given.inventory, mod_paths, len(nodes) or None)
    if not nodes:
        issues.append(
            recipe.issue(
                "no-nodes", "error", "", "there is no node to launch on", "Name at least one node"
            )
        )
    _refuse(recipe, issues)

    engine = engine_of(recipe) or VLLM
    recipe = conditioned(recipe, given, engine, len(nodes))
    spread = spread_over(recipe, given, len(nodes), engine)
    _refuse(
        recipe,
        [
            issue
            for issue in (
                size_issue(recipe, spread)
                or nodes_issue(recipe, spread, [node.name for node in nodes]),
                *spread_issues(recipe, engine, spread),
            )
            if issue
        ],
    )
    size = spread.size

    values = command_values(recipe, given, spread.tensor or 1, engine)
    renderer = Renderer(values, recipe.defaults)
    server = split(engine, renderer.command(template_of(engine, recipe, values)))
    mode: t.Literal["solo", "cluster"] = "cluster" if size > 1 else "solo"
    runtime = engine.name
    found: list[Issue] = []
    if engine is VLLM:
        runtime, server, found = _runtime(recipe, values, server, mode)
    server, port, name = _with_values(server, values, spread, engine)
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
        image=given.image(recipe),
        served_model_name=name,
        port=port,
        tensor_parallel=spread.tensor or 1,
        pipeline_parallel=spread.pipeline or 1,
        ranks=tuple(
            _rank(index, nodes[:size], runtime, server, master_port, rpc_port)
            for index in range(size)
        ),
        env=env,
        inventory_env=base,
        secret_env={
            **{name: source for name, source in base_secret.items() if name not in env},
            **secret_env,
        },
        warnings=tuple(issue for issue in issues if issue.severity == "warning"),
        data_parallel=spread.data or 1,
        models=_models(recipe, values, server),
        values={key: value.text for key, value in values.items() if value.value is not None},
        mods=tuple(mods_of(recipe, mod_paths)[0]),
        pre_exec=_hooks(recipe.pre_exec, renderer),
        # One that is not trusted is left out, and a warning says so.
        post_exec=_hooks(recipe.post_exec, renderer) if recipe.trusted else (),
        volumes=recipe.volumes,
        rpc_port=rpc_port if runtime == LLAMA_CPP.name and size > 1 else None,
    )


def _refuse(recipe: Recipe, issues: t.Sequence[Issue]) -> None:
    found = errors(issues)
    if found:
        raise RecipeError(f"recipe {recipe.name} ({recipe.path}) cannot be launched:", found)


def _hooks(hooks: t.Sequence[Hook], renderer: Renderer) -> tuple[Hook, ...]:
    return tuple(Hook(renderer.command(hook.command), hook.timeout) for hook in hooks)


def _models(recipe: Recipe, values: t.Mapping[str, Value], server: vllm.Server) -> tuple[str, ...]:
    """The served model, and those that draft for it."""
    models = [values["model"].text, recipe.draft_model]
    speculative = server.flag(("--speculative-config",))
    try:
        config = json.loads(speculative or "{}")
    except ValueError:
        config = None
    if isinstance(config, dict) and isinstance(config.get("model"), str):
        models.append(config["model"])
    for flags in (("--speculative-draft-model-path",), ("-md", "--model-draft", "-hfd")):
        models.append(server.flag(flags) or "")
    return tuple(dict.fromkeys(model for model in models if model))


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
    server: vllm.Server, values: t.Mapping[str, Value], spread: Degrees, engine: Engine
) -> tuple[vllm.Server, int, str]:
    """Add flags that the launch depends on and the command lacks; also port and served name."""
    for flags, number in ((engine.tensor, spread.tensor), (engine.pipeline, spread.pipeline)):
        if flags and (number or 1) > 1 and server.flag(flags) is None:
            server = server.with_flags([flags[-1], str(number)])
    if engine is LLAMA_CPP and spread.size > 1 and server.flag(_SPLIT_MODE) is None:
        by = "row" if (spread.tensor or 1) > 1 else "layer"
        server = server.with_flags([_SPLIT_MODE[-1], by])
    added = [("port", engine.port), ("served_model_name", engine.served_name)]
    if engine.loopback:
        added.append(("host", engine.host))
    for key, names in added:
        value = values.get(key)
        if (
            value is not None
            and value.source in GIVEN
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
    index: int,
    nodes: t.Sequence[Node],
    runtime: str,
    server: vllm.Server,
    master_port: int,
    rpc_port: int,
) -> Rank:
    role: t.Literal["head", "worker"] = "head" if index == 0 else "worker"
    node = nodes[index]
    if runtime == "vllm-ray" and role == "worker":
        return Rank(index, role, node, "", ())
    if runtime == LLAMA_CPP.name and role == "worker":
        # Whoever reaches this port commands the node's memory: only the link between nodes may.
        words = ("--host", node.link_address, "--port", str(rpc_port))
        return Rank(index, role, node, f"set -- {shlex.join(words)}\n{_RPC_SERVER}", words)
    head = nodes[0].link_address
    count = [*("--nnodes", str(len(nodes))), *("--node-rank", str(index))]
    if runtime == "vllm-distributed":
        meeting = [*("--master-addr", head), *("--master-port", str(master_port))]
        server = server.with_flags([*count, *meeting, *(["--headless"] if index else [])])
    elif runtime == "sglang" and len(nodes) > 1:
        server = server.with_flags([*count, "--dist-init-addr", _endpoint(head, master_port)])
    elif runtime == LLAMA_CPP.name and len(nodes) > 1:
        workers = ",".join(_endpoint(one.link_address, rpc_port) for one in nodes[1:])
        server = server.with_flags(["--rpc", workers])
    return Rank(index, role, node, server.script(), server.words)


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


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
