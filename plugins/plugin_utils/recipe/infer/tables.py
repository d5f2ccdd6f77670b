# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Launch settings by model: data for `infer`, which users extend and override with their rules.

A rule is a map: `when` (fact -> pattern, list of patterns, number or boolean; all must fit),
`value` (null: emit nothing), `source` (for people), `confidence` (high, medium, low). The first
rule that fits decides; in `flags`, `env` and `limits` every rule that fits adds what the ones
before it lack.
Facts: name (the repository's, lower case), repository, architecture, model_type, kind, scheme (of
most weights: nvfp4, fp8, int4 ..., none), cache (the checkpoint's), moe, vision, audio, hybrid,
weight_only, nodes, image.
"""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.llama_cpp import (
    LLAMA_CPP,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.vllm import VLLM

Rule = dict[str, t.Any]

_RECIPES = "public recipes for GB10"
_CARD = "the model card's vLLM command"
_UPSTREAM = "vLLM's list of parsers"


def _rule(value: t.Any, source: str, confidence: str, **when: t.Any) -> Rule:
    return {"when": when, "value": value, "source": source, "confidence": confidence}


KINDS: list[Rule] = [
    _rule("reranker", "the model's name", "high", name="*rerank*"),
    _rule("embedding", "the model's name", "high", name=["*embedding*", "*-embed-*"]),
]

IMAGES: list[Rule] = [
    _rule(
        "scitrera/dgx-spark-vllm-jasl-ds4:20260609", _RECIPES, "medium", model_type="deepseek_v4"
    ),
    _rule(
        VLLM.default_image,
        "the bundled recipes' image; this architecture may need a newer one",
        "low",
        model_type=[
            "qwen3_5*", "gemma4*", "diffusion_gemma*", "minimax_m3*", "step3p*", "mistral4",
            "glm_moe_dsa", "inkling*", "kimi_k3", "qwen4*",
        ],
    ),
    _rule(VLLM.default_image, "the bundled recipes' image", "medium"),
]  # fmt: skip
LLAMA_CPP_IMAGES: list[Rule] = [
    _rule(LLAMA_CPP.default_image, "the bundled recipes' image", "medium")
]

TOOL_PARSERS: list[Rule] = [
    _rule("qwen3_coder", _RECIPES, "medium", name="*qwen3-coder*"),
    _rule("qwen3_xml", _RECIPES, "medium", model_type="qwen3_5*"),
    _rule(
        "qwen3_xml", _RECIPES, "medium", name=["*lightning*", "*ultra*"], model_type="nemotron_h"
    ),
    _rule("qwen3_coder", _RECIPES, "medium", model_type="nemotron_h"),
    _rule("gemma4", _RECIPES, "medium", model_type=["gemma4*", "diffusion_gemma*"]),
    _rule("openai", _RECIPES, "high", model_type="gpt_oss"),
    _rule("glm45", _UPSTREAM, "medium", name=["*glm-4.5*", "*glm-4.6*"]),
    _rule("glm47", _RECIPES, "medium", model_type=["glm4_moe*", "glm_moe_dsa"]),
    _rule("minimax_m3", _RECIPES, "medium", model_type="minimax_m3*"),
    _rule("minimax_m2", _RECIPES, "high", model_type="minimax_m2"),
    _rule("deepseek_v4", _RECIPES, "high", model_type="deepseek_v4"),
    _rule("deepseek_v32", _UPSTREAM, "medium", model_type="deepseek_v32"),
    _rule("deepseek_v31", _UPSTREAM, "medium", name="*deepseek-v3.1*"),
    _rule("deepseek_v3", _UPSTREAM, "medium", model_type="deepseek_v3"),
    _rule("step3p5", _RECIPES, "medium", model_type="step3p*"),
    _rule("mistral", _UPSTREAM, "medium", model_type=["mistral*", "ministral*", "mixtral"]),
    _rule("kimi_k3", _UPSTREAM, "medium", model_type="kimi_k3"),
    _rule("kimi_k2", _UPSTREAM, "medium", model_type=["kimi_k2*", "kimi_k25"]),
    _rule("inkling", _RECIPES, "medium", model_type="inkling*"),
    _rule("llama4_pythonic", _UPSTREAM, "medium", model_type="llama4*"),
    _rule("llama3_json", _UPSTREAM, "medium", name="*llama-3*"),
    _rule("hermes", _CARD, "medium", model_type=["qwen2*", "qwen3*"]),
    _rule("seed_oss", _UPSTREAM, "medium", model_type="seed_oss"),
    _rule("ernie45", _UPSTREAM, "medium", model_type="ernie4_5*"),
    _rule("hunyuan_a13b", _UPSTREAM, "medium", model_type="hunyuan_v1_moe"),
    _rule("granite4", _UPSTREAM, "medium", model_type="granitemoehybrid"),
    _rule("granite", _UPSTREAM, "medium", model_type="granite*"),
    _rule("olmo3", _UPSTREAM, "medium", model_type="olmo3"),
    _rule("phi4_mini_json", _UPSTREAM, "medium", name="*phi-4-mini*"),
    _rule("mimo", _UPSTREAM, "medium", model_type="mimo*"),
    _rule("lfm2", _UPSTREAM, "medium", model_type="lfm2*"),
    _rule("apertus", _UPSTREAM, "medium", model_type="apertus*"),
    _rule("longcat", _UPSTREAM, "medium", model_type="longcat*"),
    _rule("jamba", _UPSTREAM, "medium", model_type="jamba"),
]

REASONING_PARSERS: list[Rule] = [
    _rule(None, "a model that does not think", "medium", name=["*instruct*", "*coder*"],
          model_type="qwen3*"),
    _rule("qwen3", _RECIPES, "medium", model_type="qwen3_5*"),
    _rule(None, _RECIPES, "medium", model_type=["qwen3_vl*", "qwen3_next"]),
    _rule("qwen3", _CARD, "medium", model_type=["qwen3", "qwen3_moe"]),
    _rule("nemotron_v3", _RECIPES, "medium", model_type="nemotron_h"),
    _rule("gemma4", _RECIPES, "medium", model_type=["gemma4*", "diffusion_gemma*"]),
    _rule("openai_gptoss", _RECIPES, "high", model_type="gpt_oss"),
    _rule("glm45", _RECIPES, "medium", model_type=["glm4_moe*", "glm_moe_dsa"]),
    _rule("minimax_m3", _RECIPES, "medium", model_type="minimax_m3*"),
    _rule("minimax_m2_append_think", _RECIPES, "medium", model_type="minimax_m2", scheme="nvfp4"),
    _rule("minimax_m2", _RECIPES, "medium", model_type="minimax_m2"),
    _rule("deepseek_v4", _RECIPES, "high", model_type="deepseek_v4"),
    _rule("deepseek_r1", _UPSTREAM, "medium", name="*deepseek-r1*"),
    _rule("deepseek_v3", _UPSTREAM, "low", model_type=["deepseek_v3", "deepseek_v32"]),
    _rule("step3p5", _RECIPES, "medium", model_type="step3p*"),
    _rule("mistral", _UPSTREAM, "low", name=["*magistral*", "*mistral-small-4*"]),
    _rule("kimi_k3", _UPSTREAM, "medium", model_type="kimi_k3"),
    _rule("kimi_k2", _UPSTREAM, "low", model_type=["kimi_k2*", "kimi_k25"]),
    _rule("inkling", _RECIPES, "medium", model_type="inkling*"),
    _rule("seed_oss", _UPSTREAM, "medium", model_type="seed_oss"),
    _rule("ernie45", _UPSTREAM, "low", model_type="ernie4_5*"),
    _rule("hunyuan_a13b", _UPSTREAM, "medium", model_type="hunyuan_v1_moe"),
    _rule("olmo3", _UPSTREAM, "low", model_type="olmo3"),
    _rule("mimo", _UPSTREAM, "medium", model_type="mimo*"),
]  # fmt: skip

# Only mixtures of experts in 4-bit floats have a choice that matters on GB10. What public recipes
# do today comes first; the last two are older rules of thumb, which some of them contradict.
MOE_BACKENDS: list[Rule] = [
    _rule(None, "a dense model has no experts", "high", moe=False),
    _rule(None, "the engine's own choice for this type", "medium",
          scheme=["none", "fp8", "int4", "int8", "mxfp4", "mxfp8", "nf4"]),
    _rule("marlin", "16-bit activations: no other backend takes them", "high", weight_only=True,
          scheme="nvfp4"),
    _rule("marlin", _RECIPES, "medium", name=["*lightning*", "*ultra*"], model_type="nemotron_h"),
    _rule("cutlass", _RECIPES, "medium", model_type="nemotron_h", scheme="nvfp4"),
    _rule("marlin", _RECIPES, "medium", model_type="qwen3_5_moe", scheme="nvfp4"),
    _rule(None, _RECIPES, "medium", name="gemma-4-26b-a4b-nvfp4"),
    _rule(None, _RECIPES, "medium", model_type="minimax*", scheme="nvfp4"),
    _rule("flashinfer_cutlass", "rule of thumb for Qwen3 mixtures", "low",
          model_type=["qwen3_moe", "qwen3_next", "qwen3_vl_moe"], scheme="nvfp4"),
    _rule("marlin", "rule of thumb for Gemma mixtures", "low", model_type="*gemma*",
          scheme="nvfp4"),
]  # fmt: skip

KV_CACHE_DTYPES: list[Rule] = [
    _rule("fp8", "the checkpoint brings its scales", "high", cache="fp8"),
    _rule(None, _RECIPES, "medium", model_type="glm4_moe_lite"),
    _rule("fp8", _RECIPES, "medium",
          model_type=["qwen3_5*", "gemma4*", "nemotron_h", "deepseek_v4", "glm_moe_dsa"]),
    _rule("fp8", _RECIPES, "medium", name="*qwen3-coder-next*"),
]  # fmt: skip

VISION_LIMITS: list[Rule] = [
    _rule(
        {"context": 32768, "useful_context": 8192, "sequences": 1},
        "documents are short, and others run beside it",
        "medium",
        kind=["embedding", "reranker", "encoder"],
    ),
    _rule({"image": 4, "video": 0, "audio": 0}, "keeps a request's media from taking the cache",
          "low", vision=True, audio=True, kind="text"),
    _rule({"image": 4, "video": 0}, "keeps a request's media from taking the cache", "low",
          vision=True, kind="text"),
]  # fmt: skip

QUANTIZATION: list[Rule] = [
    _rule(None, "the engine reads it from the checkpoint", "high"),
]

MAX_NUM_SEQS: list[Rule] = [
    _rule(64, _RECIPES, "medium", model_type="glm4_moe_lite"),
    _rule(None, "the engine's own", "medium", kind=["embedding", "reranker", "speech", "encoder"]),
    _rule(16, "a few users; each further sequence costs memory for its logits", "low"),
]

# Flags of vLLM without a table of their own: name with underscores -> value; true is a bare flag.
FLAGS: list[Rule] = [
    _rule(
        {"trust_remote_code": True}, _RECIPES, "medium",
        model_type=["minimax*", "nemotron_h", "step3p*", "deepseek_v4", "glm_moe_dsa", "kimi*",
                    "inkling*"],
    ),
    _rule({"tokenizer_mode": "deepseek_v4", "block_size": 256}, _RECIPES, "high",
          model_type="deepseek_v4"),
    _rule({"tokenizer_mode": "inkling"}, _RECIPES, "medium", model_type="inkling*"),
    _rule({"mamba_ssm_cache_dtype": "float32"}, _RECIPES, "medium", model_type="nemotron_h"),
    _rule({"attention_backend": "TRITON_ATTN"}, _RECIPES, "medium", name="*nemotron-3-super*"),
    _rule({"attention_backend": "TRITON_MLA"}, _RECIPES, "medium", name="*mistral-small-4*"),
    _rule({"attention_backend": "flashinfer"}, _RECIPES, "medium", model_type="qwen3_5*"),
    _rule({"compilation_config": {"cudagraph_mode": "NONE"}}, _RECIPES, "medium",
          model_type="minimax_m2", scheme="nvfp4"),
    _rule({"enable_prefix_caching": True}, _RECIPES, "medium", kind="text"),
]  # fmt: skip

ENV: list[Rule] = [
    _rule({"VLLM_MARLIN_USE_ATOMIC_ADD": "1"}, _RECIPES, "medium", model_type="qwen3_5_moe"),
]

LIMITS: list[Rule] = [
    _rule(
        {"context": 32768, "useful_context": 8192, "sequences": 1},
        "documents are short, and others run beside it",
        "medium",
        kind=["embedding", "reranker", "encoder"],
    ),
    _rule(
        {
            # Tokens; longer contexts only for those who ask for them.
            "context": 262144,
            # Tokens without which more nodes are taken, if there are more.
            "useful_context": 32768,
            # Full-length sequences that the cache should hold at once.
            "sequences": 2,
            "least_utilisation": 0.3,
            # Above, GB10 nodes have frozen.
            "most_utilisation": 0.85,
            "host_reserve_gib": 4.0,
        },
        "settings that have held on GB10",
        "medium",
    ),
]

TABLES: dict[str, list[Rule]] = {
    "kinds": KINDS,
    "images": IMAGES,
    "llama_cpp_images": LLAMA_CPP_IMAGES,
    "tool_parsers": TOOL_PARSERS,
    "reasoning_parsers": REASONING_PARSERS,
    "moe_backends": MOE_BACKENDS,
    "kv_cache_dtypes": KV_CACHE_DTYPES,
    "vision_limits": VISION_LIMITS,
    "quantization": QUANTIZATION,
    "max_num_seqs": MAX_NUM_SEQS,
    "flags": FLAGS,
    "env": ENV,
    "limits": LIMITS,
}
