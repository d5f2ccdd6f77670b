# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading config.json: the fixtures are documented shapes, the counts what was published."""

from __future__ import annotations

import json
import pathlib
import random
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    MAX_CONFIG_BYTES,
    ArchitectureError,
    ModelConfig,
    read_config,
    read_directory,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.known_models import (
    SHAPES,
    known_config,
    shape_name,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.parameters import (
    mtp_parameters,
    total,
    weight_bytes,
)

MODELS = pathlib.Path(__file__).parents[6] / "tests/unit/fixtures/models"

# Billions of parameters as the model cards say them (text and vision, without built-in drafts).
PUBLISHED = {
    "qwen3-1.7b": 1.72,
    "qwen3.6-35b-a3b-fp8": 35.1,
    "qwen3.8-27b-fp8": 27.4,
    "qwen3-coder-next-fp8": 79.7,
    "qwen3-235b-a22b-nvfp4": 235.1,
    "qwen3-vl-embedding-8b": 8.77,
    "gemma-4-26b-a4b-it": 25.8,
    "gemma-4-31b-it-nvfp4": 30.7,
    "gpt-oss-120b": 116.8,
    "nemotron-3-nano-30b-a3b-nvfp4": 31.6,
    "nemotron-3-super-120b-a12b-nvfp4": 120.6,
    "glm-4.7-flash-awq-4bit": 30.0,
    "glm-5.2-nvfp4": 744.0,
    "minimax-m2.7-nvfp4": 228.7,
    "deepseek-v3": 671.0,
    "deepseek-v4-flash": 284.0,
    "kimi-k2.5": 1026.4,
    "kimi-linear-48b-a3b": 49.1,
    "llama-3.1-70b-fp8": 70.55,
    "llama-4-scout": 107.8,
    "mixtral-8x7b": 46.7,
    "mistral-small-4-119b-nvfp4": 119.0,
    "bge-m3": 0.568,
    "whisper-large-v3": 1.54,
}

# Checkpoint sizes in GB (10^9 bytes) and where they were read.
SIZES = {
    "gpt-oss-120b": (65.2, 0.02, "the model card's files"),
    "qwen3.8-27b-fp8": (30.8, 0.03, "28.7 GiB, the repository's files"),
    "nemotron-3-nano-30b-a3b-nvfp4": (19.56, 0.03, "the recipe document's own example"),
    "deepseek-v4-flash": (161.1, 0.05, "150 GiB in public two-node launches"),
    "qwen3-coder-next-fp8": (80.0, 0.02, "80 GB, public report of the FP8 files"),
    "llama-3.1-70b-fp8": (72.7, 0.02, "the repository's files"),
}


def model(name: str) -> ModelConfig:
    return read_directory(MODELS / name)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_parameters_are_those_of_the_model_card(name: str) -> None:
    assert total(model(name)) / 1e9 == pytest.approx(PUBLISHED[name], rel=0.02)


@pytest.mark.parametrize("name", sorted(SIZES))
def test_weights_are_as_large_as_the_published_files(name: str) -> None:
    size, tolerance, _source = SIZES[name]
    assert weight_bytes(model(name)) / 1e9 == pytest.approx(size, rel=tolerance)


def test_a_super_checkpoint_in_bf16_with_its_draft_is_the_published_230_gib() -> None:
    config = model("nemotron-3-super-120b-a12b-nvfp4")
    both = total(config) + mtp_parameters(config)
    assert both * 2 / 2**30 == pytest.approx(230, rel=0.01)


def test_what_the_twelve_documented_models_are() -> None:
    seen = {
        name: (
            config.model_type,
            config.is_moe,
            config.vision,
            config.is_hybrid,
            config.max_position,
            config.quantisation.schemes if config.quantisation else (),
        )
        for name in (
            "qwen3.6-35b-a3b-fp8",
            "qwen3.6-35b-a3b-nvfp4",
            "qwen3.8-27b-fp8",
            "qwen3-coder-next-int4-autoround",
            "gemma-4-26b-a4b-it",
            "gemma-4-26b-a4b-nvfp4",
            "gemma-4-31b-it-nvfp4",
            "gpt-oss-120b",
            "nemotron-3-super-120b-a12b-nvfp4",
            "glm-4.7-flash-awq-4bit",
            "minimax-m2.7-awq",
            "deepseek-v4-flash",
        )
        for config in [model(name)]
    }
    assert seen == {
        "qwen3.6-35b-a3b-fp8": ("qwen3_5_moe", True, True, True, 262144, ("fp8",)),
        "qwen3.6-35b-a3b-nvfp4": ("qwen3_5_moe", True, True, True, 262144, ("nvfp4", "fp8")),
        "qwen3.8-27b-fp8": ("qwen3_5", False, True, True, 262144, ("fp8",)),
        "qwen3-coder-next-int4-autoround": ("qwen3_next", True, False, True, 262144, ("int4",)),
        "gemma-4-26b-a4b-it": ("gemma4", True, True, False, 262144, ()),
        "gemma-4-26b-a4b-nvfp4": ("gemma4", True, True, False, 262144, ("nvfp4",)),
        "gemma-4-31b-it-nvfp4": ("gemma4", False, True, False, 262144, ("nvfp4",)),
        "gpt-oss-120b": ("gpt_oss", True, False, False, 131072, ("mxfp4",)),
        "nemotron-3-super-120b-a12b-nvfp4": ("nemotron_h", True, False, True, 262144, ("nvfp4",)),
        "glm-4.7-flash-awq-4bit": ("glm4_moe_lite", True, False, False, 202752, ("int4",)),
        "minimax-m2.7-awq": ("minimax_m2", True, False, False, 196608, ("int4",)),
        "deepseek-v4-flash": ("deepseek_v4", True, False, False, 1048576, ("fp8",)),
    }


def test_layers_of_hybrid_and_sliding_models() -> None:
    def mixers(name: str) -> tuple[int, int, int]:
        layers = [layer.mixer for layer in model(name).layers]
        return layers.count("full"), layers.count("sliding"), layers.count("recurrent")

    assert mixers("qwen3.6-35b-a3b-fp8") == (10, 0, 30)
    assert mixers("qwen3-coder-next-fp8") == (12, 0, 36)
    assert mixers("gemma-4-31b-it-nvfp4") == (10, 50, 0)
    assert mixers("gpt-oss-120b") == (18, 18, 0)
    assert mixers("nemotron-3-super-120b-a12b-nvfp4") == (8, 0, 40)
    assert mixers("nemotron-3.5-lightning-30b-a3b-nvfp4") == (6, 0, 23)
    assert mixers("glm-4.7-flash-awq-4bit") == (47, 0, 0)


def test_a_disabled_mixture_is_dense() -> None:
    # Gemma 4's dense model has the key, off; its num_experts is null.
    assert model("gemma-4-31b-it-nvfp4").experts is None
    assert model("gemma-4-26b-a4b-it").experts is not None


def test_kinds_of_models() -> None:
    kinds = {name: model(name).kind for name in ("bge-m3", "whisper-large-v3", "qwen3-1.7b")}
    assert kinds == {"bge-m3": "embedding", "whisper-large-v3": "speech", "qwen3-1.7b": "text"}


def test_quantised_per_module() -> None:
    config = model("gemma-4-26b-a4b-nvfp4")
    assert config.quantisation is not None
    of = config.quantisation.scheme_of
    # The experts alone are narrow: attention, the dense MLP, embeddings and the tower are not.
    assert [of(module, 3) for module in ("experts", "attention", "mlp")] == ["nvfp4", "", ""]
    assert [of(module, None) for module in ("embed", "head", "vision")] == ["", "", ""]


def test_quantised_per_layer() -> None:
    config = model("nemotron-3-nano-30b-a3b-nvfp4")
    assert config.quantisation is not None
    mamba = [
        config.quantisation.scheme_of("recurrent", index)
        for index, layer in enumerate(config.layers)
        if layer.mixer == "recurrent"
    ]
    assert (mamba.count("nvfp4"), mamba.count("")) == (17, 6)


def test_mixed_precision_comes_from_the_list_of_layers() -> None:
    config = model("qwen3.6-35b-a3b-nvfp4")
    assert config.quantisation is not None
    of = config.quantisation.scheme_of
    assert [of("experts", 0), of("recurrent", 0), of("attention", 3), of("head", None)] == [
        "nvfp4",
        "fp8",
        "fp8",
        "nvfp4",
    ]
    assert of("mtp", None) == ""
    assert config.quantisation.weight_only is True
    assert config.quantisation.cache == "fp8"


def test_the_size_comes_from_the_index_then_from_the_files(tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.json").write_bytes((MODELS / "qwen3-1.7b/config.json").read_bytes())
    assert read_directory(tmp_path).weights_bytes is None
    (tmp_path / "model-1.safetensors").write_bytes(b"x" * 1000)
    (tmp_path / "model-2.safetensors").write_bytes(b"x" * 234)
    config = read_directory(tmp_path)
    assert (config.weights_bytes, config.weights_source) == (1234, "sizes of the weight files")
    index = {"metadata": {"total_size": 3440000000}, "weight_map": {"a": "model-1.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    config = read_directory(tmp_path)
    assert config.weights_bytes == 3440000000
    assert config.weights_source == "model.safetensors.index.json: metadata.total_size"


def test_the_total_is_found_at_either_end_of_a_large_index(tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.json").write_bytes((MODELS / "qwen3-1.7b/config.json").read_bytes())
    names = {f"model.layers.{i}.weight": "model-1.safetensors" for i in range(20000)}
    for index in (
        {"metadata": {"total_size": 77}, "weight_map": names},
        {"weight_map": names, "metadata": {"total_parameters": 1, "total_size": 77.0}},
    ):
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
        assert read_directory(tmp_path).weights_bytes == 77


BASE = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 100,
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"hidden_size": "64"}, "hidden_size is '64'"),
        ({"hidden_size": True}, "hidden_size is True"),
        ({"hidden_size": -1}, "expected a whole number from 0"),
        ({"hidden_size": 10**30}, "expected a whole number from 0"),
        ({"hidden_size": 1.5}, "hidden_size is 1.5"),
        ({"hidden_size": float("inf")}, "hidden_size is inf"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"num_experts": [1, "x"]}, "num_experts is"),
        ({"layer_types": ["full_attention"]}, "layer_types has 1 entries for 2 layers"),
        ({"hybrid_override_pattern": "MX"}, "other letters than M"),
        ({"quantization_config": "fp8"}, "quantization_config is no map"),
        ({"quantization_config": {"quant_method": 8}}, "quant_method is 8"),
        ({"quantization_config": {"quant_method": "awq", "bits": "4"}}, "bits is '4'"),
        ({"quantization_config": {"config_groups": []}}, "config_groups is a list"),
        ({"quantization_config": {"quant_algo": "NVFP4", "ignore": [1]}}, "ignore is not a list"),
        ({"architectures": None, "model_type": None}, "neither architectures nor model_type"),
    ],
)
def test_bad_values_are_named(change: dict[str, t.Any], says: str) -> None:
    with pytest.raises(ArchitectureError, match=r"^config\.json") as caught:
        read_config({**BASE, **change})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"model_type": "qwen3"', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"[1, 2]", "expected a map, found a list"),
        (b"null", "expected a map, found a NoneType"),
        (b'{"a": "' + b"x" * MAX_CONFIG_BYTES + b'"}', "larger than 8 MiB"),
    ],
)
def test_bad_files_are_named(content: bytes, says: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ArchitectureError) as caught:
        read_directory(tmp_path)
    assert says in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_directory_without_a_config_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ArchitectureError, match="No such file"):
        read_directory(tmp_path / "nothing")


_KEYS = sorted(
    {
        *BASE,
        "text_config",
        "vision_config",
        "quantization_config",
        "layer_types",
        "num_experts",
        "kv_lora_rank",
        "sliding_window",
        "compress_ratios",
        "linear_num_key_heads",
        "mamba_num_heads",
        "hybrid_override_pattern",
        "moe_layer_freq",
        "indexer_types",
        "quant_algo",
        "quant_method",
        "config_groups",
        "quantized_layers",
        "ignore",
    }
)


def _anything(dice: random.Random, depth: int = 0) -> t.Any:
    """Some JSON value; one in three is a number or a list that might pass for a real one."""
    plain = [None, True, False, 0, 1, 3, -7, 2**63, 10**400, 1.0, 0.5, float("nan"), float("inf")]
    plain += [
        "",
        "auto",
        "linear_attention",
        "M*E-",
        "fp8",
        "nvfp4",
        "x" * 500,
        [0, 1],
        [1, 4, 128],
    ]
    choice = dice.randrange(5 if depth < 3 else 3)
    if choice == 3:
        return [_anything(dice, depth + 1) for _round in range(dice.randrange(4))]
    if choice == 4:
        keys = [dice.choice(_KEYS) for _round in range(dice.randrange(4))]
        return {key: _anything(dice, depth + 1) for key in keys}
    return dice.choice(plain)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_config_says_it_is_read_or_refused(seed: int) -> None:
    dice = random.Random(seed)
    refused = 0
    for _round in range(150):
        change = {dice.choice(_KEYS): _anything(dice) for _round in range(dice.randrange(1, 5))}
        try:
            config = read_config({**BASE, **change}, _anything(dice))
        except ArchitectureError:
            refused += 1
            continue
        assert total(config) >= 0
        assert weight_bytes(config) >= 0
    assert 0 < refused < 150


def test_every_shape_of_the_table_can_be_read() -> None:
    for name in SHAPES:
        config = known_config(name)
        assert config is not None, name
        assert total(config) > 0


@pytest.mark.parametrize(
    ("repository", "name"),
    [
        ("nvidia/Qwen3.6-35B-A3B-NVFP4", "qwen3.6-35b-a3b"),
        ("cyankiwi/gemma-4-26B-A4B-it-AWQ-4bit", "gemma-4-26b-a4b"),
        ("Intel/Qwen3-Coder-Next-int4-AutoRound", "qwen3-coder-next"),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "nemotron-3-nano-30b-a3b"),
        ("unsloth/Qwen3.5-397B-A17B-GGUF:UD-Q4_K_XL", "qwen3.5-397b-a17b"),
        ("deepseek-ai/DeepSeek-V4-Flash-0731", "deepseek-v4-flash"),
        ("/models/Qwen3-8B/", "qwen3-8b"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b"),
    ],
)
def test_repositories_are_known_by_their_shape(repository: str, name: str) -> None:
    assert shape_name(repository) == name
    assert known_config(repository) is not None


def test_the_table_agrees_with_the_configs() -> None:
    pairs = {
        "nvidia/Qwen3.6-35B-A3B-NVFP4": "qwen3.6-35b-a3b-nvfp4",
        "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4": "nemotron-3-nano-30b-a3b-nvfp4",
        "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4": (
            "nemotron-3.5-lightning-30b-a3b-nvfp4"
        ),
        "nvidia/Gemma-4-26B-A4B-NVFP4": "gemma-4-26b-a4b-nvfp4",
        "nvidia/Gemma-4-31B-IT-NVFP4": "gemma-4-31b-it-nvfp4",
        "nvidia/MiniMax-M2.7-NVFP4": "minimax-m2.7-nvfp4",
        "nvidia/GLM-5.2-NVFP4": "glm-5.2-nvfp4",
        "Qwen/Qwen3.6-35B-A3B-FP8": "qwen3.6-35b-a3b-fp8",
        "openai/gpt-oss-120b": "gpt-oss-120b",
        "deepseek-ai/DeepSeek-V4-Flash": "deepseek-v4-flash",
        "cyankiwi/GLM-4.7-Flash-AWQ-4bit": "glm-4.7-flash-awq-4bit",
    }
    for repository, name in pairs.items():
        table, config = known_config(repository), model(name)
        assert table is not None
        assert weight_bytes(table) == pytest.approx(weight_bytes(config), rel=0.01), repository
        assert [layer.mixer for layer in table.layers] == [layer.mixer for layer in config.layers]


def test_users_shapes_win_over_the_table() -> None:
    mine = {"qwen3-8b": {**BASE}, "my-model": {**BASE}}
    assert known_config("org/My-Model-FP8", mine) is not None
    shape = known_config("Qwen/Qwen3-8B", mine)
    assert shape is not None
    assert shape.hidden == 64
    with pytest.raises(ArchitectureError, match="table of known models: bad"):
        known_config("org/bad", {"bad": {"model_type": "x"}})
