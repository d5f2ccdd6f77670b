# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing what the nodes have said."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.parity import (
    check_id,
    compare,
    values_of,
)


def test_what_a_node_tells_is_in_all_its_results_loops_included() -> None:
    variables: dict[str, Any] = {
        "dgxspark_result_kernel": {"parity": {"kernel": "6.17"}},
        "dgxspark_result_ptxas": {
            "results": [{"parity": {"triton in /a": "3.5"}}, {"parity": {"triton in /b": "3.9"}}]
        },
        "dgxspark_result_skipped": {"skipped": True},
        "dgxspark_result_crashed": {"failed": True, "msg": "no"},
        "dgxspark_result_odd": "text",
        "something_else": {"parity": {"kernel": "no"}},
    }
    assert values_of(variables) == {"kernel": "6.17", "triton in /a": "3.5", "triton in /b": "3.9"}


@pytest.mark.parametrize(
    ("kernels", "statuses"),
    [
        (["a", "a", "b"], ["ok", "ok", "blocked"]),
        (["b", "a", "a"], ["blocked", "ok", "ok"]),
        (["a", "b"], ["ok", "blocked"]),
        (["a", "b", "b", "a"], ["ok", "blocked", "blocked", "ok"]),
        (["a"], [None]),
        (["a", None, "a"], ["ok", None, "ok"]),
        (["a", None], [None, None]),
    ],
)
def test_the_nodes_that_deviate_are_told_of(
    kernels: list[str | None], statuses: list[str | None]
) -> None:
    nodes = {
        f"spark{number}": {} if kernel is None else {"kernel": kernel}
        for number, kernel in enumerate(kernels, start=1)
    }
    found = [compare(nodes, node) for node in nodes]
    assert [one[0].status if one else None for one in found] == statuses


def test_what_only_one_node_tells_is_not_compared() -> None:
    nodes = {"spark1": {"cuda": "13.0", "image x": "1"}, "spark2": {"cuda": "13.0"}}
    found = {one.check: one.status for one in compare(nodes, "spark1")}
    assert found == {"same_cuda": "ok", "same_image_x": "skipped"}


def test_a_deviation_says_what_is_usual_and_where() -> None:
    nodes = {"spark1": {"cuda": "13.0"}, "spark2": {"cuda": "12.9"}, "spark3": {"cuda": "13.0"}}
    (finding,) = compare(nodes, "spark2")
    assert finding.check == "same_cuda"
    assert finding.expected == "cuda 13.0, as on spark1, spark3"
    assert finding.actual == "12.9"
    assert finding.hint


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("kernel", "same_kernel"),
        ("triton in /opt/ai-tools/vllm-env", "same_triton_in_opt_ai_tools_vllm_env"),
        ("image vllm/vllm-openai:v0.11", "same_image_vllm_vllm_openai_v0_11"),
    ],
)
def test_ids_are_snake_case(name: str, check: str) -> None:
    assert check_id(name) == check


@pytest.mark.parametrize(
    "parity", ["text", ["kernel"], {"kernel": ["6.17"]}, {"kernel": None}, {"kernel": "6" * 5000}]
)
def test_a_node_that_answers_something_else_does_not_stop_the_comparison(parity: object) -> None:
    answers = {"bad": parity, "spark1": {"kernel": "6.17"}, "spark2": {"kernel": "6.17"}}
    nodes = {
        node: values_of({"dgxspark_result_kernel": {"parity": answer}})
        for node, answer in answers.items()
    }
    statuses = {node: [one.status for one in compare(nodes, node)] for node in nodes}
    assert (statuses.pop("bad") or ["blocked"]) == ["blocked"]
    assert statuses == {"spark1": ["ok"], "spark2": ["ok"]}


def test_names_with_one_id_are_one_value() -> None:
    nodes = {
        node: values_of({"dgxspark_result_x": {"parity": {"a b": "1", "a_b": "2", "c": "3"}}})
        for node in ("spark1", "spark2")
    }
    assert [one.check for one in compare(nodes, "spark1")] == ["same_a_b", "same_c"]


def test_machine_ids_must_differ() -> None:
    nodes = {name: {"machine_id": digest} for name, digest in zip("abcd", ("1", "2", "1", "3"))}
    found = [compare(nodes, node)[0] for node in nodes]
    assert {finding.check for finding in found} == {"unique_machine_id"}
    assert [finding.status for finding in found] == ["blocked", "ok", "blocked", "ok"]
    assert (found[0].actual, found[2].actual) == ("the same as on c", "the same as on a")
    assert compare({"a": {"machine_id": "1"}, "b": {"os": "x"}}, "a")[0].status == "ok"
