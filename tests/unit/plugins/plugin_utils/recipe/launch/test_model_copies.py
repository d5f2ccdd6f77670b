# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source of a model: model_sync and a launch choose by one rule, shown with the same inputs."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.filter.model_source import model_source
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.model_copies import (
    Choice,
    choose_source,
    model_steps,
)

NODES = ["s1", "s2", "s3"]
A, B, PART, NONE = ("a" * 40, True), ("b" * 40, True), ("a" * 40, False), ("", False)

Copy = tuple[str, bool]


def by_sync(copies: list[Copy]) -> dict[str, Any]:
    """What model_info returns, and the choice of model_sync."""
    disks = {
        node: {
            "models": [
                {
                    "revision": revision,
                    "complete": complete,
                    "downloading": False,
                    "quants": [],
                    "size": 5,
                }
            ]
            if revision
            else []
        }
        for node, (revision, complete) in zip(NODES, copies, strict=True)
    }
    return model_source(disks, NODES)


def by_launch(copies: list[Copy]) -> dict[str, Any]:
    """What workload_info returns, and the steps of a launch on all nodes."""
    observed = {
        node: {
            "models": [
                {
                    "quant": "",
                    "kind": "hub",
                    "complete": complete,
                    "problem": "" if complete else "it is not there",
                    "downloading": False,
                    "revision": revision,
                    "size": 5,
                }
            ]
        }
        for node, (revision, complete) in zip(NODES, copies, strict=True)
    }
    wanted = {"name": "org/one", "quant": "", "revision": ""}
    return model_steps({"nodes": NODES, "models": [wanted]}, observed)


@pytest.mark.parametrize(
    ("copies", "source", "receive"),
    [
        ([A, NONE, NONE], "s1", ["s2", "s3"]),
        ([NONE, A, NONE], "s2", ["s1", "s3"]),
        ([PART, A, A], "s2", ["s1"]),
        ([A, PART, A], "s1", ["s2"]),
    ],
)
def test_the_first_complete_copy_is_the_source(
    copies: list[Copy], source: str, receive: list[str]
) -> None:
    assert by_sync(copies) == {"source": source, "refusals": []}
    (copy,) = by_launch(copies)["copies"]
    assert (copy["source"], copy["receive"]) == (source, receive)


@pytest.mark.parametrize("copies", [[A, B, NONE], [B, NONE, A], [PART, A, B]])
def test_different_complete_copies_are_refused_with_nodes_and_revisions(
    copies: list[Copy],
) -> None:
    text = ", ".join(
        f"{node} has {revision}"
        for node, (revision, complete) in zip(NODES, copies, strict=True)
        if complete
    )
    synced, launched = by_sync(copies), by_launch(copies)
    assert (synced["source"], launched["copies"]) == ("", [])
    for refusals in (synced["refusals"], launched["refusals"]):
        assert len(refusals) == 1
        assert text in str(refusals[0])


def test_no_complete_copy_is_refused() -> None:
    for copies in ([NONE, NONE, NONE], [PART, NONE, NONE]):
        assert len(by_sync(copies)["refusals"]) == 1
        assert len(by_launch(copies)["refusals"]) == 1


def test_what_a_person_names_is_the_source_if_it_is_complete() -> None:
    assert choose_source({"s1": "a", "s2": "b"}, "s2") == Choice("s2")
    assert choose_source({"s1": "a"}, "s2").source == ""
    assert "s1" in choose_source({"s1": "a"}, "s2").refusal
