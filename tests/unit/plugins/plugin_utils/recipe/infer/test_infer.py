# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inferred recipes: what public recipes set, what fits, and files that load and validate clean."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Node
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.infer.infer import (
    INFERRED,
    Inference,
    InferenceError,
    infer,
    served_name,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.infer.rules import (
    FACTS,
    TableError,
    Tables,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.infer.tables import TABLES
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    ModelConfig,
    read_directory,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.estimate import (
    estimate_memory,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.fit import (
    NodeMemory,
    fit,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.launch_settings import (
    GIB,
)

MODELS = pathlib.Path(__file__).parents[6] / "tests/unit/fixtures/models"
NAMES = {path.name for path in MODELS.iterdir()}
# Repositories of the fixtures, where a rule looks at the name.
REPOSITORIES = {
    "qwen3.6-35b-a3b-fp8": "Qwen/Qwen3.6-35B-A3B-FP8",
    "qwen3.6-35b-a3b-nvfp4": "nvidia/Qwen3.6-35B-A3B-NVFP4",
    "qwen3.8-27b-fp8": "Qwen/Qwen3.8-27B-FP8",
    "qwen3-coder-next-fp8": "Qwen/Qwen3-Coder-Next-FP8",
    "qwen3-coder-next-int4-autoround": "Intel/Qwen3-Coder-Next-int4-AutoRound",
    "gemma-4-26b-a4b-it": "google/gemma-4-26B-A4B-it",
    "gemma-4-26b-a4b-nvfp4": "nvidia/Gemma-4-26B-A4B-NVFP4",
    "gemma-4-31b-it-nvfp4": "nvidia/Gemma-4-31B-IT-NVFP4",
    "gpt-oss-120b": "openai/gpt-oss-120b",
    "nemotron-3-super-120b-a12b-nvfp4": "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4",
    "nemotron-3.5-lightning-30b-a3b-nvfp4": "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4",
    "qwen3-vl-embedding-8b": "Qwen/Qwen3-VL-Embedding-8B",
}


def spark(count: int = 2, used_gib: float = 0) -> list[NodeMemory]:
    return [
        NodeMemory(int(121.63 * GIB), int(used_gib * GIB), f"spark{index}")
        for index in range(1, count + 1)
    ]


def config(name: str) -> ModelConfig:
    return read_directory(MODELS / name)


def inferred(name: str, count: int = 2, used_gib: float = 0, **more: t.Any) -> Inference:
    repository = REPOSITORIES.get(name, f"org/{name}")
    return infer(config(name), repository, spark(count, used_gib), **more)


# model -> nodes, tool parser, reasoning parser, MoE backend, KV type, images per request. As public
# recipes for GB10 have them; the differences to single recipes are in the knowledge of each rule.
EXPECTED: dict[str, tuple[int, str | None, str | None, str | None, str | None, bool]] = {
    "qwen3.6-35b-a3b-fp8": (1, "qwen3_xml", "qwen3", None, "fp8", True),
    "qwen3.6-35b-a3b-nvfp4": (1, "qwen3_xml", "qwen3", "marlin", "fp8", True),
    "qwen3.8-27b-fp8": (1, "qwen3_xml", "qwen3", None, "fp8", True),
    "qwen3-coder-next-fp8": (1, "qwen3_coder", None, None, "fp8", False),
    "qwen3-coder-next-int4-autoround": (1, "qwen3_coder", None, None, "fp8", False),
    "gemma-4-26b-a4b-it": (1, "gemma4", "gemma4", None, "fp8", True),
    "gemma-4-26b-a4b-nvfp4": (1, "gemma4", "gemma4", None, "fp8", True),
    "gemma-4-31b-it-nvfp4": (1, "gemma4", "gemma4", None, "fp8", True),
    "gpt-oss-120b": (1, "openai", "openai_gptoss", None, None, False),
    "nemotron-3-super-120b-a12b-nvfp4": (1, "qwen3_coder", "nemotron_v3", "cutlass", "fp8", False),
    "nemotron-3.5-lightning-30b-a3b-nvfp4": (
        1, "qwen3_xml", "nemotron_v3", "marlin", "fp8", False,
    ),
    "glm-4.7-flash-awq-4bit": (1, "glm47", "glm45", None, None, False),
    "minimax-m2.7-awq": (2, "minimax_m2", "minimax_m2", None, None, False),
    "minimax-m2.7-nvfp4": (2, "minimax_m2", "minimax_m2_append_think", None, "fp8", False),
    "deepseek-v4-flash": (2, "deepseek_v4", "deepseek_v4", None, "fp8", False),
    "qwen3-235b-a22b-nvfp4": (2, "hermes", "qwen3", "flashinfer_cutlass", "fp8", False),
    "qwen3-1.7b": (1, "hermes", "qwen3", None, None, False),
    "llama-3.1-70b-fp8": (1, "llama3_json", None, None, "fp8", False),
    "step-3.7-flash-fp8": (2, "step3p5", "step3p5", None, None, False),
    "mistral-small-4-119b-nvfp4": (1, "mistral", "mistral", "marlin", None, True),
    "qwen3-vl-embedding-8b": (1, None, None, None, None, False),
    "bge-m3": (1, None, None, None, None, False),
    "whisper-large-v3": (1, None, None, None, None, False),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_settings_of_known_models(name: str) -> None:
    found = inferred(name)
    values = found.recipe["defaults"]
    assert (
        found.nodes,
        values.get("tool_call_parser"),
        values.get("reasoning_parser"),
        values.get("moe_backend"),
        values.get("kv_cache_dtype"),
        "limit_mm_per_prompt" in values,
    ) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_file_loads_validates_clean_and_resolves(name: str, tmp_path: pathlib.Path) -> None:
    found = inferred(name, count=8)
    path = tmp_path / f"{found.name}.yaml"
    path.write_text(found.text(), encoding="utf-8")
    recipe = load(str(path))
    assert [str(issue) for issue in validate(recipe)] == []
    nodes = [Node(f"spark{i}", f"192.0.2.{i}", fabric_interface="eth0") for i in range(1, 9)]
    resolved = resolve(recipe, {}, nodes)
    assert len(resolved.ranks) == found.nodes
    assert resolved.warnings == ()
    # What was estimated is what the resolved recipe asks for.
    again = estimate_memory(resolved, config(name))
    assert again.total_gib == pytest.approx(found.estimate.total_gib)
    assert fit(again, spark()[0]).verdict in ("fits", "tight")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_text_is_the_recipe_and_every_setting_has_a_source(name: str) -> None:
    found = inferred(name, count=8)
    text = found.text()
    assert yaml.safe_load(text) == found.recipe
    for key in found.recipe["defaults"]:
        setting = found.settings[f"defaults.{key}"]
        assert setting.source, key
        assert setting.confidence in ("high", "medium", "low")
    assert "  # medium: " in text or "  # low: " in text
    assert found.recipe["metadata"][INFERRED] == found.recipe["model"]
    json.dumps(found.to_dict())


@pytest.mark.parametrize(
    ("name", "count"),
    [("kimi-k2.5", "1026.41B"), ("qwen3-1.7b", "1.72B"), ("qwen3.6-35b-a3b-fp8", "35.1B")],
)
def test_parameters_are_written_as_the_format_does(name: str, count: str) -> None:
    assert inferred(name, count=8).recipe["metadata"]["model_params"] == count


def test_vision_and_pooling_commands() -> None:
    vision = inferred("qwen3.6-35b-a3b-fp8").recipe
    assert "--limit-mm-per-prompt {limit_mm_per_prompt}" in vision["command"]
    assert json.loads(vision["defaults"]["limit_mm_per_prompt"]) == {"image": 4, "video": 0}
    pooling = inferred("qwen3-vl-embedding-8b").recipe
    assert "--runner pooling" in pooling["command"]
    assert "--enable-auto-tool-choice" not in pooling["command"]
    assert pooling["metadata"]["category"] == "embedding"
    assert pooling["kind"] == "embeddings"
    assert "kind" not in vision
    assert pooling["defaults"]["max_model_len"] == 32768
    assert pooling["defaults"]["gpu_memory_utilization"] == pytest.approx(0.3)


def test_a_reranker_is_known_by_its_name_and_warned_about() -> None:
    found = infer(config("qwen3-vl-embedding-8b"), "Qwen/Qwen3-VL-Reranker-8B", spark())
    assert found.recipe["metadata"]["category"] == "reranker"
    assert found.recipe["kind"] == "rerank"
    assert any("rerankers" in warning for warning in found.warnings)


def test_as_many_nodes_as_it_needs_and_no_more() -> None:
    assert [inferred("minimax-m2.7-awq", count=count).nodes for count in (1, 2, 4)] == [1, 2, 2]
    alone = inferred("minimax-m2.7-awq", count=1)
    assert alone.fit.verdict == "exceeds"
    assert alone.warnings[0].startswith("does not fit")
    pair = inferred("minimax-m2.7-awq").recipe
    assert (pair["runtime"], pair["min_nodes"], pair["max_nodes"]) == ("vllm-ray", 2, 2)
    assert pair["defaults"]["tensor_parallel"] == 2
    solo = inferred("qwen3-1.7b").recipe
    assert (solo["runtime"], solo.get("min_nodes"), solo["max_nodes"]) == ("vllm", None, 1)


def test_three_nodes_that_two_do_not_hold_share_the_layers() -> None:
    nodes = spark(3)
    found = infer(config("glm-5.2-nvfp4"), "nvidia/GLM-5.2-NVFP4", nodes)
    assert (found.nodes, found.recipe["defaults"]["pipeline_parallel"]) == (3, 3)
    assert "-pp {pipeline_parallel}" in found.recipe["command"]
    assert found.fit.verdict == "exceeds"


def test_a_node_in_use_gets_a_smaller_share_and_a_shorter_context() -> None:
    free = inferred("qwen3-coder-next-fp8", count=1).recipe["defaults"]
    busy = inferred("qwen3-coder-next-fp8", count=1, used_gib=36).recipe["defaults"]
    assert busy["gpu_memory_utilization"] < free["gpu_memory_utilization"]
    assert busy["max_model_len"] < free["max_model_len"]
    assert busy["max_model_len"] % 1024 == 0


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("used", [0, 20, 60, 100])
def test_what_is_inferred_never_asks_for_more_than_is_free(name: str, used: float) -> None:
    found = inferred(name, count=8, used_gib=used)
    share = found.recipe["defaults"]["gpu_memory_utilization"]
    assert 0 < share <= 0.85
    assert share * 121.63 <= 121.63 - used
    assert found.recipe["defaults"]["max_model_len"] >= 1
    if found.fit.verdict == "exceeds":
        assert found.warnings


def test_more_nodes_never_mean_a_shorter_context() -> None:
    for name in ("minimax-m2.7-awq", "llama-3.1-70b-fp8", "qwen3-235b-a22b-nvfp4"):
        contexts = [
            inferred(name, count=count).recipe["defaults"]["max_model_len"]
            for count in (1, 2, 4, 8)
        ]
        assert contexts == sorted(contexts), name


def test_a_gguf_file_is_for_llama_cpp() -> None:
    found = infer(None, "unsloth/Qwen3-30B-A3B-GGUF:UD-Q4_K_XL", spark())
    recipe = found.recipe
    assert recipe["runtime"] == "llama-cpp"
    assert recipe["command"].startswith("llama-server -hf {model} ")
    assert recipe["metadata"]["model_dtype"] == "q4_k_xl"
    assert recipe["defaults"]["ctx_size"] == 40960
    assert recipe["defaults"]["served_model_name"] == "qwen3-30b-a3b-ud-q4_k_xl"
    assert (found.nodes, found.fit.verdict) == (1, "fits")


def test_a_gguf_file_by_its_path_with_its_size() -> None:
    found = infer(None, "/models/My-7B-Q8_0.gguf", spark(), weights_bytes=8 * GIB)
    assert found.recipe["command"].startswith("llama-server -m {model} ")
    assert found.name == "my-7b-q8_0"
    assert found.estimate.weights is not None
    assert found.estimate.weights.gib == 8
    assert found.fit.fits is True


def test_gguf_recipes_validate_clean(tmp_path: pathlib.Path) -> None:
    for model in ("Qwen/Qwen3-30B-A3B-GGUF:Q4_K_M", "some/unknown-GGUF:Q8_0", "/m/x-3B.gguf"):
        path = tmp_path / "gguf.yaml"
        path.write_text(infer(None, model, spark()).text(), encoding="utf-8")
        assert [str(issue) for issue in validate(load(str(path)))] == [], model


def test_a_model_that_is_not_on_disk_may_be_known() -> None:
    found = infer(None, "openai/gpt-oss-120b", spark())
    assert found.recipe["defaults"]["tool_call_parser"] == "openai"
    with pytest.raises(InferenceError, match="nothing is known of org/secret"):
        infer(None, "org/secret", spark())


def test_an_unknown_architecture_gets_what_can_be_known() -> None:
    shape = dataclasses.replace(
        config("qwen3-1.7b"), architecture="NewForCausalLM", model_type="new"
    )
    found = infer(shape, "org/New-2B", spark())
    assert "tool_call_parser" not in found.recipe["defaults"]
    assert found.warnings == ("no tool parser is known for new; tool calls come back as text",)
    assert found.fit.verdict == "fits"


def test_a_local_fine_tune_is_served_by_its_path() -> None:
    found = infer(config("qwen3-1.7b"), "/models/My Tune, v2", spark())
    assert found.recipe["model"] == "/models/My Tune, v2"
    assert found.name == "my-tune-v2"


@pytest.mark.parametrize(
    ("repository", "name"),
    [
        ("Qwen/Qwen3.6-35B-A3B-FP8", "qwen3.6-35b-a3b-fp8"),
        ("unsloth/Qwen3-8B-GGUF:UD-Q4_K_XL", "qwen3-8b-ud-q4_k_xl"),
        ("/models/a b'c\"d\n", "a-b-c-d"),
        ("org/..", "model"),
        ("org/" + "x" * 300, "x" * 100),
        ("org/Ünïcode-7B", "n-code-7b"),
    ],
)
def test_served_names_are_plain(repository: str, name: str) -> None:
    assert served_name(repository) == name


@pytest.mark.parametrize(
    "repository",
    ["org/a'b", 'org/a"b', "org/a # b", "org/a: b", "org/a\nb: c", "org/$(id)", "/x/{model}", "@x"],
)
def test_odd_names_stay_data(repository: str) -> None:
    found = infer(config("qwen3-1.7b"), repository, spark())
    assert yaml.safe_load(found.text()) == found.recipe
    assert found.recipe["model"] == repository
    assert repository not in found.recipe["command"]


def test_revision_image_and_port() -> None:
    found = inferred("qwen3-1.7b", revision="abc123", image="mine/vllm:1", port=9001)
    assert found.recipe["model_revision"] == "abc123"
    assert found.recipe["container"] == "mine/vllm:1"
    assert found.recipe["defaults"]["port"] == 9001


# --- tables ----------------------------------------------------------------------------------


def test_a_users_rule_wins() -> None:
    tables = {
        "moe_backends": [
            {"when": {"model_type": "qwen3_5*", "scheme": "nvfp4"}, "value": "flashinfer_cutlass"}
        ],
        "tool_parsers": [{"value": "mine", "source": "our test", "confidence": "low"}],
        "flags": [{"value": {"async_scheduling": True, "load_format": "fastsafetensors"}}],
        "env": [{"when": {"moe": True}, "value": {"A_VARIABLE": 1}}],
        "limits": [{"value": {"context": 65536, "most_utilisation": 0.7}}],
        "vision_limits": [{"value": None}],
    }
    found = inferred("qwen3.6-35b-a3b-nvfp4", tables=tables)
    values, command = found.recipe["defaults"], found.recipe["command"]
    assert values["moe_backend"] == "flashinfer_cutlass"
    assert found.settings["defaults.moe_backend"].source == "the inventory"
    assert found.settings["defaults.tool_call_parser"].to_dict() == {
        "value": "mine",
        "source": "our test",
        "confidence": "low",
    }
    assert "--async-scheduling" in command
    assert "--load-format {load_format}" in command
    assert found.recipe["env"] == {"A_VARIABLE": "1", "VLLM_MARLIN_USE_ATOMIC_ADD": "1"}
    assert values["max_model_len"] == 65536
    assert "limit_mm_per_prompt" not in values


def test_a_flag_can_be_switched_off() -> None:
    tables = {"flags": [{"value": {"enable_prefix_caching": False, "attention_backend": None}}]}
    command = inferred("qwen3.6-35b-a3b-fp8", tables=tables).recipe["command"]
    assert "--enable-prefix-caching" not in command
    assert "--attention-backend" not in command


def test_rules_may_look_at_the_image() -> None:
    tables = {"flags": [{"when": {"image": "*:7.*"}, "value": {"new_flag": True}}]}
    assert "--new-flag" in inferred("qwen3-1.7b", tables=tables, image="x:7.1").recipe["command"]
    assert "--new-flag" not in inferred("qwen3-1.7b", tables=tables, image="x:6").recipe["command"]


def test_rules_may_look_at_the_number_of_nodes() -> None:
    tables = {"max_num_seqs": [{"when": {"nodes": 2}, "value": 99}]}
    assert inferred("minimax-m2.7-awq", tables=tables).recipe["defaults"]["max_num_seqs"] == 99
    assert inferred("qwen3-1.7b", tables=tables).recipe["defaults"]["max_num_seqs"] == 16


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ([], "expected a map of lists"),
        ({"parsers": []}, "'parsers' is no table of inference; there are kinds, images"),
        ({"tool_parsers": {}}, "table tool_parsers is a dict, expected a list"),
        ({"tool_parsers": ["x"]}, "table tool_parsers, rule 1: expected a map with `when`"),
        ({"tool_parsers": [{"when": {}}]}, "rule 1: expected a map with `when` and `value`"),
        ({"tool_parsers": [{"value": 1, "when": []}, {}]}, "rule 2: expected a map"),
        ({"tool_parsers": [{"value": 1, "when": "x"}]}, "`when` is a str, expected a map"),
        (
            {"tool_parsers": [{"value": "x", "when": {"modeltype": "y"}}]},
            "unknown in `when`: modeltype; there are architecture",
        ),
        ({"flags": [{"value": "x"}]}, "`value` is a str, expected a map"),
        ({"flags": [{"value": {"a b; c": True}}]}, "'a b; c' is no name for table flags"),
        ({"env": [{"value": {"A=B": 1}}]}, "'A=B' is no name for table env"),
        ({"images": [{"value": "x", "confidence": "sure"}]}, "confidence is one of high"),
    ],
)
def test_wrong_tables_are_named(tables: t.Any, says: str) -> None:
    with pytest.raises(TableError) as caught:
        inferred("qwen3-1.7b", tables=tables)
    assert says in str(caught.value)


def test_a_wrong_limit_is_named() -> None:
    with pytest.raises(InferenceError, match="table limits: context is 'much'"):
        inferred("qwen3-1.7b", tables={"limits": [{"value": {"context": "much"}}]})


def test_nothing_to_infer_from() -> None:
    with pytest.raises(InferenceError, match="no model is named"):
        infer(None, " ", spark())
    with pytest.raises(InferenceError, match="there is no node"):
        infer(config("qwen3-1.7b"), "org/x", [])
    with pytest.raises(InferenceError, match="no image"):
        inferred("qwen3-1.7b", tables={"images": [{"value": None}]})


def test_the_bundled_tables_are_valid_tables() -> None:
    Tables(TABLES)
    for name, rules in TABLES.items():
        for rule in rules:
            assert set(rule) == {"when", "value", "source", "confidence"}, name
            assert set(rule["when"]) <= FACTS, name


def test_rules_match_types_exactly() -> None:
    tables = Tables({"kinds": [{"when": {"moe": 1}, "value": "never"}]})
    assert tables.first("kinds", {"moe": True, "name": "x"}) is None
