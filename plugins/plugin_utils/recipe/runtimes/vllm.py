# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtimes of vLLM: alone on one node, over several nodes with Ray or natively.

Its flags are those of `vllm serve --help`.
"""

from __future__ import annotations

import json
import pathlib
import shlex
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.flags import (
    Grammar,
    Units,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.server import Server
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Node,
    Rank,
    Recipe,
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes import (
    vllm_flags,
    vllm_names,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.flags import (
    COMMON,
    named,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import (
    GB10_SHARE,
    Engine,
    LaunchSettings,
    MemoryTraits,
    Ports,
    Runtime,
    Values,
    await_port,
    behind_python_module,
    program_of,
    rank_count,
    rank_of,
    role_of,
)

_MODULE = "vllm.entrypoints.openai.api_server"
BACKEND = ("--distributed-executor-backend",)
# Flags whose value is a secret -> the variable that does the same.
_SECRET_FLAGS = {"--api-key": "VLLM_API_KEY", "--hf-token": "HF_TOKEN"}

# A key is the flag's name with _ for -.
_FLAGS = (
    *COMMON,
    "gpu_memory_utilization",
    "max_model_len",
    "max_num_batched_tokens",
    "max_num_seqs",
    "max_cudagraph_capture_size",
    "block_size",
    "seed",
    "tokenizer",
    "tokenizer_mode",
    "config_format",
    "generation_config",
    "override_generation_config",
    "hf_overrides",
    "hf_config_path",
    "limit_mm_per_prompt",
    "mm_processor_kwargs",
    "mm_processor_cache_gb",
    "mm_encoder_tp_mode",
    "media_io_kwargs",
    "allowed_local_media_path",
    "speculative_config",
    "compilation_config",
    "attention_config",
    "kv_transfer_config",
    "structured_outputs_config",
    "model_loader_extra_config",
    "safetensors_load_strategy",
    "default_chat_template_kwargs",
    "chat_template_content_format",
    "reasoning_parser_plugin",
    "tool_parser_plugin",
    "reasoning_config",
    "moe_backend",
    "linear_backend",
    "mamba_cache_mode",
    "mamba_cache_dtype",
    "mamba_ssm_cache_dtype",
    "kv_cache_memory_bytes",
    "cpu_offload_gb",
    "swap_space",
    "long_prefill_token_threshold",
    "max_num_partial_prefills",
    "max_long_partial_prefills",
    "optimization_level",
    "performance_mode",
    "runner",
    "convert",
    "task",
    "pooler_config",
    "decode_context_parallel_size",
    "dcp_kv_cache_interleave_size",
    "max_logprobs",
    "max_lora_rank",
    "max_loras",
    "lora_modules",
    "otlp_traces_endpoint",
    "distributed_executor_backend",
    "data_parallel_backend",
    "enforce_eager",
    "enable_auto_tool_choice",
    "enable_expert_parallel",
    "enable_lora",
    "enable_sleep_mode",
    "enable_prompt_tokens_details",
    "enable_force_include_usage",
    "enable_request_id_headers",
    "disable_custom_all_reduce",
    "disable_log_stats",
    "enable_prefix_caching",
    "enable_chunked_prefill",
    "async_scheduling",
    "enable_flashinfer_autotune",
    "enable_log_requests",
)


class _Ray(Runtime):
    ray = True

    def completed(self, server: Server) -> Server:
        return server if server.flag(BACKEND) is not None else server.with_flags([*BACKEND, "ray"])

    def rank(self, index: int, nodes: t.Sequence[Node], server: Server, ports: Ports) -> Rank:
        if index:
            return Rank(index, role_of(index), nodes[index], "", ())
        return rank_of(index, nodes, server)

    def ports(self, settings: LaunchSettings, ranks: int) -> list[tuple[str, int]]:
        return [("ray", settings.ray_port)]

    def environment(self, settings: LaunchSettings) -> dict[str, str]:
        return {
            # Ray's memory monitor kills workers on unified memory, where page cache counts as used.
            "RAY_memory_monitor_refresh_ms": "0",
            # A worker that finds the head's port asks so often, every 2 s, for the head itself;
            # after the default of 40 s it would give up on a head that is slow to start.
            "RAY_NUM_REDIS_GET_RETRIES": str(max(20, settings.ray_wait_seconds // 2)),
        }

    def script(
        self,
        rank: Rank,
        resolved: ResolvedRecipe,
        settings: LaunchSettings,
        detected: t.Collection[str],
    ) -> tuple[str, str | None]:
        if rank.role == "worker":
            return _worker_script(rank, resolved.ranks[0].node, settings), None
        waiter = pathlib.Path(__file__).with_name("ray_wait.py").read_text(encoding="utf-8")
        return _head_script(rank, resolved.ranks, settings, detected), waiter


class _Native(Runtime):
    def rank(self, index: int, nodes: t.Sequence[Node], server: Server, ports: Ports) -> Rank:
        head = nodes[0].link_address
        meeting = ["--master-addr", head, "--master-port", str(ports.master)]
        headless = ["--headless"] if index else []
        return rank_of(index, nodes, server, [*rank_count(index, nodes), *meeting, *headless])

    def ports(self, settings: LaunchSettings, ranks: int) -> list[tuple[str, int]]:
        return [("master", settings.master_port)] if ranks > 1 else []


_SOLO, _RAY, _NATIVE = Runtime("vllm"), _Ray("vllm-ray"), _Native("vllm-distributed")
_BACKENDS = {"ray": _RAY, "mp": _NATIVE}


class VllmEngine(Engine):
    """vLLM's OpenAI server."""

    def is_server(self, words: t.Sequence[str]) -> bool:
        if program_of(words) == "vllm":
            return list(words[1:2]) == ["serve"]
        return behind_python_module(words, _MODULE) > 0

    def arguments(self, words: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
        return words[behind_python_module(words, _MODULE) or 2 :], 1

    def implied_by(self, recipe: Recipe) -> bool:
        return not recipe.runtime

    def mixed(self, server: Server, flag: str) -> str:
        if server.flag(BACKEND) != "ray":
            return ""
        return f", and Ray, which the command asks for, has no {flag}"

    def runtime_of(
        self, recipe: Recipe, values: Values, server: Server, ranks: int
    ) -> tuple[Runtime, Server, list[Issue]]:
        if ranks == 1:
            return (_SOLO, *_without_ray(recipe, server))
        return _over_nodes(recipe, values, server)


def _without_ray(recipe: Recipe, server: Server) -> tuple[Server, list[Issue]]:
    if server.flag(BACKEND) != "ray":
        return server, []
    removed = recipe.issue(
        "backend-removed",
        "warning",
        "command",
        "on one node vLLM needs no Ray; --distributed-executor-backend ray is left out",
        "Nothing",
    )
    return server.without_flag(BACKEND[0]), [removed]


def _over_nodes(
    recipe: Recipe, values: Values, server: Server
) -> tuple[Runtime, Server, list[Issue]]:
    """Ray or native: by the recipe's runtime, else the override, the command, the defaults."""
    written = server.flag(BACKEND)
    value = values.get("distributed_executor_backend")
    default = value.text.lower() if value is not None and value.value is not None else None
    override = default if value is not None and value.source == "override" else None
    explicit = next((key for key, one in _BACKENDS.items() if one.name == recipe.runtime), None)
    backend = explicit or override or written or default or "ray"
    issues = []
    if backend not in _BACKENDS:
        issues.append(
            recipe.issue(
                "backend-invalid",
                "error",
                "command",
                f"distributed_executor_backend {backend} does not run over several nodes",
                "Use ray or mp",
            )
        )
    sources = ((override, "the override"), (written, "the command"), (default, "defaults"))
    for other, where in sources:
        if explicit and other is not None and other != explicit:
            issues.append(
                recipe.issue(
                    "backend-conflict",
                    "error",
                    "runtime",
                    f"runtime {recipe.runtime} means "
                    f"distributed_executor_backend {explicit}, but {where} says {other}",
                    "Use runtime: vllm, or make both say the same",
                )
            )
            break
    if written is not None and written != backend and not explicit:
        server = server.without_flag(BACKEND[0])
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
    return _BACKENDS.get(backend, _NATIVE), server, issues


def _ray_node(node: Node, settings: LaunchSettings) -> str:
    return shlex.join(
        [
            *("--node-ip-address", node.link_address),
            # A Spark has one GPU; written, not detected, so that a node without it fails at once.
            *("--num-gpus", "1"),
            *("--object-store-memory", str(settings.ray_object_store_bytes)),
            "--disable-usage-stats",
            *_ray_ports(settings.ray_first),
        ]
    )


def _ray_ports(first: int) -> list[str]:
    """The ports of a raylet beside one of another service; first: that of the slot, 0 for none.

    Two raylets of one host would both take workers' ports from 10002 on; 0 lets the kernel choose.
    """
    if not first:
        return []
    return [
        *("--node-manager-port", str(first + 5)),
        *("--object-manager-port", str(first + 6)),
        *("--metrics-export-port", str(first + 7)),
        *("--dashboard-agent-listen-port", str(first + 8)),
        *("--min-worker-port", "0", "--max-worker-port", "0"),
    ]


_READABLE_TOKEN = """\
if [ -n "${RAY_AUTH_TOKEN_PATH:-}" ] && ! [ -r "$RAY_AUTH_TOKEN_PATH" ]; then
  echo "dgxspark: user $(id -u) of this image cannot read Ray's token, which is root's" >&2
  exit 1
fi
"""


def _head_script(
    rank: Rank, ranks: t.Sequence[Rank], settings: LaunchSettings, detected: t.Collection[str]
) -> str:
    # vLLM copies the head's environment to all Ray workers, except what this file names.
    own = json.dumps(sorted(detected))
    waiting = [str(settings.ray_wait_seconds), *(other.node.link_address for other in ranks)]
    return f"""\
{_READABLE_TOKEN}\
config="${{VLLM_CONFIG_ROOT:-${{XDG_CONFIG_HOME:-$HOME/.config}}/vllm}}"
mkdir -p "$config" && echo {shlex.quote(own)} > "$config/ray_non_carry_over_env_vars.json" || exit 1
ray start --head --port {settings.ray_port} --include-dashboard=false \
{_client_server(settings.ray_first)}{_ray_node(rank.node, settings)} || exit 1
python3 -c "$1" {shlex.join(waiting)} || exit 1
{rank.text}"""


def _client_server(first: int) -> str:
    return f"--ray-client-server-port {first + 4} " if first else ""


def _worker_script(rank: Rank, head: Node, settings: LaunchSettings) -> str:
    target = f"{head.link_address}:{settings.ray_port}"
    place = f"{head.link_address}/{settings.ray_port}"
    return f"""\
{_READABLE_TOKEN}\
{await_port(place, f"the Ray head {target}", settings.ray_wait_seconds)}\
# It asks every 2 s whether the head's own part of Ray has come up, by itself for 40 s only.
export RAY_NUM_REDIS_GET_RETRIES={settings.ray_wait_seconds // 2 + 1}
exec ray start --block --address {target} {_ray_node(rank.node, settings)}"""


VLLM = VllmEngine(
    name="vllm",
    label="vLLM",
    recipe_names=("vllm", "vllm-ray", "vllm-distributed"),
    runtimes=(_SOLO, _RAY, _NATIVE),
    example="vllm serve",
    default_port=8000,
    loopback=False,
    tensor=("-tp", "--tensor-parallel-size"),
    pipeline=("-pp", "--pipeline-parallel-size"),
    data=("-dp", "--data-parallel-size"),
    served_name=("--served-model-name",),
    port=("--port",),
    host=("--host",),
    rank_flags=(
        *("--nnodes", "-n"),
        *("--node-rank", "-r"),
        *("--master-addr", "--master-port", "--headless"),
    ),
    secret_flags={
        flag: f'Use env: {variable}: "${{{variable}}}"' for flag, variable in _SECRET_FLAGS.items()
    },
    elsewhere_flags=("--ssl-keyfile", "--ssl-certfile", "--root-path", "--uds"),
    share=("--gpu-memory-utilization",),
    default_image="scitrera/dgx-spark-vllm:0.16.0-t5",
    revision=("--revision",),
    platform=GB10_SHARE,
    flags={
        **named(_FLAGS),
        "tensor_parallel": "--tensor-parallel-size",
        "pipeline_parallel": "--pipeline-parallel-size",
        "data_parallel": "--data-parallel-size",
        "decode_context_parallel": "--decode-context-parallel-size",
        "expert_parallel": "--enable-expert-parallel",
        "model_revision": "--revision",
    },
    switched_off=(
        "enable_prefix_caching",
        "enable_chunked_prefill",
        "async_scheduling",
        "enable_flashinfer_autotune",
    ),
    known_values=vllm_names.NAMES,
    grammar=Grammar(
        label="vLLM",
        version=vllm_flags.VERSION,
        table=vllm_flags.FLAGS,
        dotted=True,
        units=Units.VLLM,
        needs={"--enable-auto-tool-choice": "--tool-call-parser"},
        configs=("--config",),
        families=vllm_names.FAMILIES,
    ),
    further_values=("distributed_executor_backend",),
    memory=MemoryTraits(
        context=("--max-model-len",),
        context_setting="max_model_len",
        # vLLM's own defaults on a GPU of 70 GiB or more (config/scheduler).
        chunk=8192,
        context_by_name=True,
        pool=("--kv-cache-memory-bytes", "--kv-cache-memory"),
        # Of vLLM's CPU build; there is no share of the memory to set there.
        pool_env="VLLM_CPU_KVCACHE_SPACE",
        share=(("--gpu-memory-utilization",), 0.9),
        share_gib=("--gpu-memory-utilization-gb",),
    ),
)
