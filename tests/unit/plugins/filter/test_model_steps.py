# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From which node to which a launch copies its models, and when it refuses."""

from __future__ import annotations

from typing import Any

from ansible_collections.dgxspark.suite.plugins.filter.model_steps import model_steps

ONE = {"name": "org/one", "quant": "", "revision": ""}
HAS: dict[str, Any] = {
    "quant": "",
    "kind": "hub",
    "complete": True,
    "problem": "",
    "downloading": False,
    "revision": "a" * 40,
    "size": 12,
}
LACKS = {**HAS, "complete": False, "problem": "it is not there", "revision": "", "size": 0}


def steps(wanted: dict[str, str] | None = None, **nodes: dict[str, Any]) -> dict[str, Any]:
    plan = {"nodes": ["spark1", "spark2"], "models": [wanted or ONE], "recipe_path": "/r/a.yaml"}
    return model_steps(plan, {node: {"models": [seen]} for node, seen in nodes.items()})


def test_nothing_is_done_where_all_have_the_same() -> None:
    assert steps(spark1=HAS, spark2=HAS) == {"copies": [], "refusals": [], "ready": True}


def test_nodes_that_lack_a_model_copy_it_from_one_that_has_it() -> None:
    (copy,) = steps(spark1=LACKS, spark2=HAS)["copies"]
    assert copy == {**ONE, "source": "spark2", "receive": ["spark1"]}


def test_different_copies_are_not_overwritten_and_an_incomplete_one_has_no_say() -> None:
    other = {**HAS, "revision": "b" * 40}
    wanted = {"name": "org/one", "quant": "Q8_0", "revision": ""}
    different = steps(wanted, spark1=HAS, spark2=other)
    assert (different["copies"], different["ready"]) == ([], False)
    (refusal,) = different["refusals"]
    assert f"spark1 has {'a' * 40}, spark2 has {'b' * 40}" in refusal["why"]
    assert refusal["next"] == ["models"]
    half = {**other, "complete": False, "problem": "1 of 2 shards are missing"}
    assert steps(spark1=half, spark2=HAS)["copies"][0]["source"] == "spark2"


def test_a_node_beside_the_plan_may_have_it() -> None:
    (copy,) = steps(spark1=LACKS, spark2=LACKS, spark3=HAS)["copies"]
    assert (copy["source"], copy["receive"]) == ("spark3", ["spark1", "spark2"])
    # It has no say in which copy is right.
    assert steps(spark1=HAS, spark2=HAS, spark3={**HAS, "revision": "b" * 40})["ready"]
    # And need not have it.
    assert steps(spark1=HAS, spark2=HAS, spark3=LACKS)["ready"]


def test_the_quantisation_is_copied_under_the_name_of_its_files() -> None:
    wanted = {"name": "org/one", "quant": "q8_0", "revision": ""}
    (copy,) = steps(wanted, spark1={**HAS, "quant": "Q8_0"}, spark2={**LACKS, "quant": "q8_0"})[
        "copies"
    ]
    assert copy["quant"] == "Q8_0"


def test_a_missing_model_is_refused_with_the_command_that_downloads_it() -> None:
    wanted = {"name": "org/one", "quant": "Q8_0", "revision": "v2"}
    found = steps(wanted, spark1=LACKS, spark2={**LACKS, "problem": "parts of Q8_0 are missing"})
    assert (found["copies"], found["ready"]) == ([], False)
    assert found["refusals"] == [
        {
            "why": "org/one:Q8_0 is not complete on any node. spark1: it is not there; spark2: "
            "parts of Q8_0 are missing",
            "next": [
                *["model_download", "-e", "model=org/one", "-e", "quant=Q8_0"],
                *["-e", "revision=v2"],
            ],
        }
    ]


def test_a_model_that_is_being_downloaded_is_not_copied() -> None:
    found = steps(spark1=HAS, spark2={**LACKS, "downloading": True})
    assert found["refusals"] == [
        {
            "why": "org/one is being downloaded on spark2; launch it when that is done",
            "next": ["models"],
        }
    ]


def test_a_path_that_only_the_user_can_copy_is_refused() -> None:
    wanted = {"name": "/data/x.gguf", "quant": "", "revision": ""}
    of_theirs = {"kind": "other", "revision": ""}
    found = steps(wanted, spark1={**HAS, **of_theirs}, spark2={**LACKS, **of_theirs})
    assert found["refusals"][0]["why"] == (
        "/data/x.gguf is on spark1 only, and is not a model that can be copied: put it on spark2"
    )
    nowhere = steps(wanted, spark1={**LACKS, **of_theirs}, spark2={**LACKS, **of_theirs})
    (refusal,) = nowhere["refusals"]
    assert refusal["why"].endswith("Put it on one of them, or correct the recipe")
    assert refusal["next"] == ["recipes", "-e", "show=/r/a.yaml"]
