# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names that a recipe's values have as flags of each server.

They make the command of a recipe that has none, and find a flag that contradicts a value.
"""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import Value

_COMMON = (
    "port",
    "host",
    "served_model_name",
    "dtype",
    "quantization",
    "trust_remote_code",
    "kv_cache_dtype",
    "load_format",
    "attention_backend",
    "reasoning_parser",
    "tool_call_parser",
    "chat_template",
    "moe_runner_backend",
    "api_key",
)
# `vllm serve --help`; a key is the flag's name with _ for -.
_VLLM = (
    *(key for key in _COMMON if key != "moe_runner_backend"),
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
# `python3 -m sglang.launch_server --help`
_SGLANG = (
    *_COMMON,
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
# `llama-server --help`
_LLAMA_CPP = (
    "port",
    "host",
    "ctx_size",
    "n_gpu_layers",
    "parallel",
    "threads",
    "threads_batch",
    "batch_size",
    "ubatch_size",
    "chat_template",
    "chat_template_file",
    "chat_template_kwargs",
    "reasoning_format",
    "reasoning_budget",
    "cache_type_k",
    "cache_type_v",
    "split_mode",
    "tensor_split",
    "main_gpu",
    "flash_attn",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "repeat_penalty",
    "seed",
    "mmproj",
    "model_draft",
    "draft_max",
    "draft_min",
    "api_key",
    "mmap",
    "mlock",
    "jinja",
    "webui",
    "cont_batching",
    "embedding",
    "reranking",
    "metrics",
    "props",
    "slots",
)


def _named(keys: t.Iterable[str]) -> dict[str, str]:
    return {key: "--" + key.replace("_", "-") for key in keys}


# A value's key -> its flag.
FLAGS: dict[str, dict[str, str]] = {
    "vllm": {
        **_named(_VLLM),
        "tensor_parallel": "--tensor-parallel-size",
        "pipeline_parallel": "--pipeline-parallel-size",
        "data_parallel": "--data-parallel-size",
        "decode_context_parallel": "--decode-context-parallel-size",
        "expert_parallel": "--enable-expert-parallel",
        "model_revision": "--revision",
    },
    "sglang": {
        **_named(_SGLANG),
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
    "llama-cpp": {
        **_named(_LLAMA_CPP),
        "served_model_name": "--alias",
        "max_model_len": "--ctx-size",
        "temperature": "--temp",
    },
}
# Switches that are on unless --no-... says otherwise.
_SWITCHED_OFF = {
    "vllm": (
        "enable_prefix_caching",
        "enable_chunked_prefill",
        "async_scheduling",
        "enable_flashinfer_autotune",
    ),
    "sglang": (),
    "llama-cpp": ("mmap", "webui", "jinja", "cont_batching", "slots"),
}
# Valued although they read like switches.
_ON_OFF = ("flash_attn",)

_STARTS = {
    "vllm": "vllm serve {model}",
    "sglang": "python3 -m sglang.launch_server --model-path {model}",
    "llama-cpp": "llama-server -hf {model}",
}


def flag_of(engine: str, key: str) -> str | None:
    """The flag of that engine; a key may be written with dashes too."""
    flags = FLAGS[engine]
    return flags.get(key) or flags.get(key.replace("-", "_"))


def command_of(engine: str, values: t.Mapping[str, Value]) -> str:
    """The command, with placeholders, of a recipe that has none.

    Every value with a flag is in it, except what the runtime does by itself; true is the bare flag,
    false leaves it out, or is --no-... for a switch that is on by itself.
    """
    start = _STARTS[engine]
    if engine == "llama-cpp" and values["model"].text.startswith("/"):
        start = "llama-server -m {model}"
    words = [start]
    for key, value in values.items():
        flag = flag_of(engine, key)
        if flag is None or value.value is None or value.text == "" or not _is_said(key, value):
            continue
        if not isinstance(value.value, bool):
            words.append(f"{flag} {{{key}}}")
        elif key in _ON_OFF:
            words.append(f"{flag} {'on' if value.value else 'off'}")
        elif value.value:
            words.append(flag)
        elif key.replace("-", "_") in _SWITCHED_OFF[engine]:
            words.append(f"--no-{flag[2:]}")
    return " \\\n  ".join(words)


def _is_said(key: str, value: Value) -> bool:
    if value.source == "recipe":
        return key == "model_revision"
    return value.source not in ("runtime", "topology")
