# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes of the models that public recipes for the Spark name: data, read like a config.json.

For a model that is on no disk yet. Shapes are the numbers of the models' published config.json
files; `stored` says how a repository's checkpoint is quantised where its name alone does not.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory import quantisation
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    ModelConfig,
    read_config,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.quantisation import (
    Quantisation,
)

_QWEN_VISION = {
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "spatial_merge_size": 2,
    "num_position_embeddings": 2304,
}
_GEMMA_VISION = {
    "num_hidden_layers": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "position_embedding_size": 10240,
    "spatial_merge_size": 1,
}


def _qwen3(
    layers: int, hidden: int, heads: int, width: int, kv: int = 8, tied: bool = False, **more: t.Any
) -> dict[str, t.Any]:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "head_dim": 128,
        "intermediate_size": width,
        "vocab_size": 151936,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": tied,
        **more,
    }


def _qwen3_moe(
    layers: int, hidden: int, heads: int, experts: int, width: int, kv: int = 4, **more: t.Any
) -> dict[str, t.Any]:
    return _qwen3(layers, hidden, heads, 3 * hidden, kv) | {
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "num_experts": experts,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": width,
        **more,
    }


def _qwen3_5(
    layers: int, hidden: int, heads: int, kv: int, values: int, **more: t.Any
) -> dict[str, t.Any]:
    """Qwen 3.5, 3.6 and 3.8: every fourth layer attends, the others are linear."""
    moe = "num_experts" in more
    return {
        "architectures": [
            "Qwen3_5MoeForConditionalGeneration" if moe else "Qwen3_5ForConditionalGeneration"
        ],
        "model_type": "qwen3_5_moe" if moe else "qwen3_5",
        "vision_config": {**_QWEN_VISION, "out_hidden_size": hidden},
        "text_config": {
            "num_hidden_layers": layers,
            "hidden_size": hidden,
            "num_attention_heads": heads,
            "num_key_value_heads": kv,
            "head_dim": 256,
            "attn_output_gate": True,
            "full_attention_interval": 4,
            "linear_num_key_heads": 16,
            "linear_key_head_dim": 128,
            "linear_num_value_heads": values,
            "linear_value_head_dim": 128,
            "linear_conv_kernel_dim": 4,
            "mamba_ssm_dtype": "float32",
            "vocab_size": 248320,
            "max_position_embeddings": 262144,
            "mtp_num_hidden_layers": 1,
            **more,
        },
    }


def _moe(count: int, per_token: int, width: int) -> dict[str, t.Any]:
    return {
        "num_experts": count,
        "num_experts_per_tok": per_token,
        "moe_intermediate_size": width,
        "shared_expert_intermediate_size": width,
    }


def _nemotron(pattern: str, hidden: int, **more: t.Any) -> dict[str, t.Any]:
    return {
        "architectures": ["NemotronHForCausalLM"],
        "model_type": "nemotron_h",
        "hybrid_override_pattern": pattern,
        "num_hidden_layers": len(pattern),
        "hidden_size": hidden,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "mamba_head_dim": 64,
        "ssm_state_size": 128,
        "n_groups": 8,
        "conv_kernel": 4,
        "mamba_ssm_cache_dtype": "float32",
        "n_shared_experts": 1,
        "vocab_size": 131072,
        "max_position_embeddings": 262144,
        **more,
    }


_NANO = {
    "num_attention_heads": 32,
    "intermediate_size": 1856,
    "mamba_num_heads": 64,
    "n_routed_experts": 128,
    "num_experts_per_tok": 6,
    "moe_intermediate_size": 1856,
    "moe_shared_expert_intermediate_size": 3712,
}
_NANO_PATTERN = "MEMEM*" + "EMEMEM*" * 4 + "EMEMEMEM*" + "EMEMEMEME"


def _minimax_m3(experts: int) -> dict[str, t.Any]:
    return {
        "architectures": ["MiniMaxM3SparseForConditionalGeneration"],
        "model_type": "minimax_m3_vl",
        "vision_config": {"num_hidden_layers": 32, "hidden_size": 1280, "intermediate_size": 5120},
        "text_config": {
            "num_hidden_layers": 60,
            "hidden_size": 6144,
            "num_attention_heads": 64,
            "num_key_value_heads": 4,
            "head_dim": 128,
            "intermediate_size": 3072,
            "dense_intermediate_size": 12288,
            "shared_intermediate_size": 3072,
            "num_local_experts": experts,
            "num_experts_per_tok": 4,
            "first_k_dense_replace": 3,
            "index_head_dim": 128,
            "vocab_size": 200064,
            "max_position_embeddings": 1048576,
            "num_mtp_modules": 1,
        },
    }


def _gemma4(
    layers: int, hidden: int, heads: int, kv: int, wide_kv: int, width: int, **more: t.Any
) -> dict[str, t.Any]:
    return {
        "architectures": ["Gemma4ForConditionalGeneration"],
        "model_type": "gemma4",
        "vision_config": _GEMMA_VISION,
        "text_config": {
            "num_hidden_layers": layers,
            "hidden_size": hidden,
            "num_attention_heads": heads,
            "num_key_value_heads": kv,
            "num_global_key_value_heads": wide_kv,
            "head_dim": 256,
            "global_head_dim": 512,
            "attention_k_eq_v": True,
            "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * (layers // 6),
            "sliding_window": 1024,
            "intermediate_size": width,
            "vocab_size": 262144,
            "max_position_embeddings": 262144,
            "tie_word_embeddings": True,
            **more,
        },
    }


_GEMMA4_26B = _gemma4(
    30,
    2816,
    16,
    8,
    2,
    2112,
    enable_moe_block=True,
    num_experts=128,
    top_k_experts=8,
    moe_intermediate_size=704,
)
_MINIMAX_M2 = {
    "architectures": ["MiniMaxM2ForCausalLM"],
    "model_type": "minimax_m2",
    "num_hidden_layers": 62,
    "hidden_size": 3072,
    "num_attention_heads": 48,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 1536,
    "num_local_experts": 256,
    "num_experts_per_tok": 8,
    "vocab_size": 200064,
    "max_position_embeddings": 196608,
}
_GPT_OSS = {
    "architectures": ["GptOssForCausalLM"],
    "model_type": "gpt_oss",
    "hidden_size": 2880,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "intermediate_size": 2880,
    "num_experts_per_tok": 4,
    "sliding_window": 128,
    "vocab_size": 201088,
    "max_position_embeddings": 131072,
}
_V4_FLASH = {
    "architectures": ["DeepseekV4ForCausalLM"],
    "model_type": "deepseek_v4",
    "num_hidden_layers": 43,
    "hidden_size": 4096,
    "num_attention_heads": 64,
    "num_key_value_heads": 1,
    "head_dim": 512,
    "q_lora_rank": 1024,
    "o_lora_rank": 1024,
    "o_groups": 8,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 6,
    "expert_dtype": "fp4",
    "compress_ratios": [0, 0, *([4, 128] * 20), 4],
    "index_head_dim": 128,
    "index_n_heads": 64,
    "sliding_window": 128,
    "num_nextn_predict_layers": 1,
    "vocab_size": 129280,
    "max_position_embeddings": 1048576,
}

# Name without its organisation, its quantisation and its variant (instruct, it, a date).
SHAPES: dict[str, dict[str, t.Any]] = {
    "qwen3-0.6b": _qwen3(28, 1024, 16, 3072, tied=True),
    "qwen3-1.7b": _qwen3(28, 2048, 16, 6144, tied=True),
    "qwen3-4b": _qwen3(36, 2560, 32, 9728, tied=True),
    "qwen3-8b": _qwen3(36, 4096, 32, 12288),
    "qwen3-14b": _qwen3(40, 5120, 40, 17408),
    "qwen3-32b": _qwen3(64, 5120, 64, 25600),
    "qwen3-embedding-0.6b": _qwen3(28, 1024, 16, 3072, tied=True, max_position_embeddings=32768),
    "qwen3-embedding-4b": _qwen3(36, 2560, 32, 9728, tied=True),
    "qwen3-embedding-8b": _qwen3(36, 4096, 32, 12288, tied=True),
    "qwen3-reranker-8b": _qwen3(36, 4096, 32, 12288, tied=True),
    "qwen3-30b-a3b": _qwen3_moe(48, 2048, 32, 128, 768),
    "qwen3-coder-30b-a3b": _qwen3_moe(48, 2048, 32, 128, 768, max_position_embeddings=262144),
    "qwen3-235b-a22b": _qwen3_moe(94, 4096, 64, 128, 1536),
    "qwen3-coder-480b-a35b": _qwen3_moe(
        62, 6144, 96, 160, 2560, kv=8, max_position_embeddings=262144
    ),
    "qwen3-vl-8b": {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "vision_config": {**_QWEN_VISION, "out_hidden_size": 4096},
        "text_config": _qwen3(36, 4096, 32, 12288, max_position_embeddings=262144),
    },
    "qwen3-next-80b-a3b": {
        "architectures": ["Qwen3NextForCausalLM"],
        "model_type": "qwen3_next",
        "num_hidden_layers": 48,
        "hidden_size": 2048,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "head_dim": 256,
        "full_attention_interval": 4,
        "linear_num_key_heads": 16,
        "linear_key_head_dim": 128,
        "linear_num_value_heads": 32,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
        "vocab_size": 151936,
        "max_position_embeddings": 262144,
        **_moe(512, 10, 512),
    },
    "qwen3.5-4b": _qwen3_5(32, 2560, 16, 4, 32, intermediate_size=9216, tie_word_embeddings=True),
    "qwen3.5-9b": _qwen3_5(32, 4096, 16, 4, 32, intermediate_size=12288),
    "qwen3.5-27b": _qwen3_5(64, 5120, 24, 4, 48, intermediate_size=17408),
    "qwen3.5-35b-a3b": _qwen3_5(40, 2048, 16, 2, 32, **_moe(256, 8, 512)),
    "qwen3.5-122b-a10b": _qwen3_5(48, 3072, 32, 2, 64, **_moe(256, 8, 1024)),
    "qwen3.5-397b-a17b": _qwen3_5(60, 4096, 32, 2, 64, **_moe(512, 10, 1024)),
    "gemma-4-26b-a4b": _GEMMA4_26B,
    "gemma-4-31b": _gemma4(60, 5376, 32, 16, 4, 21504),
    "gpt-oss-120b": {
        **_GPT_OSS,
        "num_hidden_layers": 36,
        "num_local_experts": 128,
        "layer_types": ["sliding_attention", "full_attention"] * 18,
    },
    "gpt-oss-20b": {
        **_GPT_OSS,
        "num_hidden_layers": 24,
        "num_local_experts": 32,
        "layer_types": ["sliding_attention", "full_attention"] * 12,
    },
    "nemotron-3-nano-30b-a3b": _nemotron(_NANO_PATTERN, 2688, **_NANO),
    "nemotron-3.5-lightning-30b-a3b": _nemotron(
        _NANO_PATTERN,
        2688,
        **{**_NANO, "max_position_embeddings": 1048576, "num_nextn_predict_layers": 1},
    ),
    "nemotron-3-super-120b-a12b": _nemotron(
        "MEMEMEM*" + "EMEMEMEM*" * 2 + "EMEMEMEMEM*" * 4 + "EMEMEMEM*" + "EMEMEMEME",
        4096,
        num_attention_heads=32,
        intermediate_size=2688,
        mamba_num_heads=128,
        n_routed_experts=512,
        num_experts_per_tok=22,
        moe_intermediate_size=2688,
        moe_shared_expert_intermediate_size=5376,
        moe_latent_size=1024,
        num_nextn_predict_layers=1,
    ),
    "nemotron-3-ultra-550b-a55b": _nemotron(
        "MEMEMEM*EMEMEM*" + "EMEMEMEM*EMEMEMEM*EMEMEM*" * 3 + "EMEMEMEM*" + "EMEMEMEME",
        8192,
        num_attention_heads=64,
        intermediate_size=5120,
        mamba_num_heads=256,
        n_routed_experts=512,
        num_experts_per_tok=22,
        moe_intermediate_size=5120,
        moe_shared_expert_intermediate_size=10240,
        moe_latent_size=2048,
        num_nextn_predict_layers=1,
    ),
    "glm-4.7-flash": {
        "architectures": ["Glm4MoeLiteForCausalLM"],
        "model_type": "glm4_moe_lite",
        "num_hidden_layers": 47,
        "hidden_size": 2048,
        "num_attention_heads": 20,
        "num_key_value_heads": 20,
        "intermediate_size": 10240,
        "moe_intermediate_size": 1536,
        "n_routed_experts": 64,
        "n_shared_experts": 1,
        "num_experts_per_tok": 4,
        "first_k_dense_replace": 1,
        "kv_lora_rank": 512,
        "q_lora_rank": 768,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 192,
        "v_head_dim": 256,
        "num_nextn_predict_layers": 1,
        "vocab_size": 154880,
        "max_position_embeddings": 202752,
    },
    "glm-5.2": {
        "architectures": ["GlmMoeDsaForCausalLM"],
        "model_type": "glm_moe_dsa",
        "num_hidden_layers": 78,
        "hidden_size": 6144,
        "num_attention_heads": 64,
        "num_key_value_heads": 64,
        "intermediate_size": 12288,
        "moe_intermediate_size": 2048,
        "n_routed_experts": 256,
        "n_shared_experts": 1,
        "num_experts_per_tok": 8,
        "first_k_dense_replace": 3,
        "kv_lora_rank": 512,
        "q_lora_rank": 2048,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 192,
        "v_head_dim": 256,
        "index_head_dim": 128,
        "index_n_heads": 32,
        "indexer_types": ["full"] * 3 + (["shared"] * 3 + ["full"]) * 18 + ["shared"] * 3,
        "num_nextn_predict_layers": 1,
        "vocab_size": 154880,
        "max_position_embeddings": 1048576,
    },
    "minimax-m2": _MINIMAX_M2,
    "minimax-m3": _minimax_m3(128),
    # Pruned to three quarters and to half of the experts.
    "minimax-m3-v0-reap25": _minimax_m3(96),
    "minimax-m3-v0-reap50": _minimax_m3(64),
    "deepseek-v4-flash": _V4_FLASH,
    "step-3.7-flash": {
        "architectures": ["Step3p7FlashForCausalLM"],
        "model_type": "step3p7",
        "vision_config": {"num_hidden_layers": 47, "hidden_size": 1536, "intermediate_size": 8960},
        "text_config": {
            "num_hidden_layers": 45,
            "hidden_size": 4096,
            "num_attention_heads": 64,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 11264,
            "layer_types": (["full_attention"] + ["sliding_attention"] * 3) * 11
            + ["full_attention"],
            "sliding_window": 512,
            "num_experts": 288,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 1280,
            "share_expert_dim": 1280,
            "first_k_dense_replace": 3,
            "num_nextn_predict_layers": 3,
            "vocab_size": 128896,
            "max_position_embeddings": 262144,
        },
    },
    "mistral-small-4-119b": {
        "architectures": ["Mistral4ForCausalLM"],
        "model_type": "mistral4",
        "num_hidden_layers": 36,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "moe_intermediate_size": 2048,
        "n_routed_experts": 128,
        "n_shared_experts": 1,
        "num_experts_per_tok": 4,
        "kv_lora_rank": 256,
        "q_lora_rank": 1024,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 64,
        "v_head_dim": 128,
        "vocab_size": 131072,
        "max_position_embeddings": 1048576,
    },
    "inkling-small": {
        "architectures": ["InklingForConditionalGeneration"],
        "model_type": "inkling_mm_model",
        "num_hidden_layers": 42,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "swa_num_key_value_heads": 16,
        "head_dim": 128,
        "sliding_window_size": 512,
        "layer_types": (["sliding_attention"] * 5 + ["full_attention"]) * 7,
        "n_routed_experts": 256,
        "n_shared_experts": 2,
        "num_experts_per_tok": 6,
        "moe_intermediate_size": 2048,
        "vocab_size": 201024,
        "max_position_embeddings": 1048576,
    },
    "llama-3.1-8b": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": 32,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
    },
    "llama-3.3-70b": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "num_hidden_layers": 80,
        "hidden_size": 8192,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "intermediate_size": 28672,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
    },
}
_SAME = {
    "qwen3-coder-next": "qwen3-next-80b-a3b",
    "qwen3-vl-embedding-8b": "qwen3-vl-8b",
    "qwen3-vl-reranker-8b": "qwen3-vl-8b",
    "qwen3.6-27b": "qwen3.5-27b",
    "qwen3.8-27b": "qwen3.5-27b",
    "qwen3.6-35b-a3b": "qwen3.5-35b-a3b",
    "diffusiongemma-26b-a4b": "gemma-4-26b-a4b",
    "minimax-m2.1": "minimax-m2",
    "minimax-m2.5": "minimax-m2",
    "minimax-m2.7": "minimax-m2",
    "minimax-m3-v0": "minimax-m3",
    "glm-5": "glm-5.2",
    "glm-5.1": "glm-5.2",
    "llama-3.1-70b": "llama-3.3-70b",
}

# Repository (without its organisation, lower case) -> its checkpoint's quantisation, as its
# config says it; only where the name alone would mislead.
_EXPERTS_ONLY = ["lm_head", "*.self_attn*", "*.linear_attn*", "*shared_expert*"]
STORED: dict[str, dict[str, t.Any]] = {
    "nvidia-nemotron-3-nano-30b-a3b-nvfp4": {
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8",
        # Attention, and the Mamba layer before each of the six.
        "exclude_modules": [
            name
            for layer in (4, 11, 18, 25, 32, 41)
            for name in (
                f"backbone.layers.{layer}.mixer.in_proj",
                f"backbone.layers.{layer + 1}.mixer.q_proj",
            )
        ],
    },
    "nvidia-nemotron-3-super-120b-a12b-nvfp4": {
        "quant_algo": "MIXED_PRECISION",
        "kv_cache_quant_algo": "FP8",
        "quantized_layers": {
            "backbone.mixer.experts": {"quant_algo": "NVFP4"},
            "backbone.mixer.shared_experts": {"quant_algo": "FP8"},
            "backbone.mixer.in_proj": {"quant_algo": "FP8"},
        },
    },
    "nvidia-nemotron-3-ultra-550b-a55b-nvfp4": {
        "quant_algo": "MIXED_PRECISION",
        "kv_cache_quant_algo": "FP8",
        "quantized_layers": {
            "backbone.mixer.experts": {"quant_algo": "NVFP4"},
            "backbone.mixer.shared_experts": {"quant_algo": "FP8"},
            "backbone.mixer.in_proj": {"quant_algo": "FP8"},
        },
    },
    "nvidia-nemotron-3.5-lightning-30b-a3b-nvfp4": {
        "quant_algo": "MIXED_PRECISION",
        "kv_cache_quant_algo": "FP8",
        "quantized_layers": {
            "backbone.mixer.experts": {"quant_algo": "W4A16_NVFP4"},
            "backbone.mixer.shared_experts": {"quant_algo": "W4A16_NVFP4"},
            "backbone.mixer.in_proj": {"quant_algo": "FP8"},
            "lm_head": {"quant_algo": "W4A16_NVFP4"},
        },
    },
    "qwen3.6-35b-a3b-nvfp4": {
        "quant_algo": "MIXED_PRECISION",
        "kv_cache_quant_algo": "FP8",
        "quantized_layers": {
            "mlp.experts": {"quant_algo": "W4A16_NVFP4"},
            "mlp.shared_expert": {"quant_algo": "W4A16_NVFP4"},
            "linear_attn.in_proj_qkv": {"quant_algo": "FP8"},
            "self_attn.q_proj": {"quant_algo": "FP8"},
            "lm_head": {"quant_algo": "W4A16_NVFP4"},
        },
    },
    "qwen3.6-27b-nvfp4": {
        "quant_algo": "MIXED_PRECISION",
        "kv_cache_quant_algo": "FP8",
        "quantized_layers": {
            "mlp.gate_proj": {"quant_algo": "W4A16_NVFP4"},
            "linear_attn.in_proj_qkv": {"quant_algo": "FP8"},
            "self_attn.q_proj": {"quant_algo": "FP8"},
            "lm_head": {"quant_algo": "W4A16_NVFP4"},
        },
    },
    "gemma-4-26b-a4b-nvfp4": {
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8",
        "exclude_modules": ["lm_head", "*.mlp*", "*.self_attn*"],
    },
    "diffusiongemma-26b-a4b-it-nvfp4": {
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8",
        "exclude_modules": ["lm_head", "*.mlp*", "*.self_attn*"],
    },
    "gemma-4-31b-it-nvfp4": {
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8",
        "exclude_modules": ["lm_head", "*.self_attn*"],
    },
    "minimax-m2.5-nvfp4": {
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8",
        "exclude_modules": ["lm_head", "*.self_attn*"],
    },
    "minimax-m2.7-nvfp4": {
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8",
        "exclude_modules": ["lm_head", "*.self_attn*"],
    },
    "glm-5.2-nvfp4": {
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8",
        "exclude_modules": [
            "lm_head",
            "*.self_attn*",
            "*.shared_experts*",
            "model.layers.0*",
            "model.layers.1.*",
            "model.layers.2.*",
        ],
    },
    "qwen3.5-122b-a10b-nvfp4": {
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8",
        "exclude_modules": _EXPERTS_ONLY,
    },
    "qwen3.5-397b-a17b-nvfp4": {
        "quant_algo": "NVFP4",
        "kv_cache_quant_algo": "FP8",
        "exclude_modules": _EXPERTS_ONLY,
    },
    "qwen3-235b-a22b-fp4": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"},
    "qwen3-235b-a22b-nvfp4": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"},
    "gpt-oss-120b": {"quant_method": "mxfp4", "modules_to_not_convert": ["self_attn"]},
    "gpt-oss-20b": {"quant_method": "mxfp4", "modules_to_not_convert": ["self_attn"]},
    "deepseek-v4-flash": {"quant_method": "fp8"},
    "deepseek-v4-flash-0731": {"quant_method": "fp8"},
    "minimax-m2": {"quant_method": "fp8"},
    "minimax-m2.1": {"quant_method": "fp8"},
    "minimax-m2.5": {"quant_method": "fp8"},
    "minimax-m2.7": {"quant_method": "fp8"},
    # Small groups; attention stays as it was.
    "minimax-m2.5-awq-4bit": {
        "quant_method": "awq",
        "bits": 4,
        "group_size": 32,
        "modules_to_not_convert": ["self_attn"],
    },
    "minimax-m2.7-awq-4bit": {
        "quant_method": "awq",
        "bits": 4,
        "group_size": 32,
        "modules_to_not_convert": ["self_attn"],
    },
    "glm-4.7-flash-awq-4bit": {
        "quant_method": "awq",
        "bits": 4,
        "group_size": 32,
        "modules_to_not_convert": ["self_attn"],
    },
    "qwen3.5-122b-a10b-awq-4bit": {
        "quant_method": "awq",
        "bits": 4,
        "group_size": 32,
        "modules_to_not_convert": _EXPERTS_ONLY,
    },
    "gemma-4-26b-a4b-it-awq-4bit": {
        "quant_method": "awq",
        "bits": 4,
        "group_size": 32,
        "modules_to_not_convert": ["self_attn"],
    },
    "minimax-m2-awq": {
        "quant_method": "awq",
        "bits": 4,
        "group_size": 128,
        "modules_to_not_convert": ["self_attn"],
    },
}

# Words of a name that say nothing about the shape.
_DROPPED = re.compile(
    r"-(?:instruct|it|chat|thinking|base|hf|fp8|nvfp4|fp4|mxfp4|mxfp8|bf16|fp16|int4|int8|awq|gptq|"
    r"autoround|auto-round|w4a16|w8a8|4bit|8bit|4-?bit|gguf|bnb|nvfp4a16|dynamic|static|quantized|"
    r"compressed|qat|q4_0|exl[23]|\d{4}|v\d\.\d|preview|mixed|mtp|block)(?=-|$)"
)
_MAKERS = re.compile(r"^(?:nvidia-|meta-|google-|qwen_|openai-)(?=nemotron|llama|gemma|qwen|gpt)")


def shape_name(repository: str) -> str:
    """`nvidia/Qwen3.6-35B-A3B-NVFP4` -> `qwen3.6-35b-a3b`."""
    name = repository.partition(":")[0].rstrip("/").rpartition("/")[2].lower().replace("_", "-")
    name = _MAKERS.sub("", name)
    # Words may stand next to each other, and a match takes the hyphen of the next.
    while True:
        shorter = _DROPPED.sub("", name)
        if shorter == name:
            return name
        name = shorter


def known_config(
    repository: str, more: t.Mapping[str, t.Mapping[str, t.Any]] | None = None
) -> ModelConfig | None:
    """The shape of a repository that the table has, quantised as its name or the table says.

    more: further shapes by shape name, read like config.json, which win over the table's.
    Raises ArchitectureError for one of these that cannot be read.
    """
    name = shape_name(repository)
    shape = (more or {}).get(name) or SHAPES.get(_SAME.get(name, name))
    if shape is None:
        return None
    config = read_config(shape, source=f"table of known models: {name}")
    return _stored(config, repository)


def _stored(config: ModelConfig, repository: str) -> ModelConfig:
    base = repository.partition(":")[0].rstrip("/").rpartition("/")[2].lower()
    quant: Quantisation | None
    if base in STORED:
        parallel = any(layer.mlp == "both" for layer in config.layers)
        quant = quantisation.from_config(STORED[base], parallel)
    else:
        quant = quantisation.from_name(repository.partition(":")[0]) or config.quantisation
    return dataclasses.replace(config, quantisation=quant)
