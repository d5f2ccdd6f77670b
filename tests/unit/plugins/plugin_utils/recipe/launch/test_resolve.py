# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shlex
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    Recipe,
    RecipeError,
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import (
    Variables,
    resolve,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.runtime import Ports

Nodes = t.Callable[[int], list[Node]]
RecipeOf = t.Callable[..., Recipe]

TP = "vllm serve {model} -tp {tensor_parallel}"
RAY = "--distributed-executor-backend ray"


class Case(t.NamedTuple):
    """available: nodes at hand. expected: mode, runtime, ranks, the head's further words."""

    fields: dict[str, t.Any]
    overrides: dict[str, t.Any]
    available: int
    expected: tuple[str, str, int, str]


CASES = {
    "auto without tensor_parallel is solo": Case({}, {}, 2, ("solo", "vllm", 1, "")),
    "auto with one": Case(
        {"command": TP, "defaults": {"tensor_parallel": 1}}, {}, 2, ("solo", "vllm", 1, "-tp 1")
    ),
    "auto follows tensor_parallel, extra nodes stay free": Case(
        {"command": TP, "defaults": {"tensor_parallel": 2}},
        {},
        3,
        ("cluster", "vllm-ray", 2, f"-tp 2 {RAY}"),
    ),
    "an override decides": Case(
        {"command": TP, "defaults": {"tensor_parallel": 1}},
        {"tensor_parallel": "2"},
        2,
        ("cluster", "vllm-ray", 2, f"-tp 2 {RAY}"),
    ),
    "cluster without tensor_parallel takes all nodes": Case(
        {"command": TP, "cluster_only": True}, {}, 3, ("cluster", "vllm-ray", 3, f"-tp 3 {RAY}")
    ),
    "but not more than max_nodes": Case(
        {"command": TP, "cluster_only": True, "max_nodes": 2},
        {},
        3,
        ("cluster", "vllm-ray", 2, f"-tp 2 {RAY}"),
    ),
    "tensor_parallel is added where the command lacks it": Case(
        {"min_nodes": 2}, {}, 2, ("cluster", "vllm-ray", 2, f"--tensor-parallel-size 2 {RAY}")
    ),
    "pipeline_parallel multiplies": Case(
        {"command": TP, "defaults": {"pipeline_parallel": 2, "tensor_parallel": 2}},
        {},
        4,
        ("cluster", "vllm-ray", 4, f"-tp 2 --pipeline-parallel-size 2 {RAY}"),
    ),
    "ranks written into the command": Case(
        {"command": "vllm serve {model} -tp 2"}, {}, 2, ("cluster", "vllm-ray", 2, f"-tp 2 {RAY}")
    ),
    "ray in the command": Case(
        {"command": f"{TP} {RAY}", "min_nodes": 2},
        {},
        2,
        ("cluster", "vllm-ray", 2, f"-tp 2 {RAY}"),
    ),
    "ray in the command with an equals sign": Case(
        {"command": f"{TP} --distributed-executor-backend=ray", "min_nodes": 2},
        {},
        2,
        ("cluster", "vllm-ray", 2, "-tp 2 --distributed-executor-backend=ray"),
    ),
    "mp in defaults is native": Case(
        {"command": TP, "min_nodes": 2, "defaults": {"distributed_executor_backend": "mp"}},
        {},
        2,
        ("cluster", "vllm-distributed", 2, "-tp 2 --nnodes 2 --node-rank 0 "
         "--master-addr 198.51.100.1 --master-port 25000"),
    ),
    "runtime vllm-distributed is native": Case(
        {"command": TP, "min_nodes": 2, "runtime": "vllm-distributed"},
        {},
        2,
        ("cluster", "vllm-distributed", 2, "-tp 2 --nnodes 2 --node-rank 0 "
         "--master-addr 198.51.100.1 --master-port 25000"),
    ),
    "an override of the backend replaces the command's": Case(
        {"command": f"{TP} \\\n  {RAY} \\\n  --x", "min_nodes": 2},
        {"distributed_executor_backend": "mp"},
        2,
        ("cluster", "vllm-distributed", 2, "-tp 2 --x --nnodes 2 --node-rank 0 "
         "--master-addr 198.51.100.1 --master-port 25000"),
    ),
    "ray on one node is left out": Case(
        {"command": f"{TP} {RAY} --x", "defaults": {"tensor_parallel": 1}},
        {},
        1,
        ("solo", "vllm", 1, "-tp 1 --x"),
    ),
    "port and name are added where the command lacks them": Case(
        {"defaults": {"port": 9000, "served_model_name": "mine"}},
        {},
        1,
        ("solo", "vllm", 1, "--port 9000 --served-model-name mine"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_resolution(recipe_of: RecipeOf, nodes: Nodes, case: Case) -> None:
    resolved = resolve(recipe_of(**case.fields), case.overrides, nodes(case.available))
    words = resolved.ranks[0].argv
    assert words[:3] == ("vllm", "serve", "org/model")
    assert (
        resolved.mode,
        resolved.runtime,
        len(resolved.ranks),
        shlex.join(words[3:]),
    ) == case.expected


def test_ranks_go_to_the_nodes_in_order(recipe_of: RecipeOf, nodes: Nodes) -> None:
    resolved = resolve(recipe_of(command=TP, min_nodes=2), {}, nodes(2)[::-1])
    assert [(rank.rank, rank.role, rank.node.name) for rank in resolved.ranks] == [
        (0, "head", "spark2"),
        (1, "worker", "spark1"),
    ]


def test_native_workers_are_headless_and_know_their_rank(recipe_of: RecipeOf, nodes: Nodes) -> None:
    resolved = resolve(
        recipe_of(command=TP, min_nodes=2, runtime="vllm-distributed"),
        {},
        nodes(2),
        ports=Ports(master=25001),
    )
    assert shlex.join(resolved.ranks[1].argv[3:]) == (
        "-tp 2 --nnodes 2 --node-rank 1 --master-addr 198.51.100.1 --master-port 25001 --headless"
    )


def test_a_ray_worker_runs_no_server(recipe_of: RecipeOf, nodes: Nodes) -> None:
    worker = resolve(recipe_of(command=TP, min_nodes=2), {}, nodes(2)).ranks[1]
    assert (worker.text, worker.argv) == ("", ())


def test_the_server_replaces_the_shell_after_other_statements(
    recipe_of: RecipeOf, nodes: Nodes
) -> None:
    recipe = recipe_of(command="export A=1\nB=2 vllm serve {model}  # the server")
    text = resolve(recipe, {}, nodes(1)).ranks[0].text
    assert text == "export A=1\nB=2 exec vllm serve org/model"


def seen(resolved: ResolvedRecipe) -> tuple[int, str]:
    return resolved.port, resolved.served_model_name


def test_port_and_served_name_are_those_the_server_will_use(
    recipe_of: RecipeOf, nodes: Nodes
) -> None:
    command = "vllm serve {model} --port {p} --served-model-name a b"
    assert seen(resolve(recipe_of(command=command, defaults={"p": 81}), {}, nodes(1))) == (81, "a")
    assert seen(resolve(recipe_of(), {}, nodes(1))) == (8000, "org/model")


class Refusal(t.NamedTuple):
    fields: dict[str, t.Any]
    available: int
    expected: str
    overrides: dict[str, t.Any] = {}


REFUSALS = {
    "too few nodes": Refusal(
        {"command": TP, "defaults": {"tensor_parallel": 4}},
        2,
        "needs 4 nodes (tensor_parallel 4 x pipeline_parallel 1), has 2: spark1, spark2",
    ),
    "a cluster on one node": Refusal({"command": TP, "min_nodes": 2}, 1, "needs 2 nodes"),
    "no nodes": Refusal({}, 0, "no node to launch on"),
    "tp 3 where the recipe allows two": Refusal(
        {"command": TP, "max_nodes": 2}, 3, "allows at most 2", {"tensor_parallel": 3}
    ),
    "runtime against command": Refusal(
        {"command": f"{TP} {RAY}", "min_nodes": 2, "runtime": "vllm-distributed"},
        2,
        "the command says ray",
    ),
    "runtime against override": Refusal(
        {"command": TP, "min_nodes": 2, "runtime": "vllm-ray"},
        2,
        "the override says mp",
        {"distributed_executor_backend": "mp"},
    ),
    "a backend for one node only": Refusal(
        {"command": TP, "min_nodes": 2, "defaults": {"distributed_executor_backend": "uni"}},
        2,
        "uni does not run over several nodes",
    ),
    "a server on the loopback": Refusal(
        {"command": "vllm serve {model} --host {host}", "defaults": {"host": "127.0.0.1"}},
        1,
        "with --host 127.0.0.1 the server answers on its own node only",
    ),
    "a server at the fabric only": Refusal(
        {"command": "vllm serve {model} --host=198.51.100.1"},
        1,
        "the server does not answer at 192.0.2.1, the address of the head spark1",
    ),
    "a server at a worker": Refusal(
        {"command": f"{TP} --host 192.0.2.2", "min_nodes": 2}, 2, "[unsupported-host]"
    ),
    "a host that an override gives": Refusal(
        {"command": "vllm serve {model} --host {host}", "defaults": {"host": "0.0.0.0"}},
        1,
        "[unsupported-host]",
        {"host": "localhost"},
    ),
    "a port that is none, where the command names none": Refusal(
        {}, 1, "'99999' is not a port. Use 1 to 65535 [port-invalid]", {"port": "99999"}
    ),
    "several reasons at once": Refusal(
        {"container": None, "model": None, "runtime": "trtllm"}, 1, "[missing-container]"
    ),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_refusals_say_what_is_needed_and_what_is_there(
    recipe_of: RecipeOf, nodes: Nodes, case: Refusal
) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve(recipe_of(**case.fields), case.overrides, nodes(case.available))
    assert case.expected in str(caught.value)
    assert "sample" in str(caught.value)


def test_every_reason_is_in_one_refusal(recipe_of: RecipeOf, nodes: Nodes) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve(recipe_of(container=None, model=None, runtime="trtllm"), {}, nodes(1))
    assert [issue.code for issue in caught.value.issues] == [
        "missing-model",
        "missing-container",
        "unsupported-runtime",
    ]


def test_warnings_are_kept(recipe_of: RecipeOf, nodes: Nodes) -> None:
    recipe = recipe_of(command=f"{TP} {RAY}", defaults={"tensor_parallel": 1})
    resolved = resolve(recipe, {}, nodes(1))
    assert [issue.code for issue in resolved.warnings] == ["backend-removed"]


@pytest.mark.parametrize(
    ("value", "allow", "environ", "expected"),
    [
        ("${X}", [], {"X": "1"}, "dgxspark_env_allow: [X]"),
        ("$X", [], {"X": "1"}, "dgxspark_env_allow: [X]"),
        ("a ${X}", ["X"], {"X": "1"}, "[env-partial]"),
        ("${X}", ["X"], {}, "export X="),
    ],
)
def test_the_controllers_variables_are_not_given_away(
    recipe_of: RecipeOf,
    nodes: Nodes,
    value: str,
    allow: list[str],
    environ: dict[str, str],
    expected: str,
) -> None:
    for where, env in ({"env": {"A": value}}, {}), ({}, {"A": value}):
        with pytest.raises(RecipeError) as caught:
            resolve(recipe_of(**where), {}, nodes(1), Variables(env or {}, allow, environ))
        assert expected in str(caught.value)
        assert ("dgxspark_env.A" if env else "env.A (line 6)") in str(caught.value)


def test_a_password_with_a_dollar_sign_is_refused_unseen(recipe_of: RecipeOf, nodes: Nodes) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve(recipe_of(), {}, nodes(1), Variables({"DB_PASSWORD": "hush$hush"}))
    assert "dgxspark_env.DB_PASSWORD" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_an_allowed_variable_is_carried_by_name_not_by_value(
    recipe_of: RecipeOf, nodes: Nodes
) -> None:
    recipe = recipe_of(env={"HF_TOKEN": "${MY_TOKEN}", "N": 1, "B": True, "COST": "5$"})
    resolved = resolve(recipe, {}, nodes(1), Variables({}, ["MY_TOKEN"], {"MY_TOKEN": "hush"}))
    assert resolved.secret_env == {"HF_TOKEN": "MY_TOKEN"}
    assert resolved.inventory_env == {}
    assert resolved.env == {"N": "1", "B": "true", "COST": "5$"}
    assert "hush" not in repr(resolved)


def test_the_inventorys_env_may_refer_to_the_controller_and_the_recipes_wins(
    recipe_of: RecipeOf, nodes: Nodes
) -> None:
    recipe = recipe_of(env={"A": "plain", "B": "${MINE}"})
    inventory = {"A": "${MINE}", "B": "x", "HF_TOKEN": "${MINE}", "N": 1}
    resolved = resolve(recipe, {}, nodes(1), Variables(inventory, ["MINE"], {"MINE": "hush"}))
    assert resolved.secret_env == {"B": "MINE", "HF_TOKEN": "MINE"}
    assert resolved.env == {"A": "plain"}
    assert resolved.inventory_env == {"B": "x", "N": "1"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_server_may_listen_everywhere_or_at_the_heads_address(
    recipe_of: RecipeOf, nodes: Nodes, host: str
) -> None:
    recipe = recipe_of(command=f"{TP} --host {host}", min_nodes=2)
    assert host in resolve(recipe, {}, nodes(2)).ranks[0].argv


@pytest.mark.parametrize(
    ("fields", "overrides", "flags", "revisions"),
    [
        ({}, {}, ("--revision", "v2"), {"org/model": "v2"}),
        ({"runtime": "vllm-distributed", "min_nodes": 2}, {}, ("--revision", "v2"), {}),
        ({}, {"model_revision": "v3"}, ("--revision", "v3"), {"org/model": "v3"}),
        ({}, {"model": "org/other"}, (), {}),
        ({"command": "vllm serve {model} --revision v1"}, {}, ("--revision", "v1"), {}),
        ({"command": "vllm serve org/other"}, {}, (), {}),
        ({"model": "/models/m"}, {}, (), {}),
        (
            {
                "runtime": "sglang",
                "command": "python3 -m sglang.launch_server --model-path {model} "
                "--speculative-draft-model-path org/draft --speculative-draft-model-revision d1",
            },
            {},
            ("--revision", "v2"),
            {"org/model": "v2", "org/draft": "d1"},
        ),
        (
            {
                "command": "vllm serve {model} --speculative-config "
                '\'{"model": "org/draft", "revision": "d1"}\''
            },
            {},
            ("--revision", "v2"),
            {"org/model": "v2", "org/draft": "d1"},
        ),
    ],
)
def test_the_model_is_pinned_on_every_rank_and_on_the_nodes(
    recipe_of: t.Callable[..., Recipe],
    nodes: t.Callable[[int], list[Node]],
    fields: dict[str, t.Any],
    overrides: dict[str, t.Any],
    flags: tuple[str, ...],
    revisions: dict[str, str],
) -> None:
    resolved = resolve(recipe_of(model_revision="v2", **fields), overrides, nodes(2))
    for rank in resolved.ranks:
        found = rank.argv.index("--revision") if "--revision" in rank.argv else len(rank.argv)
        assert rank.argv[found : found + 2] == flags
    assert not revisions or resolved.revisions == revisions


def test_a_server_without_revisions_is_said_to_ignore_one(
    recipe_of: t.Callable[..., Recipe],
) -> None:
    recipe = recipe_of(
        model="org/model-GGUF:Q4_K_M",
        runtime="llama-cpp",
        command="llama-server -hf {model}",
        model_revision="v2",
    )
    assert [(issue.code, issue.field) for issue in validate(recipe)] == [
        ("ignored-field", "model_revision")
    ]


@pytest.mark.parametrize(
    "default", [{"method": "mtp", "n": {"a": 1}}, '{"method":"mtp","n":{"a":1}}']
)
def test_a_part_of_a_map_is_overridden_by_its_path(
    recipe_of: t.Callable[..., Recipe], nodes: t.Callable[[int], list[Node]], default: t.Any
) -> None:
    recipe = recipe_of(
        command="vllm serve {model} --speculative-config '{speculative_config}'",
        defaults={"speculative_config": default},
    )
    overrides = {"speculative_config.n.a": "2", "speculative_config.model": "org/draft"}
    resolved = resolve(recipe, overrides, nodes(1), inventory={"speculative_config.n.b": True})
    assert resolved.ranks[0].argv[-1] == (
        '{"method":"mtp","n":{"a":2,"b":true},"model":"org/draft"}'
    )
    assert resolved.overrides == overrides
    assert recipe.defaults["speculative_config"] == default


def test_a_part_of_what_is_no_map_has_no_effect(recipe_of: t.Callable[..., Recipe]) -> None:
    recipe = recipe_of(
        command="vllm serve {model} --max-num-seqs {max_num_seqs}", defaults={"max_num_seqs": 1}
    )
    issues = validate(recipe, {"max_num_seqs.a": "2"})
    assert [issue.code for issue in issues] == ["override-without-effect"]


def test_an_override_sets_a_variable_above_the_recipes_own(
    recipe_of: t.Callable[..., Recipe], nodes: t.Callable[[int], list[Node]]
) -> None:
    condition = {"when": {"nodes": 1}, "env": {"A": "3"}}
    recipe = recipe_of(env={"A": "1", "B": "1"}, overrides=[condition])
    overrides = {"env.A": "2", "env.HF_TOKEN": "${HF_TOKEN}"}
    variables = Variables(allow=["HF_TOKEN"], environ={"HF_TOKEN": "x"})
    resolved = resolve(recipe, overrides, nodes(1), variables)
    assert resolved.env == {"A": "2", "B": "1"}
    assert resolved.secret_env == {"HF_TOKEN": "HF_TOKEN"}
    assert resolved.overrides == overrides
    codes = [issue.code for issue in validate(recipe, {"env.HF_TOKEN": "hf_" + "a" * 20})]
    assert "secret-in-override" in codes
