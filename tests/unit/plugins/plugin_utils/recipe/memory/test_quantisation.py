# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.quantisation import (
    GGUF_BITS,
    bits_of,
    cache_bits,
    canonical,
    from_config,
    from_name,
    gguf_name,
)


@pytest.mark.parametrize(
    ("scheme", "group", "bits"),
    [
        ("bf16", 0, 16),
        ("float32", 0, 32),
        ("fp8_e4m3", 0, 8),
        # Scales: fp8 per 16 values, 8 bit per 32 values, 16 bit and a 4-bit zero per group.
        ("nvfp4", 0, 4 + 8 / 16),
        ("mxfp4", 0, 4 + 8 / 32),
        ("mxfp8", 0, 8 + 8 / 32),
        ("awq", 128, 4 + 20 / 128),
        ("int4", 32, 4 + 20 / 32),
        ("int4", 0, 4),
        ("exl3:2.05", 0, 2.05),
        ("Q4_K_M", 0, 4.87),
    ],
)
def test_bits_per_weight_have_the_scales(scheme: str, group: int, bits: float) -> None:
    assert bits_of(scheme, group) == pytest.approx(bits)


def test_an_unknown_scheme_is_an_error() -> None:
    with pytest.raises(KeyError):
        bits_of("q9_z")
    with pytest.raises(KeyError):
        cache_bits("q9_z")


@pytest.mark.parametrize(
    ("name", "gguf", "bits"),
    [
        ("auto", False, None),
        ("fp8", False, 8),
        ("fp8_e5m2", False, 8),
        ("nvfp4", False, 4.5),
        ("turboquant_4bit_nc", False, 4.5),
        ("q8_0", True, 8.5),
        ("q4_0", True, 4.5),
    ],
)
def test_bits_of_caches(name: str, gguf: bool, bits: float | None) -> None:
    if bits is None:
        with pytest.raises(KeyError):
            cache_bits(name, gguf)
    else:
        assert cache_bits(name, gguf) == bits


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Q4_K_M", "q4_k_m"),
        ("UD-Q4_K_XL", "q4_k_xl"),
        ("ud-q2_k_xl", "q2_k_xl"),
        ("UD-IQ1_S", "iq1_s"),
        ("UD-TQ1_0", "tq1_0"),
        ("Qwen3-30B-A3B-UD-Q6_K_XL-00001-of-00002.gguf", "q6_k_xl"),
        ("gpt-oss-120b-mxfp4.gguf", "mxfp4"),
        ("Qwen3.5-4B-MXFP4_MOE", "mxfp4_moe"),
        ("Q8_0", "q8_0"),
        ("model-BF16.gguf", "bf16"),
        ("Q4", None),
        ("", None),
    ],
)
def test_gguf_names(text: str, name: str | None) -> None:
    assert gguf_name(text) == name


def test_gguf_sizes_are_those_of_published_files() -> None:
    # Files of Qwen3.5-397B-A17B (396.8e9 parameters) and of Qwen3-30B-A3B (30.53e9), in GB.
    published = {
        ("q8_0", 396.8): 421.58,
        ("q6_k", 30.53): 25.1,
        ("q5_k_m", 30.53): 21.7,
        ("q4_k_m", 30.53): 18.6,
        ("q4_k_xl", 30.53): 17.7,
        ("q3_k_m", 30.53): 14.7,
        ("q2_k_xl", 30.53): 11.8,
    }
    for (name, billions), size in published.items():
        assert billions * GGUF_BITS[name] / 8 == pytest.approx(size, rel=0.04), name


@pytest.mark.parametrize(
    ("repository", "scheme", "group"),
    [
        ("nvidia/Qwen3-235B-A22B-FP4", "nvfp4", 0),
        ("nvidia/Model-30B-A3B-NVFP4", "nvfp4", 0),
        ("openai/gpt-oss-20b", "mxfp4", 0),
        ("Qwen/Qwen3-8B-FP8", "fp8", 0),
        ("cyankiwi/Model-AWQ-4bit", "int4", 128),
        ("Intel/Model-int4-AutoRound", "int4", 128),
        ("org/Model-GPTQ-Int8", "int8", 0),
        ("org/Model-bnb-4bit", "nf4", 0),
        ("org/Model-BF16", "", 0),
    ],
)
def test_names_say_how_weights_are_stored(repository: str, scheme: str, group: int) -> None:
    found = from_name(repository)
    assert found is not None
    assert (found.scheme, found.group_size) == (scheme, group)


def test_a_name_may_say_nothing() -> None:
    assert from_name("org/Model-30B-A3B") is None


AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": ["self_attn"]}
FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
MXFP4 = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
NVFP4 = {
    "quant_method": "modelopt",
    "quant_algo": "NVFP4",
    "ignore": ["lm_head", "model.layers.0.self_attn*", "model.layers.1*"],
    "kv_cache_scheme": {"num_bits": 8, "type": "float"},
}
PACKED = {
    "quant_method": "compressed-tensors",
    "format": "nvfp4-pack-quantized",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "float", "group_size": 16},
            "input_activations": None,
        }
    },
    "ignore": ["lm_head", "re:.*self_attn.*"],
}


@pytest.mark.parametrize(
    ("config", "scheme", "cache", "weight_only"),
    [
        (AWQ, "int4", "", True),
        (FP8, "fp8", "", None),
        (MXFP4, "mxfp4", "", None),
        (NVFP4, "nvfp4", "fp8", None),
        (PACKED, "nvfp4", "", True),
        ({"quant_algo": "W4A16_AWQ", "kv_cache_quant_algo": "FP8"}, "int4", "fp8", True),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "nf4", "", True),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8", "", True),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "int8", "", True),
        ({"quant_method": "auto-round", "bits": 4, "group_size": 128}, "int4", "", True),
        ({"quant_method": "hqq", "bits": 3}, "int4", "", None),
    ],
)
def test_configs(
    config: dict[str, t.Any], scheme: str, cache: str, weight_only: bool | None
) -> None:
    found = from_config(config)
    assert found is not None
    assert (found.scheme, found.cache, found.weight_only) == (scheme, cache, weight_only)


def test_exceptions_hold_for_their_modules_and_layers_only() -> None:
    found = from_config(NVFP4)
    assert found is not None
    assert [found.scheme_of("attention", layer) for layer in (0, 1, 2)] == ["", "", "nvfp4"]
    assert [found.scheme_of("experts", layer) for layer in (0, 1, 2)] == ["nvfp4", "", "nvfp4"]
    assert found.scheme_of("embed", None) == ""
    packed = from_config(PACKED)
    assert packed is not None
    assert [packed.scheme_of(module, 7) for module in ("attention", "mlp")] == ["", "nvfp4"]


def test_small_modules_except_nothing() -> None:
    # A router, a convolution, a gate: what stands beside them is quantised all the same.
    names = ["model.layers.0.mlp.gate", "model.layers.0.linear_attn.conv1d", "re:.*in_proj_a$"]
    found = from_config({"quant_method": "fp8", "modules_to_not_convert": names})
    assert found is not None
    assert {found.scheme_of(module, 0) for module in ("mlp", "experts", "recurrent")} == {"fp8"}


def test_nothing_quantised() -> None:
    assert from_config({}) is None
    assert from_config({"quant_algo": None}) is None


def test_aliases() -> None:
    assert [canonical(word) for word in ("BFloat16", "W4A16", "FP4")] == ["bf16", "int4", "nvfp4"]
