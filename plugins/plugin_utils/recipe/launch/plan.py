# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn a resolved recipe into a launch plan: one plain dict that describes every container.

The dict is a contract, docs/contracts/launch_plan.md; `SCHEMA` counts its incompatible changes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import json
import pathlib
import re
import shlex
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import (
    LABEL,
    MAIN,
    OWNER,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.repo_names import is_repo
from ansible_collections.dgxspark.suite.plugins.module_utils.serving.kinds import endpoint
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.env_checks import (
    is_secret,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.executor import (
    executor_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.hooks import normal
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Rank,
    RecipeError,
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch import (
    fabric_environment,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.claims import claim_of
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.mods_and_hooks import (
    PlacedMod,
    after,
    before,
    placed_mods,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.mounts import (
    Allowed,
    Mount,
    extra_mounts,
    mount_problems,
    mounts_of,
    on_node,
    on_nodes,
    state_mounts,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.overlays import (
    placed_overlay,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.ray_auth import (
    OWN_VARIABLES,
    RAY_TOKEN,
    RAY_TOKEN_SEEN_AT,
    RayAuth,
    ray_auth,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import (
    DEFAULT_PORTS,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.registry import (
    runtime_named,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import Ports

SCHEMA = 1

# A service other than `main` has so many ports of its own, from here on.
SLOT_BASE, SLOT_PORTS, SLOTS = 25100, 16, 40

# Where containers keep what they compile, and by which variables: vLLM its graphs, Triton, inductor
# and FlashInfer their kernels. A server that finds them starts minutes earlier.
_RUNTIME_CACHE = "/var/cache/dgxspark"
_RUNTIME_CACHE_ENV = {
    "FLASHINFER_WORKSPACE_BASE": _RUNTIME_CACHE,
    "TORCHINDUCTOR_CACHE_DIR": f"{_RUNTIME_CACHE}/torchinductor",
    "TRITON_CACHE_DIR": f"{_RUNTIME_CACHE}/triton",
    "VLLM_CACHE_ROOT": f"{_RUNTIME_CACHE}/vllm",
    "XDG_CACHE_HOME": _RUNTIME_CACHE,
}

# What is served goes first where memory ends, as do the launchers' units; sshd and Docker stay.
_OOM_SCORE = 500

_MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the inventory decides about containers.

    hf_home: Hugging Face cache on the nodes, mounted read-only at the same path. runtime_cache: a
    volume of each node's Docker, or a folder there, in which servers keep what they compile; "" for
    none.
    gpus: "all", a number, or "" for none. ulimits: name:soft:hard. devices: host paths.
    master_port, ray_port: on the head. ray_object_store_bytes: per node, at least 75 MiB (Ray's own
    minimum). ray_wait_seconds: for nodes to find each other. survive: have units keep the workload
    over reboots and crashes; survive_port: at which they meet on the head; survive_starts: how
    often an hour they start it; swap_port: at which the guards of a swap meet there. env_secret:
    variables whose values are secrets, besides those that are by their names or values. model_dirs:
    local model directories, which recipes may mount.
    volumes_allow: further sources that may be mounted, and what is below them. ray_auth: have Ray
    ask for a token. security_opts: as of `docker run --security-opt`. pids_limit: of processes and
    threads in each container, 0 for none. image_preflight: whether more of the image's facts counts
    than the version of its Ray. ray_first: the first port of the service's slot, from which Ray's
    other ports are chosen as well; 0 leaves these to Ray. restart_on_deep_failure: whether a server
    that answers no request is restarted; it is asked every deep_seconds. accept_licences: names of
    licences that a person has accepted.
    """

    hf_home: str = "/ai/cache/huggingface"
    runtime_cache: str = "dgxspark-cache"
    gpus: str = "all"
    shm_size: str = "16g"
    ipc_mode: str = "private"
    ulimits: t.Sequence[str] = ("memlock:-1:-1", "stack:67108864:67108864")
    devices: t.Sequence[str] = ()
    master_port: int = DEFAULT_PORTS.master
    ray_port: int = 46379
    ray_object_store_bytes: int = 1024 * _MIB
    ray_wait_seconds: int = 300
    survive: bool = True
    survive_port: int = 25010
    survive_starts: int = 3
    swap_port: int = 25020
    env_secret: t.Sequence[str] = ()
    model_dirs: t.Sequence[str] = ("/ai/models",)
    volumes_allow: t.Sequence[str] = ()
    ray_auth: bool = True
    security_opts: t.Sequence[str] = ("no-new-privileges",)
    pids_limit: int = 16384
    image_preflight: bool = True
    restart_on_deep_failure: bool = False
    deep_seconds: int = 900
    accept_licences: t.Sequence[str] = ()
    ray_first: int = 0

    @property
    def allowed(self) -> Allowed:
        return Allowed.of(self.model_dirs, self.hf_home, self.volumes_allow)


# Those that are options of the lookup launch_plan.
SETTINGS = [field.name for field in dataclasses.fields(Settings) if field.name != "ray_first"]


@dataclasses.dataclass(frozen=True)
class Service:
    """What a launch replaces, and the number that chooses the ports at which its ranks meet.

    name: as `is_service` has it. slot: 0 for the ports of the settings, which is that of `main`;
    from 1 to SLOTS the SLOT_PORTS ports from SLOT_BASE on.
    """

    name: str = MAIN
    slot: int = 0

    def settings(self, settings: Settings) -> Settings:
        """The settings with the ports of the slot."""
        if not self.slot:
            return settings
        first = SLOT_BASE + SLOT_PORTS * self.slot
        return dataclasses.replace(
            settings,
            master_port=first,
            survive_port=first + 1,
            swap_port=first + 2,
            ray_port=first + 3,
            ray_first=first,
        )

    def ports(self, settings: Settings) -> Ports:
        """Where ranks meet that are planned before the settings of a plan are read."""
        rpc = {"rpc": SLOT_BASE + SLOT_PORTS * self.slot + 9} if self.slot else {}
        return Ports(master=self.settings(settings).master_port, **rpc)


# Node name -> what the module image_preflight found in the image there; empty where not known.
ImageFacts = t.Mapping[str, t.Mapping[str, t.Any]]


def build_plan(
    resolved: ResolvedRecipe,
    settings: Settings,
    image_facts: ImageFacts | None = None,
    service: Service = Service(),
) -> dict[str, t.Any]:
    """The plan of this launch. Raises RecipeError with every reason why there can be none.

    settings: with the ports of the service's slot, see `Service.settings`.
    """
    if not resolved.recipe.gpu:
        settings = dataclasses.replace(settings, gpus="")
    pins, image_warnings = _image(resolved, settings, image_facts or {})
    mods, wrong = placed_mods(resolved.mods)
    overlaid, more = placed_overlay(resolved.recipe, resolved.image)
    mounts = _mounts(resolved, settings, service, mods)
    _check(resolved, settings, [*wrong, *more], mounts)
    if overlaid:
        resolved = dataclasses.replace(resolved, image=overlaid.image(resolved.recipe.name))
    auth = ray_auth(resolved, settings.ray_auth, settings.ray_port, image_facts or {})
    environment, warnings = _environment(resolved, settings, pins, auth)
    warnings += [*image_warnings, *filter(None, [auth.warning])]
    head = resolved.ranks[0].node
    ranks = [
        _rank(
            rank,
            resolved,
            settings,
            service,
            environment,
            [
                *(mount.entry() for mount in mounts),
                *map(_read_only, sorted({*pins[rank.node.name].values()})),
                *([_read_only(RAY_TOKEN, RAY_TOKEN_SEEN_AT)] if auth.state == "token" else []),
            ],
            mods,
        )
        for rank in resolved.ranks
    ]
    plan: dict[str, t.Any] = {
        "schema": SCHEMA,
        "recipe": resolved.recipe.name,
        "service": service.name,
        "slot": service.slot,
        "workload": slug(resolved.recipe.name),
        "model": resolved.model,
        "served_model_name": resolved.served_model_name,
        "mode": resolved.mode,
        "runtime": resolved.runtime,
        "image": resolved.image,
        "tensor_parallel": resolved.tensor_parallel,
        "pipeline_parallel": resolved.pipeline_parallel,
        "nodes": [rank.node.name for rank in resolved.ranks],
        "head": head.name,
        "address": head.address,
        "port": resolved.port,
        "ports": _ports(resolved, settings),
        "worker_ports": {} if resolved.rpc_port is None else {"rpc": resolved.rpc_port},
        "url": f"http://{_in_url(head.address)}:{resolved.port}",
        "supervise": _supervise(resolved, settings),
        "env": {"shared": environment.shared, "per_node": environment.per_node},
        "secret_env": sorted(environment.secret),
        "ranks": ranks,
    }
    if resolved.recipe.forbid:
        plan["forbid"] = list(resolved.recipe.forbid)
    plan["hash"] = plan_hash(plan)
    plan["overlay"] = overlaid.entry() if overlaid else {}
    plan["kind"] = list(resolved.recipe.kind)
    plan["endpoint"] = endpoint(plan["url"], plan["kind"])
    plan["probe"] = _probe(resolved)
    plan["needs"] = dict(resolved.recipe.needs)
    plan["claim"] = claim_of(resolved, bool(settings.gpus))
    for rank in ranks:
        rank["labels"].update(_told(plan, resolved))
        used = {"pins": pins[rank["node"]], "ray": auth.version}
        if any(used.values()):
            rank["labels"][f"{LABEL}image-facts"] = json.dumps(used, sort_keys=True)
    plan["swap_port"] = settings.swap_port
    plan["overrides"] = dict(resolved.overrides)
    plan["recipe_path"] = resolved.recipe.path
    plan["models"] = _models(resolved)
    plan["mounts"] = on_nodes(mounts, settings.allowed)
    plan["ray_auth"] = auth.state
    plan["ray_token"] = RAY_TOKEN if auth.state == "token" else ""
    plan["refusals"] = [*filter(None, [auth.refusal])]
    plan["mods"] = [
        {"name": mod.mod.name, "folder": mod.mod.folder, "source": mod.source} for mod in mods
    ]
    plan["warnings"] = [foreign.shown(str(text)) for text in (*resolved.warnings, *warnings)]
    plan["docker_commands"] = [_docker(rank, resolved.image, plan["secret_env"]) for rank in ranks]
    return plan


def _docker(
    rank: t.Mapping[str, t.Any], image: str, secret_env: t.Sequence[str]
) -> dict[str, t.Any]:
    """The docker command that starts a rank: as `command` for people, as `words` for the node."""
    options = docker_options(rank, secret_env)
    return {
        "node": rank["node"],
        "rank": rank["rank"],
        "command": docker_command(options, image, rank["argv"]),
        "words": [*(word for option in options for word in option), image, *rank["argv"]],
    }


def _image(
    resolved: ResolvedRecipe, settings: Settings, image_facts: ImageFacts
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Node -> variable -> the file that is mounted for its Triton, and the warnings about it."""
    pins: dict[str, dict[str, str]] = {}
    messages: dict[str, list[str]] = {}
    refused: list[str] = []
    for rank in resolved.ranks:
        facts = (settings.image_preflight and image_facts.get(rank.node.name)) or {}
        pins[rank.node.name] = dict(facts.get("pins") or {})
        if facts.get("assembles") is False and settings.gpus:
            refused.append(
                f"node {rank.node.name}: {facts['message']}. {facts['way_out']} Or, for a model "
                "that needs no kernel of Triton, launch it as it is: "
                "-e dgxspark_image_preflight=false"
            )
        elif facts.get("message"):
            messages.setdefault(facts["message"], []).append(rank.node.name)
    if refused:
        _refuse(resolved, refused)
    return pins, [f"{', '.join(nodes)}: {text}" for text, nodes in messages.items()]


def needs(resolved: ResolvedRecipe, settings: Settings) -> dict[str, t.Any]:
    """What has to be on the nodes; these parts of a plan do not depend on the nodes' addresses.

    Raises RecipeError with what may not be mounted, which no node looks at, and with licences that
    nobody has accepted, before anything is fetched.
    """
    mods, wrong = placed_mods(resolved.mods)
    overlaid, more = placed_overlay(resolved.recipe, resolved.image)
    mounts = _mounts(resolved, settings, Service(), mods)
    problems = [
        *wrong,
        *more,
        *mount_problems(mounts, settings.allowed),
        *_not_accepted(resolved, settings),
    ]
    if problems:
        _refuse(resolved, problems)
    return {
        "recipe": resolved.recipe.name,
        "image": overlaid.image(resolved.recipe.name) if overlaid else resolved.image,
        "overlay": overlaid.entry() if overlaid else {},
        "models": _models(resolved),
        "mounts": on_nodes(mounts, settings.allowed),
    }


def _models(resolved: ResolvedRecipe) -> list[dict[str, str]]:
    """What has to be on the nodes: `name` (repository or path), `quant`, `revision`."""
    models: list[dict[str, str]] = []
    for model in resolved.models:
        name, _colon, quant = (model, "", "") if model.startswith("/") else model.partition(":")
        revision = resolved.revisions.get(model, "")
        if name.startswith("/"):
            place = on_node(resolved, normal(name))
            models.append({"name": place, "quant": "", "revision": ""})
        # No place that only the server knows how to reach, as s3://bucket/model.
        elif is_repo(name) and "/" not in quant:
            models.append({"name": name, "quant": quant, "revision": revision})
    return models


def _told(plan: t.Mapping[str, t.Any], resolved: ResolvedRecipe) -> dict[str, str]:
    """Labels that say of a container what its plan was; none of them is part of the hash."""
    values = {
        "claim": plan["claim"],
        "supervise": (json.dumps(plan["supervise"], sort_keys=True) if plan["supervise"] else ""),
        "overrides": json.dumps(resolved.overrides, sort_keys=True, default=str),
        "plan-hash": plan["hash"],
        "ray-port": str(plan["ports"].get("ray", "")),
        "ranks": str(len(plan["ranks"])),
        "recipe-path": resolved.recipe.path,
        "served-model-name": plan["served_model_name"],
        "url": plan["url"],
        **({"kind": ",".join(plan["kind"])} if plan["kind"] else {}),
        **({"forbid": ",".join(plan["forbid"])} if plan.get("forbid") else {}),
        **({"probe": json.dumps(plan["probe"], sort_keys=True)} if plan["probe"] else {}),
    }
    return {LABEL + key: value for key, value in values.items()}


def _probe(resolved: ResolvedRecipe) -> dict[str, t.Any]:
    """What the recipe says of its probes, as `proof.Given.of` reads it; empty for nothing."""
    light = {"light": resolved.recipe.health} if resolved.recipe.health else {}
    return {**light, **resolved.recipe.deep}


def _not_accepted(resolved: ResolvedRecipe, settings: Settings) -> t.Iterator[str]:
    """Licences that a person has to accept first, each with the way out."""
    for licence in resolved.recipe.accept_licences:
        if licence.name not in settings.accept_licences:
            why = f" ({licence.why})" if licence.why else ""
            yield (
                f"it fetches what is under the licence {licence.name}, {licence.url}{why}, which "
                f"nobody has accepted. Read it, then accept it: -e accept_licence={licence.name}, "
                f"or dgxspark_accept_licences: [{licence.name}] in the inventory"
            )


def _supervise(resolved: ResolvedRecipe, settings: Settings) -> dict[str, t.Any]:
    """What all units of the workload have in common; empty where there are to be none."""
    if not settings.survive:
        return {}
    return {
        "members": [rank.node.link_address for rank in resolved.ranks],
        "nodes": [rank.node.name for rank in resolved.ranks],
        "port": settings.survive_port,
        "starts": settings.survive_starts,
        **({"deep": settings.deep_seconds} if settings.restart_on_deep_failure else {}),
    }


def _ports(resolved: ResolvedRecipe, settings: Settings) -> dict[str, int]:
    """What the head listens on: `server`, and the ports at which the ranks and their units meet."""
    return {"server": resolved.port, **dict(_meeting(resolved, settings))}


def _meeting(resolved: ResolvedRecipe, settings: Settings) -> list[tuple[str, int]]:
    """Names and numbers of the ports at which the ranks meet; empty where they need none."""
    ports = runtime_named(resolved.runtime).ports(settings, len(resolved.ranks))
    if settings.survive and len(resolved.ranks) > 1:
        ports.append(("survive", settings.survive_port))
    return ports


def plan_hash(plan: t.Mapping[str, t.Any]) -> str:
    """sha256 of the canonical JSON of what is effective; secret values are in neither."""
    text = json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def secret_values(
    resolved: ResolvedRecipe, environ: t.Mapping[str, str], settings: Settings
) -> dict[str, str]:
    """The values of the plan's `secret_env`, for the task that starts the containers only."""
    literal = {**resolved.inventory_env, **resolved.env}
    values = {
        name: value
        for name, value in literal.items()
        if is_secret(name, value, settings.env_secret)
    }
    values.update({name: environ[source] for name, source in resolved.secret_env.items()})
    return values


def docker_options(rank: t.Mapping[str, t.Any], secret_env: t.Sequence[str]) -> list[list[str]]:
    """The options of the `docker run` that starts this rank, each with its value.

    Secrets come from the variables of the Docker client (`--env NAME`).
    """
    options = [["--detach"], ["--name", rank["name"]], ["--pull", "never"]]
    options += [["--network", rank["network_mode"]], ["--ipc", rank["ipc_mode"]]]
    options += [["--publish", port] for port in rank.get("publish", ())]
    if rank.get("memory_bytes"):
        # Both the same: the container does not swap.
        limit = str(rank["memory_bytes"])
        options += [["--memory", limit], ["--memory-swap", limit]]
    options += [["--shm-size", rank["shm_size"]], ["--restart", rank["restart_policy"]]]
    options.append(["--oom-score-adj", str(rank["oom_score_adj"])])
    if rank["gpus"]:
        options.append(["--gpus", rank["gpus"]])
    options += [["--device", device] for device in rank["devices"]]
    options += [["--security-opt", option] for option in rank["security_opts"]]
    if rank["pids_limit"]:
        options.append(["--pids-limit", str(rank["pids_limit"])])
    options += [["--cap-add", name] for name in rank.get("cap_add", ())]
    if rank.get("user"):
        options.append(["--user", rank["user"]])
    for ulimit in rank["ulimits"]:
        name, _colon, limits = ulimit.partition(":")
        options.append(["--ulimit", f"{name}={limits}"])
    for mount in rank["mounts"]:
        fields = [f"{key}={mount[key]}" for key in ("type", "source", "target")]
        words = ",".join(map(_field, fields))
        options.append(["--mount", words + (",readonly" if mount["read_only"] else "")])
    options += [["--label", f"{key}={value}"] for key, value in rank["labels"].items()]
    options += [["--env", f"{name}={value}"] for name, value in rank["env"].items()]
    options += [["--env", name] for name in secret_env]
    options += [["--entrypoint", program] for program in rank["entrypoint"]]
    return options


def _field(text: str) -> str:
    """A field of comma-separated values, as Docker reads a mount."""
    return '"%s"' % text.replace('"', '""') if "," in text or '"' in text else text


def docker_command(options: t.Sequence[t.Sequence[str]], image: str, argv: t.Sequence[str]) -> str:
    """The `docker run` with these options, to be pasted into a bash on its node.

    No line of it ends inside quotes, so that it survives being indented by whatever prints it.
    """
    lines = ["docker run", *(" ".join(map(_one_line, option)) for option in options)]
    lines.append(shlex.quote(image))
    return " \\\n  ".join([*lines, *(_one_line(word) for word in argv)])


def _one_line(word: str) -> str:
    """A word quoted for bash, without a line end or another control character of its own."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_escaped, word)) + "'"


def _escaped(char: str) -> str:
    """A character as bash's $'...' takes it."""
    if char in "\\'":
        return f"\\{char}"
    if char == "\n":
        return "\\n"
    if char.isprintable():
        return char
    return f"\\x{ord(char):02x}" if char.isascii() else f"\\U{ord(char):08x}"


def slug(text: str) -> str:
    """A name that Docker takes as part of a container's name."""
    short = re.sub(r"[^a-z0-9_.-]+", "-", text.lower()).strip("-._")[:40].rstrip("-._")
    return short or "recipe"


@dataclasses.dataclass(frozen=True)
class _RankEnvironment:
    """shared: same on all nodes. per_node: node name -> the rest. secret: names only.

    detected: names that have a value of their own on each node, or had but for the recipe.
    """

    shared: dict[str, str]
    per_node: dict[str, dict[str, str]]
    secret: set[str]
    detected: set[str]

    def of(self, node: Node) -> dict[str, str]:
        return dict(sorted({**self.shared, **self.per_node[node.name]}.items()))


def _environment(
    resolved: ResolvedRecipe,
    settings: Settings,
    pins: t.Mapping[str, t.Mapping[str, str]],
    auth: RayAuth,
) -> tuple[_RankEnvironment, list[str]]:
    """Ours, then the inventory's, then the recipe's: the last wins, over ours with a warning."""
    # Models are put on the nodes before the launch; a server never downloads.
    ours = {"HF_HUB_OFFLINE": "1"}
    if _reads_models(resolved):
        ours["HF_HOME"] = settings.hf_home
        # The cache is read-only; transformers copies a model's own code here.
        ours["HF_MODULES_CACHE"] = "/tmp/hf_modules"
    if not runtime_named(resolved.runtime).own_program:
        ours["VLLM_NO_USAGE_STATS"] = "1"
    elif _reads_models(resolved):
        # An image may name another folder, as that of Text Embeddings Inference.
        ours["HUGGINGFACE_HUB_CACHE"] = f"{settings.hf_home}/hub"
    ours.update(runtime_named(resolved.runtime).environment(settings))
    if _keeps_cache(resolved, settings):
        ours.update(_RUNTIME_CACHE_ENV)
    ours.update(auth.environment)
    per_node: dict[str, dict[str, str]] = {rank.node.name: {} for rank in resolved.ranks}
    nodes = [rank.node for rank in resolved.ranks]
    if resolved.mode == "cluster":
        ours.update(fabric_environment.shared(nodes))
        for rank in resolved.ranks:
            interface = rank.node.fabric_interface or ""
            per_node[rank.node.name] = {
                "GLOO_SOCKET_IFNAME": interface,
                "NCCL_SOCKET_IFNAME": interface,
                "TP_SOCKET_IFNAME": interface,
                # Without it a worker offers the address of its default route.
                "VLLM_HOST_IP": rank.node.link_address,
                # Both interfaces of the port; NCCL would also use devices that link no nodes.
                **({"NCCL_IB_HCA": ",".join(rank.node.hcas)} if rank.node.hcas else {}),
            }
    for node, variables in per_node.items():
        variables.update(pins[node])
    detected_names = {name for variables in per_node.values() for name in variables}
    given = {**resolved.inventory_env, **resolved.env}
    cluster = resolved.mode == "cluster"
    warnings = fabric_environment.warnings(nodes, given) if cluster else []
    secret = {name for name in given if is_secret(name, given[name], settings.env_secret)}
    secret |= set(resolved.secret_env)
    for source, variables in (
        ("dgxspark_env", resolved.inventory_env),
        ("the recipe's env", resolved.env),
    ):
        for name, value in variables.items():
            detected = name in detected_names
            if detected or ours.get(name, value) != value:
                was = "the value detected on each node" if detected else ours[name]
                shown = name if is_secret(name, value, settings.env_secret) else f"{name}={value}"
                warnings.append(f"{source} sets {shown} over {was}")
    shared = {name: value for name, value in {**ours, **given}.items() if name not in secret}
    left = {
        node: {name: value for name, value in variables.items() if name not in {*given, *secret}}
        for node, variables in per_node.items()
    }
    return _RankEnvironment(dict(sorted(shared.items())), left, secret, detected_names), warnings


def _rank(
    rank: Rank,
    resolved: ResolvedRecipe,
    settings: Settings,
    service: Service,
    environment: _RankEnvironment,
    mounts: t.Sequence[dict[str, t.Any]],
    mods: t.Sequence[PlacedMod],
) -> dict[str, t.Any]:
    name = f"dgxspark-{service.name}-{rank.rank}"
    executor = executor_of(resolved.recipe)
    return {
        "rank": rank.rank,
        "role": rank.role,
        "node": rank.node.name,
        "address": rank.node.link_address,
        "name": name,
        **_program(rank, resolved, settings, name, environment, mods),
        "server_argv": list(rank.argv),
        "env": environment.of(rank.node),
        "mounts": list(mounts),
        "labels": {
            f"{LABEL}owner": OWNER,
            f"{LABEL}rank": str(rank.rank),
            f"{LABEL}recipe": resolved.recipe.name,
            f"{LABEL}role": rank.role,
            f"{LABEL}service": service.name,
            f"{LABEL}slot": str(service.slot),
            f"{LABEL}workload": slug(resolved.recipe.name),
        },
        **_network(rank, resolved),
        "ipc_mode": settings.ipc_mode,
        "shm_size": executor.shm_size or settings.shm_size,
        "oom_score_adj": _OOM_SCORE,
        "ulimits": executor.limits(settings.ulimits),
        "gpus": settings.gpus,
        "devices": list(settings.devices),
        "security_opts": list(settings.security_opts),
        "pids_limit": settings.pids_limit,
        "restart_policy": "no",
        **({"user": executor.user} if executor.user else {}),
        **({"cap_add": list(executor.cap_add)} if executor.cap_add else {}),
    }


def _program(
    rank: Rank,
    resolved: ResolvedRecipe,
    settings: Settings,
    name: str,
    environment: _RankEnvironment,
    mods: t.Sequence[PlacedMod],
) -> dict[str, t.Any]:
    """What the container runs, and its memory limit, if it has one."""
    if not runtime_named(resolved.runtime).own_program:
        return {
            # Said, because an image's own entrypoint may be the server itself.
            "entrypoint": ["bash"],
            "argv": _argv(rank, resolved, settings, name, environment, mods),
        }
    return {
        "entrypoint": list(resolved.entrypoint[:1]),
        "argv": [*resolved.entrypoint[1:], *rank.argv],
        "memory_bytes": resolved.memory_bytes or 0,
    }


def _network(rank: Rank, resolved: ResolvedRecipe) -> dict[str, t.Any]:
    """The network of a container; a program of an image is reached at one address of its node."""
    if resolved.container_port is None:
        return {"network_mode": "host"}
    address = _in_url(rank.node.address)
    return {
        "network_mode": "bridge",
        "publish": [f"{address}:{resolved.port}:{resolved.container_port}"],
    }


def _argv(
    rank: Rank,
    resolved: ResolvedRecipe,
    settings: Settings,
    name: str,
    environment: _RankEnvironment,
    mods: t.Sequence[PlacedMod],
) -> list[str]:
    """What bash gets. Arguments after the script are the script's $0, $1, ..."""
    first = before(resolved, mods)
    if rank.role == "head":
        first += after(resolved)
    script, argument = runtime_named(resolved.runtime).script(
        rank, resolved, settings, environment.detected
    )
    return ["-c", first + script, *([] if argument is None else [name, argument])]


def _mounts(
    resolved: ResolvedRecipe, settings: Settings, service: Service, mods: t.Sequence[PlacedMod]
) -> list[Mount]:
    cache = settings.runtime_cache if _keeps_cache(resolved, settings) else ""
    mounts = mounts_of(resolved, settings.allowed, cache, _RUNTIME_CACHE)
    if not _reads_models(resolved):
        mounts = [mount for mount in mounts if mount.kind != "cache"]
    return [
        *mounts,
        *extra_mounts(resolved, mods),
        *state_mounts(resolved.recipe.state, service.name),
    ]


def _reads_models(resolved: ResolvedRecipe) -> bool:
    """Whether the containers get the cache of models: those of an image only for its model."""
    return bool(resolved.models) or not runtime_named(resolved.runtime).own_program


def _keeps_cache(resolved: ResolvedRecipe, settings: Settings) -> bool:
    """Whether the server compiles what is worth a cache, and has one."""
    return bool(settings.runtime_cache) and runtime_named(resolved.runtime).compiles


def _read_only(path: str, target: str = "") -> dict[str, t.Any]:
    """A mount of something of the node, at its own path where no other is given."""
    return {"type": "bind", "source": path, "target": target or path, "read_only": True}


def _check(
    resolved: ResolvedRecipe,
    settings: Settings,
    wrong: t.Sequence[str],
    mounts: t.Sequence[Mount],
) -> None:
    problems = [*wrong, *mount_problems(mounts, settings.allowed)]
    for rank in resolved.ranks:
        node = rank.node
        for what, address in (("address", node.address), ("fabric_address", node.fabric_address)):
            if address is not None and not is_ip(address):
                problems.append(
                    f"node {node.name}: {what} is {address!r}, expected an IP address "
                    "(names are not resolved: .local ones stall HTTP clients)"
                )
        if resolved.mode == "cluster" and not node.fabric_interface:
            problems.append(
                f"node {node.name}: no interface is known to carry {node.link_address}. Gather the "
                "node's facts first; if they have been, correct the address"
            )
    if resolved.mode == "cluster":
        without = [rank.node.name for rank in resolved.ranks if not rank.node.fabric_address]
        if without and len(without) < len(resolved.ranks):
            problems.append(
                f"only some nodes have a fabric_address; missing on {', '.join(without)}. "
                "Give it to all of them or to none"
            )
    names = [rank.node.name for rank in resolved.ranks]
    links = [rank.node.link_address for rank in resolved.ranks]
    if len(set(names)) < len(names) or len(set(links)) < len(links):
        problems.append(f"each rank needs its own node, found {names} at {links}")
    problems += _settings_problems(resolved, settings)
    problems += _ray_problems(resolved)
    if problems:
        _refuse(resolved, problems)


def _ray_problems(resolved: ResolvedRecipe) -> t.Iterator[str]:
    """Variables and volumes that would replace the token of Ray, or turn it off."""
    if not runtime_named(resolved.runtime).ray:
        return
    for name in sorted({*resolved.inventory_env, *resolved.env, *resolved.secret_env}):
        if name.startswith(OWN_VARIABLES):
            yield f"env sets {name}, which dgxspark_ray_auth decides. Remove it"
    for volume in resolved.volumes:
        if pathlib.PurePosixPath(RAY_TOKEN_SEEN_AT).is_relative_to("/" + volume.target.strip("/")):
            yield f"a volume at {volume.target} would hide Ray's token. Mount it elsewhere"


def _refuse(resolved: ResolvedRecipe, problems: t.Sequence[str]) -> t.NoReturn:
    listing = "\n".join(f"  - {problem}" for problem in problems)
    raise RecipeError(f"recipe {resolved.recipe.name} cannot be launched:\n{listing}")


def _settings_problems(resolved: ResolvedRecipe, settings: Settings) -> t.Iterator[str]:
    if not re.fullmatch(r"|/.*|[a-zA-Z0-9][\w.-]+", settings.runtime_cache, re.ASCII | re.DOTALL):
        yield (
            f"dgxspark_runtime_cache is {settings.runtime_cache!r}, expected the name of a Docker "
            "volume, an absolute path, or empty for none"
        )
    if settings.pids_limit < 0:
        yield f"dgxspark_pids_limit is {settings.pids_limit}, expected 0 for none, or more"
    for option in settings.security_opts:
        if not re.fullmatch(r"[!-~]+", option):
            yield f"dgxspark_security_opts has {option!r}, expected text without blanks"
    if settings.gpus not in ("", "all") and not re.fullmatch(r"[1-9]\d?", settings.gpus):
        yield f"dgxspark_gpus is {settings.gpus!r}, expected all, a number, or empty for none"
    if settings.ray_object_store_bytes < 75 * _MIB:
        yield (
            f"dgxspark_ray_object_store_bytes is {settings.ray_object_store_bytes}, "
            f"expected at least {75 * _MIB}, which is Ray's minimum"
        )
    for what, port in _meeting(resolved, settings):
        name = f"dgxspark_{what}_port"
        if not 0 < port < 65536:
            yield f"{name} is {port}, expected 1 to 65535"
        if port == resolved.port:
            yield f"{name} and the recipe's port are both {port}; change one of them"
    meeting = dict(_meeting(resolved, settings))
    for what, port in meeting.items():
        if what != "survive" and port == meeting.get("survive"):
            yield f"dgxspark_{what}_port and dgxspark_survive_port are both {port}; change one"
        if port == settings.swap_port:
            yield f"dgxspark_{what}_port and dgxspark_swap_port are both {port}; change one"
    if settings.survive and settings.survive_starts < 1:
        yield f"dgxspark_survive_starts is {settings.survive_starts}, expected 1 or more"


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
