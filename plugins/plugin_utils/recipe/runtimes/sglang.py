# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime `sglang`; its flags are those of `python3 -m sglang.launch_server --help`."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.flags import (
    Grammar,
    Units,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command.server import Server
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Node, Rank
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes import sglang_flags
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
    behind_python_module,
    endpoint,
    program_of,
    rank_count,
    rank_of,
)

_MODULE = "sglang.launch_server"
_FLAGS = (
    *COMMON,
    "moe_runner_backend",
    "revision",
    "random_seed",
    "tokenizer_path",
    "max_total_tokens",
    "chunked_prefill_size",
    "max_prefill_tokens",
    "schedule_policy",
    "cuda_graph_bs",
    "cuda_graph_max_bs",
    "torch_compile_max_bs",
    "fp4_gemm_backend",
    "fp8_gemm_backend",
    "mamba_ssm_dtype",
    "mamba_full_memory_ratio",
    "speculative_algorithm",
    "speculative_draft_model_path",
    "speculative_num_steps",
    "speculative_eagle_topk",
    "speculative_num_draft_tokens",
    "num_continuous_decode_steps",
    "page_size",
    "grammar_backend",
    "sampling_backend",
    "json_model_override_args",
    "model_loader_extra_config",
    "enable_dp_attention",
    "enable_torch_compile",
    "enable_mixed_chunk",
    "enable_metrics",
    "disable_radix_cache",
    "disable_cuda_graph",
    "disable_custom_all_reduce",
    "skip_server_warmup",
    "is_embedding",
)
_PROXY = "Remove it; a proxy in front of the server can ask for a key"


class _Sglang(Runtime):
    def rank(self, index: int, nodes: t.Sequence[Node], server: Server, ports: Ports) -> Rank:
        if len(nodes) == 1:
            return rank_of(index, nodes, server)
        meeting = endpoint(nodes[0].link_address, ports.master)
        return rank_of(
            index, nodes, server, [*rank_count(index, nodes), "--dist-init-addr", meeting]
        )

    def ports(self, settings: LaunchSettings, ranks: int) -> list[tuple[str, int]]:
        return [("master", settings.master_port)] if ranks > 1 else []


class _SglangEngine(Engine):
    def is_server(self, words: t.Sequence[str]) -> bool:
        if program_of(words) == "sglang":
            return list(words[1:2]) == ["serve"]
        return behind_python_module(words, _MODULE) > 0

    def arguments(self, words: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
        # `sglang serve` takes the model as a word of its own too.
        start = behind_python_module(words, _MODULE)
        return (words[start:], 0) if start else (words[2:], 1)

    def start(self, values: Values) -> str:
        return f"{self.example} --model-path {{model}}"

    def shares_data_ranks(self, server: Server) -> bool:
        return server.flag(("--enable-dp-attention",)) is not None


SGLANG = _SglangEngine(
    name="sglang",
    label="SGLang",
    recipe_names=("sglang",),
    runtimes=(_Sglang("sglang"),),
    example="python3 -m sglang.launch_server",
    default_port=30000,
    loopback=True,
    tensor=("--tp", "--tp-size", "--tensor-parallel-size"),
    pipeline=("--pp", "--pp-size", "--pipeline-parallel-size"),
    data=("--dp", "--dp-size", "--data-parallel-size"),
    served_name=("--served-model-name",),
    port=("--port",),
    host=("--host",),
    rank_flags=("--nnodes", "--node-rank", "--dist-init-addr", "--nccl-init-addr"),
    secret_flags={"--api-key": _PROXY, "--admin-api-key": _PROXY},
    elsewhere_flags=("--ssl-keyfile", "--ssl-certfile"),
    share=("--mem-fraction-static",),
    default_image="scitrera/dgx-spark-sglang:0.5.8-t5",
    revision=("--revision",),
    draft_revision=("--speculative-draft-model-revision",),
    platform=GB10_SHARE,
    flags={
        **named(_FLAGS),
        "tensor_parallel": "--tensor-parallel-size",
        "pipeline_parallel": "--pipeline-parallel-size",
        "data_parallel": "--data-parallel-size",
        "expert_parallel": "--expert-parallel-size",
        "gpu_memory_utilization": "--mem-fraction-static",
        "max_model_len": "--context-length",
        "max_num_seqs": "--max-running-requests",
        "max_num_batched_tokens": "--chunked-prefill-size",
        "chunked_prefill": "--chunked-prefill-size",
        "model_revision": "--revision",
    },
    grammar=Grammar(
        label="SGLang",
        version=sglang_flags.VERSION,
        table=sglang_flags.FLAGS,
        underscores=False,
        units=Units.SGLANG,
        configs=("--config",),
    ),
    memory=MemoryTraits(
        context=("--context-length",),
        context_setting="context_length",
        chunk=8192,
        # It leaves about an eighth.
        share=(("--mem-fraction-static",), 0.88),
        share_setting="mem_fraction_static",
        share_beside=True,
    ),
)
