# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory estimates against published sizes, launches that were reported, and common sense."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import shlex
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    ModelConfig,
    read_directory,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.estimate import (
    MemoryEstimate,
    estimate_memory,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.fit import (
    Fit,
    NodeMemory,
    fit,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.kv_cache import (
    KvCurve,
    Window,
    kv_curve,
    largest,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.launch_settings import (
    GIB,
    Serving,
    bytes_of,
    tokens_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.weights import (
    parameters_in_name,
    parse_parameters,
)

ROOT = pathlib.Path(__file__).parents[6]
MODELS = ROOT / "tests/unit/fixtures/models"
CORPUS = pathlib.Path(os.environ.get("DGXSPARK_CORPUS") or ROOT.parent / "shared" / "corpus")
# MemTotal of a node, as seen in 2026.
SPARK = NodeMemory(int(121.63 * GIB), name="spark1")


def config(name: str) -> ModelConfig:
    return read_directory(MODELS / name)


def serving(
    model: str, flags: str = "", engine: str = "vllm", tensor: int = 1, **metadata: t.Any
) -> Serving:
    start = {"vllm": "vllm serve", "sglang": "sglang serve", "llama-cpp": "llama-server"}[engine]
    words = (*start.split(), model, *shlex.split(flags))
    return Serving(model, engine, words, tensor, 1, metadata)


def gib(estimate: MemoryEstimate, part: str) -> float:
    figure = getattr(estimate, part)
    assert figure is not None, part
    return float(figure.gib)


def judged(estimate: MemoryEstimate, node: NodeMemory = SPARK) -> Fit:
    return fit(estimate, node)


# --- weights ---------------------------------------------------------------------------------


def test_weights_on_disk_win_over_everything() -> None:
    shape = dataclasses.replace(
        config("nemotron-3-nano-30b-a3b-nvfp4"),
        weights_bytes=21_000_000_000,
        weights_source="model.safetensors.index.json: metadata.total_size",
    )
    told = serving("nvidia/Model-30B-A3B-NVFP4", model_vram=5, model_params="1B")
    weights = estimate_memory(told, shape).weights
    assert weights is not None
    assert weights.gib == pytest.approx(21e9 / GIB)
    assert weights.confidence == "high"
    assert weights.source == "model.safetensors.index.json: metadata.total_size"


def test_then_the_shape_on_disk_then_metadata_then_the_table_then_the_name() -> None:
    shape = config("nemotron-3-nano-30b-a3b-nvfp4")
    name = "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4"
    seen = [
        estimate_memory(serving(name, model_vram=5), shape).weights,
        estimate_memory(serving(name, model_vram=5)).weights,
        estimate_memory(serving(name)).weights,
        estimate_memory(serving("someone/Else-30B-A3B-NVFP4")).weights,
        estimate_memory(serving("someone/else")).weights,
    ]
    assert seen[4] is None
    found = [(round(part.gib, 1), part.confidence) for part in seen if part]
    assert found == [(18.0, "high"), (5.0, "medium"), (18.0, "medium"), (17.5, "low")]
    sources = [part.source for part in seen if part]
    assert "config.json: shape and quantisation" in sources[0]
    assert sources[1] == "metadata.model_vram"
    assert sources[2] == "table of known models: nemotron-3-nano-30b-a3b"
    assert sources[3] == "the model's name, nvfp4"


def test_scales_are_counted() -> None:
    # 30e9 parameters of 4 bit are 13.97 GiB; the published files have 19.56 GB.
    told = {"model_params": "30B", "model_dtype": "nvfp4"}
    known = estimate_memory(serving("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4", **told))
    assert gib(known, "weights") * GIB / 1e9 == pytest.approx(19.56, rel=0.03)
    assert known.weights is not None
    assert known.weights.source.endswith("agrees with metadata.model_params")
    unknown = estimate_memory(serving("someone/else", **told))
    assert gib(unknown, "weights") > 16
    assert unknown.weights is not None
    assert unknown.weights.source == "metadata.model_params, nvfp4"


def test_metadata_of_another_size_wins_over_the_table_and_is_noted() -> None:
    found = estimate_memory(serving("me/Qwen3-8B", model_params="4B"))
    assert gib(found, "weights") == pytest.approx(4e9 * 2 / GIB, rel=0.01)
    assert "metadata.model_params says 4B, the model of that name has 8.19B" in found.notes


@pytest.mark.parametrize(
    ("params", "dtype", "layers", "kv", "width", "flags", "tensor", "weights", "cache"),
    [
        # The first three worked examples of the format's first program (GiB, both whole).
        ("1.7B", "bf16", 28, 8, 128, "--max-model-len 40960", 1, 3.1665, 4.375),
        (
            "70.6B", "fp8", 80, 8, 128, "--max-model-len 131072 --kv-cache-dtype fp8", 2,
            65.7514, 20.0,
        ),
        ("229B", "fp8", 62, 8, 128, "--max-model-len 131072", 2, 213.2729, 31.0),
    ],
)  # fmt: skip
def test_worked_examples(
    params: str,
    dtype: str,
    layers: int,
    kv: int,
    width: int,
    flags: str,
    tensor: int,
    weights: float,
    cache: float,
) -> None:
    shape = {"num_layers": layers, "num_kv_heads": kv, "head_dim": width}
    told = serving(
        "org/custom", flags, tensor=tensor, model_params=params, model_dtype=dtype, **shape
    )
    found = estimate_memory(told)
    assert gib(found, "kv_cache") * tensor == pytest.approx(cache, rel=0.001)
    # Embeddings stay wide, which that program does not count.
    assert weights - 0.001 <= gib(found, "model_weights") <= weights * 1.03
    assert gib(found, "weights") == pytest.approx(gib(found, "model_weights") / tensor)


def test_cache_per_token_may_be_given_as_gib_or_as_bytes() -> None:
    as_gib = serving("org/x-30B", "--max-model-len 200000", kv_vram_per_token=4.96e-5)
    assert gib(estimate_memory(as_gib), "kv_cache") == pytest.approx(9.92, rel=0.001)
    as_bytes = serving("org/x-30B", "--max-model-len 200000", kv_vram_per_token=53257.6)
    assert gib(estimate_memory(as_bytes), "kv_cache") == pytest.approx(9.92, rel=0.001)


@pytest.mark.parametrize(
    ("model", "size"),
    [
        # GB of published files.
        ("unsloth/Qwen3-30B-A3B-GGUF:Q4_K_M", 18.6),
        ("unsloth/Qwen3-30B-A3B-GGUF:UD-Q4_K_XL", 17.7),
        ("unsloth/Qwen3-30B-A3B-GGUF:UD-Q2_K_XL", 11.8),
        ("bartowski/Qwen3.5-397B-A17B-GGUF:Q8_0", 421.58),
    ],
)
def test_gguf_files(model: str, size: float) -> None:
    found = estimate_memory(serving(model, engine="llama-cpp"))
    assert gib(found, "weights") * GIB / 1e9 == pytest.approx(size, rel=0.03)


def test_a_gguf_file_on_disk_has_its_size() -> None:
    told = serving("org/Some-7B-GGUF:Q4_K_M", "--ctx-size 4096", "llama-cpp")
    found = estimate_memory(told, weights_bytes=5 * GIB)
    assert gib(found, "weights") == 5
    assert found.weights is not None
    assert found.weights.confidence == "high"


def test_weights_quantised_while_loading() -> None:
    plain = estimate_memory(serving("google/gemma-4-26B-A4B-it"))
    online = estimate_memory(serving("google/gemma-4-26B-A4B-it", "--quantization fp8"))
    assert gib(online, "weights") == pytest.approx(gib(plain, "weights") / 2, rel=0.06)
    assert online.weights is not None
    assert online.weights.source.endswith("--quantization fp8")
    # A checkpoint that is quantised already stays what it is.
    stored = serving("Qwen/Qwen3.6-27B-FP8", "--quantization fp8")
    assert gib(estimate_memory(stored), "weights") == pytest.approx(28.3, rel=0.01)


def test_the_type_of_the_command_counts() -> None:
    wide = estimate_memory(serving("Qwen/Qwen3-1.7B", "--dtype float32"))
    assert gib(wide, "weights") == pytest.approx(2 * 3.2, rel=0.01)


# --- cache -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "bits", "per_token"),
    [
        # Published: bytes per token of the whole model.
        ("minimax-m2.7-nvfp4", 16, 2 * 62 * 8 * 128 * 2),
        ("qwen3-235b-a22b-nvfp4", 16, 2 * 94 * 4 * 128 * 2),
        ("qwen3-235b-a22b-nvfp4", 8, 2 * 94 * 4 * 128),
        # One latent of 512 + 64 values per layer.
        ("glm-4.7-flash-awq-4bit", 16, 47 * (512 + 64) * 2),
        ("deepseek-v3", 16, 61 * (512 + 64) * 2),
        # Only the attention layers of hybrids.
        ("qwen3.6-35b-a3b-fp8", 16, 2 * 10 * 2 * 256 * 2),
        ("nemotron-3-super-120b-a12b-nvfp4", 8, 2 * 8 * 2 * 128),
        ("kimi-linear-48b-a3b", 16, 7 * (512 + 64) * 2),
        # Only the full layers of sliding ones, with their own heads.
        ("gpt-oss-120b", 16, 2 * 18 * 8 * 64 * 2),
        ("gemma-4-31b-it-nvfp4", 8, 2 * 10 * 4 * 512),
    ],
)
def test_bytes_per_token(name: str, bits: int, per_token: int) -> None:
    assert kv_curve(config(name), bits).bytes_per_token == per_token


def test_sliding_layers_keep_their_window() -> None:
    curve = kv_curve(config("gpt-oss-120b"), 16, chunk=2048)
    sliding = 2 * 18 * 8 * 64 * 2
    assert curve.windows == (Window(sliding, 127 + 2048),)
    assert curve.bytes(1000) == 1000 * (curve.bytes_per_token + sliding)
    assert curve.bytes(100_000) == 100_000 * curve.bytes_per_token + 2175 * sliding


def test_recurrent_layers_keep_one_state() -> None:
    curve = kv_curve(config("nemotron-3-super-120b-a12b-nvfp4"), 8)
    # 40 Mamba layers: 128 heads of 64 x 128 in 32 bit, and three steps of the convolution.
    assert curve.fixed == 40 * (128 * 64 * 128 * 4 + 3 * (8192 + 2 * 8 * 128) * 2)
    half = kv_curve(config("nemotron-3-super-120b-a12b-nvfp4"), 8, state_type="float16")
    assert half.fixed < curve.fixed * 0.52


def test_compressed_attention() -> None:
    # 584 bytes per layer, shared by 4 or by 128 tokens, and an fp8 index for the former.
    curve = kv_curve(config("deepseek-v4-flash"), 8, packed=True)
    assert curve.bytes_per_token == 584 * (21 / 4 + 20 / 128) + 21 * 132 / 4
    assert curve.bytes(1_000_000) / GIB < 4.5


def test_latent_caches_are_not_shared_by_tensor_ranks() -> None:
    shape = config("deepseek-v3")
    assert kv_curve(shape, 16, tensor=8).bytes(1000) == kv_curve(shape, 16).bytes(1000)
    shared = kv_curve(shape, 16, tensor=8, context_parallel=8)
    assert shared.bytes(1000) == kv_curve(shape, 16).bytes(1000) / 8
    assert kv_curve(shape, 16, packed=True).bytes_per_token == 61 * 656


def test_more_ranks_than_heads_copy_the_heads() -> None:
    shape = config("qwen3.6-35b-a3b-fp8")
    per_rank = [kv_curve(shape, 16, tensor=size).bytes_per_token for size in (1, 2, 4, 8)]
    assert per_rank == [20480, 10240, 10240, 10240]


@pytest.mark.parametrize(
    ("flags", "engine", "metadata", "bits", "says"),
    [
        ("", "vllm", {}, 16, "bf16 (the model's type)"),
        ("--kv-cache-dtype auto", "vllm", {"kv_dtype": "fp8"}, 16, "bf16 (the model's type)"),
        ("--kv-cache-dtype fp8", "vllm", {}, 8, "fp8 (the command)"),
        ("--kv-cache-dtype=fp8_e5m2", "sglang", {}, 8, "fp8_e5m2 (the command)"),
        ("", "vllm", {"kv_dtype": "fp8"}, 8, "fp8 (metadata)"),
        ("-ctk q8_0 --cache-type-v q4_0", "llama-cpp", {}, 6.5, "cache of the command's type"),
        ("--kv-cache-dtype future9", "vllm", {}, 16, "future9"),
    ],
)
def test_type_of_the_cache(
    flags: str, engine: str, metadata: dict[str, t.Any], bits: float, says: str
) -> None:
    found = estimate_memory(serving("Qwen/Qwen3-8B", flags, engine, **metadata))
    assert found.kv_bits == bits
    assert found.kv_cache is not None
    assert says in found.kv_cache.source


def test_the_checkpoint_may_set_the_type_of_the_cache() -> None:
    found = estimate_memory(serving("nvidia/Qwen3-235B-A22B-FP4"))
    assert found.kv_bits == 8
    assert found.kv_cache is not None
    assert "fp8 (the checkpoint)" in found.kv_cache.source


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("200000", 200000), ("32k", 32000), ("32K", 32768), ("1M", 1048576), ("1.5k", 1500),
        ("auto", None), ("-1", None), ("", None), (None, None), ("9" * 400, None), ("0", None),
    ],
)  # fmt: skip
def test_numbers_of_tokens(text: str | None, tokens: int | None) -> None:
    assert tokens_of(text) == tokens


@pytest.mark.parametrize(
    ("text", "size"), [("8G", 8 * GIB), ("8g", 8 * 10**9), ("8589934592", 8 * GIB), ("x", None)]
)
def test_numbers_of_bytes(text: str, size: int | None) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize(
    ("engine", "flags", "tokens"),
    [
        ("vllm", "--max-model-len 32k", 32000),
        ("vllm", "--max_model_len=32768", 32768),
        ("vllm", "--max-model-len auto", None),
        ("vllm", "", 40960),
        ("sglang", "--context-length 4096", 4096),
        ("llama-cpp", "-c 8192", 8192),
        ("llama-cpp", "--ctx-size 0", 40960),
    ],
)
def test_the_context(engine: str, flags: str, tokens: int | None) -> None:
    found = estimate_memory(serving("Qwen/Qwen3-8B", flags, engine))
    assert found.context_tokens == tokens


def test_a_fixed_pool_replaces_the_sequence() -> None:
    found = estimate_memory(
        serving("Qwen/Qwen3-8B", "--kv-cache-memory-bytes 2G --max-model-len 40960")
    )
    assert gib(found, "kv_cache") == 2
    verdict = judged(found)
    assert verdict.fits is False
    assert verdict.reasons == (
        "one sequence of 40960 tokens needs 5.62 GiB of cache, 2.00 are set apart",
    )
    assert verdict.largest_context == 14560


def test_the_cpu_build_takes_what_its_variable_says_and_no_share() -> None:
    told = dataclasses.replace(
        serving("Qwen/Qwen3-0.6B", "--max-model-len 256"), env={"VLLM_CPU_KVCACHE_SPACE": "1"}
    )
    found = estimate_memory(told)
    assert gib(found, "kv_cache") == 1
    # On a small machine in use, where nine tenths are not free.
    verdict = judged(found, NodeMemory(24 * GIB, 12 * GIB))
    assert verdict.verdict == "fits"


# --- drafts ----------------------------------------------------------------------------------


def test_a_head_in_the_checkpoint_adds_its_weights_and_a_layer_of_cache() -> None:
    flags = "--max-model-len 262144 "
    spec = """--speculative-config '{"method": "mtp", "num_speculative_tokens": 2}'"""
    plain = estimate_memory(serving("Qwen/Qwen3.8-27B-FP8", flags))
    draft = estimate_memory(serving("Qwen/Qwen3.8-27B-FP8", flags + spec))
    # 28.7 GiB are published, with the head.
    assert gib(draft, "weights") == pytest.approx(28.7, rel=0.02)
    assert gib(draft, "weights") > gib(plain, "weights")
    assert gib(draft, "kv_cache") == pytest.approx(gib(plain, "kv_cache") * 17 / 16, rel=0.02)
    assert draft.draft is None


def test_a_draft_model_of_its_own() -> None:
    spec = """--speculative-config '{"model": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 3}'"""
    found = estimate_memory(serving("Qwen/Qwen3-32B", f"--max-model-len 4096 {spec}"))
    assert gib(found, "draft") == pytest.approx(1.11, rel=0.02)
    plain = estimate_memory(serving("Qwen/Qwen3-32B", "--max-model-len 4096"))
    added = gib(found, "kv_cache") - gib(plain, "kv_cache")
    assert added == pytest.approx(4096 * 2 * 28 * 8 * 128 * 2 / GIB)


def test_a_draft_head_of_its_own_by_dotted_flags() -> None:
    flags = "--speculative_config.model org/Any-DFlash --speculative_config.method dflash"
    found = estimate_memory(serving("Qwen/Qwen3.6-27B-FP8", flags))
    assert 2 < gib(found, "draft") < 6
    assert found.draft is not None
    assert found.draft.confidence == "low"


def test_a_broken_speculative_config_is_no_draft() -> None:
    found = estimate_memory(serving("Qwen/Qwen3-8B", "--speculative-config '{broken'"))
    assert found.draft is None


# --- fit -------------------------------------------------------------------------------------


def test_a_reported_launch_that_missed_by_little() -> None:
    # Public report, two GB10, vLLM: 22.5 GiB were left for the cache where 23.25 were needed;
    # vLLM itself said that 190,272 tokens would do; 0.85 was enough.
    flags = "--max-model-len 196608 --gpu-memory-utilization"
    name = "cyankiwi/MiniMax-M2.7-AWQ-4bit"
    found = estimate_memory(serving(name, f"{flags} 0.8", tensor=2))
    assert gib(found, "kv_cache") == pytest.approx(23.25, abs=0.01)
    verdict = judged(found)
    assert (verdict.fits, verdict.verdict) == (False, "tight")
    assert verdict.largest_context == pytest.approx(190272, rel=0.03)
    assert f"Lower max_model_len to {verdict.largest_context}" in verdict.advice
    assert judged(estimate_memory(serving(name, f"{flags} 0.85", tensor=2))).verdict == "fits"


def test_a_reported_refusal_at_the_start() -> None:
    # Public report: "Free memory on device (36.75/121.63 GiB) on startup is less than desired GPU
    # memory utilization (0.85, 103.38 GiB)".
    node = NodeMemory(int(121.63 * GIB), int((121.63 - 36.75) * GIB), "spark1")
    found = estimate_memory(
        serving("Qwen/Qwen3-8B", "--gpu-memory-utilization 0.85 --max-model-len 8192")
    )
    verdict = judged(found, node)
    assert verdict.verdict == "exceeds"
    assert verdict.reasons == (
        "the engine asks for 103.4 GiB at its start, but of spark1's 121.6 GiB others use 84.9",
    )
    assert "Lower gpu_memory_utilization to 0.29" in verdict.advice
    assert "Free memory: others use 84.9 GiB on spark1" in verdict.advice


def test_too_large_for_one_node_says_how_many() -> None:
    found = estimate_memory(
        serving("openai/gpt-oss-120b", "--gpu-memory-utilization 0.5 --max-model-len 131072")
    )
    verdict = judged(found)
    assert verdict.fits is False
    assert verdict.largest_context == 0
    assert "Use 2 nodes: tensor_parallel 2" in verdict.advice
    assert any(item.startswith("Raise gpu_memory_utilization to 0.") for item in verdict.advice)


def test_advice_to_raise_the_utilisation_is_enough() -> None:
    name, rest = "openai/gpt-oss-120b", "--max-model-len 131072"
    verdict = judged(estimate_memory(serving(name, f"--gpu-memory-utilization 0.5 {rest}")))
    assert verdict.utilisation is not None
    again = serving(name, f"--gpu-memory-utilization {verdict.utilisation} {rest}")
    assert judged(estimate_memory(again)).fits is True


def test_the_largest_context_fits_and_the_next_does_not() -> None:
    name = "cyankiwi/GLM-4.7-Flash-AWQ-4bit"
    verdict = judged(estimate_memory(serving(name, "--gpu-memory-utilization 0.22")))
    assert verdict.largest_context
    assert verdict.largest_context < 202752
    for tokens, fits in ((verdict.largest_context, True), (verdict.largest_context + 1024, False)):
        flags = f"--gpu-memory-utilization 0.22 --max-model-len {tokens}"
        assert judged(estimate_memory(serving(name, flags))).fits is fits


def test_gigabytes_instead_of_a_share() -> None:
    for flags in ("--gpu-memory-utilization-gb 112", "--gpu-memory-utilization 112"):
        found = estimate_memory(serving("Qwen/Qwen3-8B", flags))
        assert (found.utilisation, found.utilisation_gib) == (None, 112)
        assert judged(found).budget_gib == pytest.approx(112)


def test_llama_cpp_takes_what_it_needs() -> None:
    told = serving("Qwen/Qwen3-30B-A3B-GGUF:Q4_K_M", "-c 32768", "llama-cpp")
    verdict = judged(estimate_memory(told))
    assert verdict.fits is True
    assert verdict.budget_gib == pytest.approx(121.63 - 4, abs=0.01)
    full = NodeMemory(SPARK.total_bytes, 105 * GIB)
    assert judged(estimate_memory(told), full).fits is False


def test_nothing_known_says_so() -> None:
    verdict = judged(estimate_memory(serving("someone/else")))
    assert (verdict.fits, verdict.verdict, verdict.need_gib) == (None, "unknown", None)
    assert verdict.advice == ("Add metadata.model_params and model_dtype, or download the model",)


def test_a_share_that_leaves_the_node_nothing_is_advised_against() -> None:
    verdict = judged(
        estimate_memory(
            serving("Qwen/Qwen3-8B", "--gpu-memory-utilization 0.96 --max-model-len 4096")
        )
    )
    assert verdict.fits is True
    assert verdict.advice[0].startswith("Lower gpu_memory_utilization below 0.93")


def test_offloading_to_the_cpu_is_no_help_on_one_memory() -> None:
    found = estimate_memory(serving("Qwen/Qwen3-8B", "--cpu-offload-gb 20"))
    assert found.notes == ("--cpu-offload-gb saves nothing here: CPU and GPU share one memory",)


# --- always ----------------------------------------------------------------------------------

NAMES = (
    "Qwen/Qwen3-8B",
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4",
    "google/gemma-4-26B-A4B-it",
    "cyankiwi/GLM-4.7-Flash-AWQ-4bit",
    "deepseek-ai/DeepSeek-V4-Flash",
    "openai/gpt-oss-120b",
    "someone/Else-13B",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_more_context_needs_more(name: str, engine: str) -> None:
    flag = {"vllm": "--max-model-len", "sglang": "--context-length"}[engine]
    needs = [
        estimate_memory(serving(name, f"{flag} {tokens}", engine)).total_gib
        for tokens in (1, 100, 4096, 40000, 262144, 1_000_000)
    ]
    known = [need for need in needs if need is not None]
    assert len(known) == len(needs)
    assert known == sorted(known)
    assert known[0] < known[-1]


@pytest.mark.parametrize("name", NAMES)
def test_more_nodes_need_less_on_each(name: str) -> None:
    flags = "--max-model-len 65536"
    for field in ("weights", "kv_cache"):
        each = [
            gib(estimate_memory(serving(name, flags, tensor=size)), field) for size in (1, 2, 4, 8)
        ]
        assert each == sorted(each, reverse=True)
        assert each[-1] > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_narrower_cache_needs_less(name: str) -> None:
    each = [
        gib(
            estimate_memory(serving(name, f"--max-model-len 65536 --kv-cache-dtype {kind}")),
            "kv_cache",
        )
        for kind in ("bfloat16", "fp8", "nvfp4")
    ]
    assert each == sorted(each, reverse=True)


@pytest.mark.parametrize("name", NAMES)
def test_more_memory_fits_longer_contexts(name: str) -> None:
    found = estimate_memory(serving(name))
    longest = [fit(found, NodeMemory(size * GIB)).largest_context for size in (8, 32, 64, 128, 512)]
    known = [tokens for tokens in longest if tokens is not None]
    assert len(known) == len(longest)
    assert known == sorted(known)
    assert known[0] == 0
    assert known[-1] > 0


def test_the_inverse_of_a_curve_is_exact() -> None:
    curve = KvCurve(1000.5, (Window(300, 512), Window(7, 4096)), 12345)
    for available in (0, 12345, 14000, 10**6, 10**8):
        tokens = curve.tokens(available, 50_000)
        assert curve.bytes(tokens) <= max(available, 0)
        assert tokens == 50_000 or curve.bytes(tokens + 1) > available
    assert largest(curve, 10**8, 50_000) == 50_000
    assert largest(curve, 10**6, 50_000) % 16 == 0


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("30B", 30e9), ("1.7B", 1.7e9), ("8x7B", 56e9), ("122B-A10B", 122e9), ("7_000M", 7e9),
        ("1e9", 1e9), (7e9, 7e9), ("0.5T", 0.5e12), ("many", None), (True, None), (-1, None),
        ("nan", None), ("inf", None), (None, None), ([], None),
    ],
)  # fmt: skip
def test_counts_of_parameters(value: t.Any, count: float | None) -> None:
    assert parse_parameters(value) == (count if count is None else pytest.approx(count))


def test_counts_in_names() -> None:
    assert parameters_in_name("org/Qwen3.6-35B-A3B-FP8") == 35e9
    assert parameters_in_name("org/Mixtral-8x7B-v0.1") == 56e9
    assert parameters_in_name("org/tiny-500M") == 5e8
    assert parameters_in_name("org/MiniMax-M2.7") is None


@pytest.mark.parametrize(
    "metadata",
    [
        {"model_params": []},
        {"model_params": {"a": 1}},
        {"model_vram": "much"},
        {"model_vram": True},
        {"kv_vram_per_token": "x"},
        {"num_layers": 10**12, "num_kv_heads": 1, "head_dim": 1},
        {"num_layers": "36", "num_kv_heads": 8, "head_dim": 128},
        {"model_dtype": 5, "kv_dtype": 7, "quantization": []},
    ],
)
def test_odd_metadata_is_passed_over(metadata: dict[str, t.Any]) -> None:
    found = estimate_memory(serving("Qwen/Qwen3-8B", **metadata))
    assert found.total_gib is not None
    assert found.to_dict()["model"] == "Qwen/Qwen3-8B"


@pytest.mark.parametrize(
    "flags",
    [
        "--max-model-len x",
        "--max-num-seqs -3 --max-num-batched-tokens nan",
        "--gpu-memory-utilization maybe",
        "--max-num-batched-tokens inf",
        "--decode-context-parallel-size 0",
        "--kv-cache-memory-bytes lots",
        "--mamba-ssm-cache-dtype odd",
    ],
)
def test_odd_flags_are_passed_over(flags: str) -> None:
    found = estimate_memory(serving("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4", flags))
    verdict = judged(found)
    assert verdict.fits in (True, False)


def test_results_are_plain_data() -> None:
    found = estimate_memory(serving("Qwen/Qwen3-8B", "--max-model-len 8192"))
    assert json.loads(json.dumps(found.to_dict()))["kv_cache"]["confidence"] == "medium"
    assert json.loads(json.dumps(judged(found).to_dict()))["verdict"] == "fits"


# --- recipes ---------------------------------------------------------------------------------


def test_the_bundled_recipes_fit_their_nodes() -> None:
    nodes = [Node(f"spark{i}", f"192.0.2.{i}", interface) for i, interface in enumerate("ab", 1)]
    seen = {}
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        found = estimate_memory(resolve(load(str(path)), {}, nodes))
        seen[path.stem] = judged(found).verdict
    assert set(seen.values()) <= {"fits", "tight"}, seen
    assert len(seen) > 8


def _serving_of(recipe: Recipe) -> Serving:
    """The command with its values put in: enough for its flags, whatever else the recipe needs."""
    values = {"model": recipe.model, **recipe.defaults}
    text = recipe.command
    for _round in range(3):
        text = re.sub(
            r"\{([A-Za-z_][\w.-]*)\}", lambda found: str(values.get(found[1], found[0])), text
        )
    text = re.sub(r"\s#[^\n]*", "", text.replace("{{", "{").replace("}}", "}"))
    words = tuple(shlex.split(text.replace("\\\n", " ")))
    engine = "llama-cpp" if "llama-server" in words else "sglang" if "sglang" in text else "vllm"
    bare = Serving(recipe.model, engine, words)
    tensor = bare.flag("-tp", "--tp", "--tp-size", "--tensor-parallel-size")
    pipeline = bare.flag("-pp", "--pipeline-parallel-size")
    if engine == "llama-cpp":
        pipeline = str(recipe.min_nodes)
    told = int(tensor or recipe.defaults.get("tensor_parallel") or 1)
    return Serving(recipe.model, engine, words, told, int(pipeline or 1), recipe.metadata)


# What people run and this says will not run, with the reason; none of it is a wrong size.
_EXCEEDS = {
    # Reported to need more than 0.8 with vLLM since 0.21.
    ("cyankiwi/MiniMax-M2.5-AWQ-4bit", 0.7),
    ("cyankiwi/Qwen3.5-122B-A10B-AWQ-4bit", 0.7),
}
_FILES = sorted(CORPUS.rglob("*.yaml")) if CORPUS.is_dir() else []


@pytest.mark.skipif(not _FILES, reason="no corpus: set DGXSPARK_CORPUS to a folder of recipes")
def test_every_recipe_of_the_corpus_is_estimated_and_public_ones_fit() -> None:
    exceeds = set()
    for path in _FILES:
        found = estimate_memory(_serving_of(load(str(path))))
        assert found.total_gib is not None, path
        assert found.confidence == "medium", path
        verdict = judged(found)
        if verdict.verdict == "exceeds":
            assert verdict.advice, path
            exceeds.add((found.serving.model, found.utilisation))
    assert exceeds == _EXCEEDS
