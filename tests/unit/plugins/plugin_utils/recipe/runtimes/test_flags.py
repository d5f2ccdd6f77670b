# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes without a command."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Recipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve

Make = t.Callable[..., Recipe]
Nodes = t.Callable[[int], list[Node]]


class Case(t.NamedTuple):
    """fields: of the recipe. expected: the words after the server's name and its model."""

    fields: dict[str, t.Any]
    expected: tuple[str, ...]
    overrides: dict[str, t.Any] = {}


CASES = {
    "vllm, with the platform's share": Case({}, ("--gpu-memory-utilization", "0.8")),
    "values, switches, JSON, several words": Case(
        {
            "defaults": {
                "gpu_memory_utilization": 0.5,
                "max-model-len": 4096,
                "enforce_eager": True,
                "enable_lora": False,
                "enable_prefix_caching": False,
                "speculative_config": {"method": "mtp", "n": 2},
                "hf_overrides": '{"a": {}}',
                "lora_modules": "a=b c=d",
                "seed": None,
                "dtype": "",
            },
            "model_revision": "abc",
        },
        (
            *("--gpu-memory-utilization", "0.5"),
            *("--revision", "abc"),
            *("--max-model-len", "4096"),
            "--enforce-eager",
            "--no-enable-prefix-caching",
            *("--speculative-config", '{"method":"mtp","n":2}'),
            *("--hf-overrides", '{"a": {}}'),
            *("--lora-modules", "a=b", "c=d"),
        ),
    ),
    "an override of one, and one that is new": Case(
        {"defaults": {"max_model_len": 1}},
        (
            *("--gpu-memory-utilization", "0.8"),
            *("--max-model-len", "2"),
            "--enforce-eager",
            *("--chat-template", "a; b"),
        ),
        {"max_model_len": "2", "enforce_eager": "true", "chat_template": "a; b"},
    ),
    "sglang": Case(
        {"runtime": "sglang", "defaults": {"max_model_len": 1, "tensor_parallel": 1}},
        (
            *("--mem-fraction-static", "0.8"),
            *("--context-length", "1"),
            *("--tensor-parallel-size", "1"),
            *("--host", "0.0.0.0"),
        ),
    ),
    "llama.cpp": Case(
        {
            "runtime": "llama-cpp",
            "model": "org/m-GGUF:Q4_K_M",
            "defaults": {"ctx_size": 1, "flash_attn": True, "n_gpu_layers": 99, "jinja": True},
        },
        (
            *("--ctx-size", "1"),
            *("--flash-attn", "on"),
            *("--n-gpu-layers", "99"),
            "--jinja",
            *("--host", "0.0.0.0"),
        ),
    ),
}
STARTS = {
    "vllm": ("vllm", "serve", "org/model"),
    "sglang": ("python3", "-m", "sglang.launch_server", "--model-path", "org/model"),
    "llama-cpp": ("llama-server", "-hf", "org/m-GGUF:Q4_K_M"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_values_make_the_command(recipe_of: Make, nodes: Nodes, case: Case) -> None:
    recipe = recipe_of(command=None, **case.fields)
    assert validate(recipe, case.overrides) == []
    argv = resolve(recipe, case.overrides, nodes(1)).ranks[0].argv
    start = STARTS[recipe.runtime]
    assert argv[: len(start)] == start
    assert argv[len(start) :] == case.expected


def test_a_gguf_file_on_the_nodes_is_named_by_its_path(recipe_of: Make, nodes: Nodes) -> None:
    recipe = recipe_of(command=None, runtime="llama-cpp", model="/models/m.gguf")
    assert resolve(recipe, {}, nodes(1)).ranks[0].argv[1:3] == ("-m", "/models/m.gguf")


def test_over_nodes_such_a_recipe_gets_what_the_launch_adds(recipe_of: Make, nodes: Nodes) -> None:
    recipe = recipe_of(command=None, defaults={"tensor_parallel": 2})
    argv = resolve(recipe, {}, nodes(2)).ranks[0].argv
    assert argv[-4:] == ("--tensor-parallel-size", "2", "--distributed-executor-backend", "ray")


def test_a_value_without_a_flag_is_reported_with_the_nearest(recipe_of: Make) -> None:
    (issue,) = validate(recipe_of(command=None, defaults={"max_model_length": 1}))
    assert (issue.code, issue.field) == ("unused-default", "defaults.max_model_length")
    assert "max_model_len" in issue.fix


def test_an_override_without_a_flag_is_an_error(recipe_of: Make) -> None:
    (issue,) = validate(recipe_of(command=None), {"max_model_length": 1})
    assert (issue.code, issue.severity) == ("override-without-effect", "error")
