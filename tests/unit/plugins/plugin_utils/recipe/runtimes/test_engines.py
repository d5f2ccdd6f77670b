# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Recipe,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    Settings,
    build_plan,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import Ports

Make = t.Callable[..., Recipe]
Nodes = t.Callable[[int], list[Node]]

SGLANG = "python3 -m sglang.launch_server --model-path {model}"
LLAMA = "llama-server -hf {model}:Q4_K_M"


@pytest.mark.parametrize(
    ("command", "runtime"),
    [
        (SGLANG, "sglang"),
        ("export A=1\nsglang serve --model-path {model}", "sglang"),
        ("/opt/bin/llama-server -hf {model}:Q4_K_M", "llama-cpp"),
        ("vllm serve {model}", "vllm"),
        ("python3 -u -m vllm.entrypoints.openai.api_server --model {model}", "vllm"),
        ("python3 -u -m sglang.launch_server --model-path {model}", "sglang"),
    ],
)
def test_without_a_runtime_the_command_decides(
    recipe_of: Make, nodes: Nodes, command: str, runtime: str
) -> None:
    recipe = recipe_of(runtime=None, command=command)
    assert resolve(recipe, {}, nodes(1)).runtime == runtime
    assert [issue.fix for issue in validate(recipe)] == [f"Add runtime: {runtime}"]


def test_sglang_on_one_node_gets_the_values_its_command_lacks(
    recipe_of: Make, nodes: Nodes
) -> None:
    recipe = recipe_of(runtime="sglang", command=SGLANG, defaults={"served_model_name": "m"})
    resolved = resolve(recipe, {"port": 9000}, nodes(1))
    assert (resolved.port, resolved.served_model_name) == (9000, "m")
    assert resolved.ranks[0].argv[5:] == (
        *("--port", "9000"),
        *("--served-model-name", "m"),
        *("--host", "0.0.0.0"),
    )


def test_sglang_over_two_nodes_differs_per_rank_in_the_node_rank_alone(
    recipe_of: Make, nodes: Nodes
) -> None:
    recipe = recipe_of(runtime="sglang", command=SGLANG, defaults={"tensor_parallel": 2})
    resolved = resolve(recipe, {}, nodes(2), ports=Ports(master=25001))
    assert (resolved.mode, resolved.runtime, resolved.port) == ("cluster", "sglang", 30000)
    for index, rank in enumerate(resolved.ranks):
        assert rank.argv[5:] == (
            *("--tensor-parallel-size", "2"),
            *("--host", "0.0.0.0"),
            *("--nnodes", "2"),
            *("--node-rank", str(index)),
            *("--dist-init-addr", "198.51.100.1:25001"),
        )


def test_llama_cpp_keeps_the_quantisation_in_the_model_and_its_own_names(
    recipe_of: Make, nodes: Nodes
) -> None:
    recipe = recipe_of(
        runtime="llama-cpp",
        model="org/m-GGUF:Q4_K_M",
        command="llama-server -hf {model} -a short --port 8081",
    )
    resolved = resolve(recipe, {}, nodes(1))
    assert (resolved.model, resolved.served_model_name, resolved.port) == (
        "org/m-GGUF:Q4_K_M",
        "short",
        8081,
    )
    assert resolved.ranks[0].argv[:3] == ("llama-server", "-hf", "org/m-GGUF:Q4_K_M")


def test_llama_cpp_over_nodes_has_rpc_servers_on_the_workers_and_their_addresses_on_the_head(
    recipe_of: Make, nodes: Nodes
) -> None:
    recipe = recipe_of(runtime="llama-cpp", command=LLAMA, min_nodes=3)
    resolved = resolve(recipe, {}, nodes(3), ports=Ports(rpc=50060))
    head, *workers = resolved.ranks
    assert (resolved.mode, resolved.tensor_parallel, resolved.pipeline_parallel) == (
        "cluster",
        1,
        3,
    )
    assert resolved.rpc_port == 50060
    assert head.argv[3:] == (
        *("--split-mode", "layer"),
        *("--host", "0.0.0.0"),
        *("--rpc", "198.51.100.2:50060,198.51.100.3:50060"),
    )
    # Only on the link between the nodes: the port gives whoever reaches it the node's memory.
    assert [rank.argv for rank in workers] == [
        ("--host", f"198.51.100.{index}", "--port", "50060") for index in (2, 3)
    ]
    assert workers[0].text.startswith("set -- --host 198.51.100.2 --port 50060\n")


@pytest.mark.parametrize("name", ["ggml-rpc-server", "rpc-server", ""])
def test_the_rpc_server_is_found_by_either_of_its_names(
    recipe_of: Make, nodes: Nodes, tmp_path: pathlib.Path, name: str
) -> None:
    recipe = recipe_of(runtime="llama-cpp", command=LLAMA, min_nodes=2)
    worker = resolve(recipe, {}, nodes(2)).ranks[1]
    if name:
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"; exit 7\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", "-c", worker.text],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if name:
        assert done.stdout == f"{name} --host 198.51.100.2 --port 50052\n"
        assert done.returncode == 7
    else:
        assert done.returncode == 1
        assert "built with GGML_RPC" in done.stderr


def test_llama_cpp_splits_by_rows_where_tensor_parallel_is_asked_for(
    recipe_of: Make, nodes: Nodes
) -> None:
    recipe = recipe_of(runtime="llama-cpp", command=LLAMA, defaults={"tensor_parallel": 2})
    argv = resolve(recipe, {}, nodes(2)).ranks[0].argv
    assert argv[argv.index("--split-mode") + 1] == "row"
    both = recipe_of(
        runtime="llama-cpp",
        command=LLAMA,
        defaults={"tensor_parallel": 2, "pipeline_parallel": 2},
    )
    assert [issue.code for issue in validate(both)] == ["parallel-invalid"]


@pytest.mark.parametrize(
    ("runtime", "command", "code"),
    [
        ("sglang", f"{SGLANG} --node-rank 1", "rank-flag"),
        ("sglang", f"{SGLANG} --api-key k", "secret-in-command"),
        ("llama-cpp", f"{LLAMA} --rpc 192.0.2.2:50052", "rank-flag"),
        ("llama-cpp", f"{LLAMA} --hf-token k", "secret-in-command"),
        ("llama-cpp", f"{LLAMA} --api-prefix /a", "unsupported-flag"),
        ("sglang", "vllm serve {model}", "command-shape"),
        ("llama-cpp", f"{LLAMA} --port 70000", "port-invalid"),
    ],
)
def test_a_flag_that_the_launch_cannot_honour_is_an_error(
    recipe_of: Make, runtime: str, command: str, code: str
) -> None:
    found = validate(recipe_of(runtime=runtime, command=command))
    assert [(issue.code, issue.severity) for issue in found] == [(code, "error")]


@pytest.mark.parametrize(("runtime", "command"), [("sglang", SGLANG), ("llama-cpp", LLAMA)])
def test_a_server_that_only_listens_on_the_node_itself_is_refused(
    recipe_of: Make, nodes: Nodes, runtime: str, command: str
) -> None:
    recipe = recipe_of(runtime=runtime, command=command, defaults={"host": "127.0.0.1"})
    with pytest.raises(RecipeError, match="unsupported-host"):
        resolve(recipe, {}, nodes(1))


@pytest.mark.parametrize(("runtime", "command"), [("sglang", SGLANG), ("llama-cpp", LLAMA)])
def test_another_runtime_is_planned_like_any_other(
    recipe_of: Make, nodes: Nodes, runtime: str, command: str
) -> None:
    resolved = resolve(recipe_of(runtime=runtime, command=command), {}, nodes(1))
    plan = build_plan(resolved, Settings())
    (rank,) = plan["ranks"]
    assert rank["argv"] == ["-c", resolved.ranks[0].text]
    assert plan["ports"] == {"server": resolved.port}


@pytest.mark.parametrize(("runtime", "command"), [("sglang", SGLANG), ("llama-cpp", LLAMA)])
@pytest.mark.parametrize(
    "value",
    [
        "a b",
        "$(id)",
        "`id`",
        "a;id",
        "a|id",
        "a&",
        "'",
        '"',
        "$HOME",
        ">f",
        "\\",
        "\n",
        "*",
        "{ }",
        "#",
    ],
)
def test_an_override_arrives_as_the_one_word_that_was_typed(
    recipe_of: Make, nodes: Nodes, runtime: str, command: str, value: str
) -> None:
    recipe = recipe_of(runtime=runtime, command=f"{command} --x {{x}} --end", defaults={"x": "a"})
    words = resolve(recipe, {"x": value}, nodes(1)).ranks[0].argv
    assert words[words.index("--x") + 1 : words.index("--end")] == (value,)


@pytest.mark.parametrize(("share", "codes"), [(108, ["utilization-over-one"]), (1, []), (0.8, [])])
def test_a_memory_share_over_one_is_an_error_before_the_engine_says_so(
    recipe_of: Make, share: float, codes: list[str]
) -> None:
    recipe = recipe_of(
        command="vllm serve {model} --gpu-memory-utilization {gpu_memory_utilization}",
        defaults={"gpu_memory_utilization": share},
    )
    assert [issue.code for issue in validate(recipe)] == codes
