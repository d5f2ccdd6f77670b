# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.filter.image_steps import FilterModule

KNOWN = {"assembles": True}


def steps(
    *ids: str | None, image: str = "a:1", known: bool = True, ask: bool = True, ray_auth: str = ""
) -> Any:
    nodes = [f"s{index}" for index in range(1, len(ids) + 1)]
    observed = {
        node: {"image_id": one, "image_facts": KNOWN if one and known else {}}
        for node, one in zip(nodes, ids, strict=True)
    }
    plan = {"image": image, "nodes": nodes, "ray_auth": ray_auth}
    filters: Any = FilterModule().filters()
    return filters["image_steps"](plan, {**observed, "other": {}}, ask)


@pytest.mark.parametrize(
    ("ids", "pull", "source", "receive"),
    [
        (("x", "x"), [], "", []),
        (("x", None), [], "s1", ["s2"]),
        ((None, "x"), [], "s2", ["s1"]),
        (("x", "y"), [], "s1", ["s2"]),
        ((None, "y", "x"), [], "s2", ["s1", "s3"]),
        ((None, None, None), ["s1"], "s1", ["s2", "s3"]),
        ((None,), ["s1"], "", []),
    ],
)
def test_one_node_pulls_and_the_others_take_it_from_the_first_that_has_it(
    ids: tuple[str | None, ...], pull: list[str], source: str, receive: list[str]
) -> None:
    found = steps(*ids)
    assert (found["pull"], found["source"], found["receive"]) == (pull, source, receive)
    assert found["ask"] == sorted([*pull, *receive])
    assert found["ready"] is (not pull and not receive)


def test_what_is_named_by_its_digest_is_pulled_by_each_node() -> None:
    found = steps("x", None, None, image="a@sha256:4467")
    assert (found["pull"], found["source"], found["receive"]) == (["s2", "s3"], "", [])


@pytest.mark.parametrize(
    ("ids", "bases", "build", "pull", "receive"),
    [
        ((None, None), (None, None), ["s1"], ["s1"], ["s2"]),
        ((None, None), (None, "b"), ["s2"], [], ["s1"]),
        ((None, "x"), ("b", None), [], [], ["s1"]),
        (("x", "x"), (None, None), [], [], []),
        ((None,), ("b",), ["s1"], [], []),
    ],
)
def test_one_node_builds_what_an_overlay_makes_and_the_others_take_it_from_there(
    ids: tuple[str | None, ...],
    bases: tuple[str | None, ...],
    build: list[str],
    pull: list[str],
    receive: list[str],
) -> None:
    nodes = [f"s{index}" for index in range(1, len(ids) + 1)]
    observed = {
        node: {"image_id": one, "base_id": base, "image_facts": KNOWN if one else {}}
        for node, one, base in zip(nodes, ids, bases, strict=True)
    }
    plan = {"image": "o:1", "overlay": {"base": "a:1"}, "nodes": nodes, "ray_auth": ""}
    filters: Any = FilterModule().filters()
    found = filters["image_steps"](plan, observed)
    assert (found["build"], found["pull"], found["receive"]) == (build, pull, receive)
    assert found["ready"] is (not build and not receive)
    renewed = filters["image_steps"](plan, observed, renew=True)
    assert renewed["build"] == renewed["pull"]
    assert renewed["build"] == ([renewed["source"]] if len(nodes) > 1 else nodes)


def test_a_node_that_does_not_know_the_image_asks_it_unless_nobody_wants_to_know() -> None:
    assert steps("x", "x", known=False)["ask"] == ["s1", "s2"]
    assert steps("x", "x", known=False, ask=False)["ready"] is True


@pytest.mark.parametrize(
    ("ray_auth", "asked"),
    [("", []), ("off", []), ("unknown", ["s1", "s2"]), ("token", ["s1", "s2"])],
)
def test_whether_its_ray_can_ask_for_a_token_always_matters(
    ray_auth: str, asked: list[str]
) -> None:
    found = steps("x", "x", known=False, ask=False, ray_auth=ray_auth)
    assert (found["ask"], found["ready"]) == (asked, not asked)


@pytest.mark.parametrize(
    ("ids", "pull", "receive"),
    [
        (("x", "x"), ["s1"], ["s2"]),
        (("x", "y"), ["s1"], ["s2"]),
        ((None, "x"), ["s2"], ["s1"]),
        ((None, None), ["s1"], ["s2"]),
        (("x",), ["s1"], []),
    ],
)
def test_a_renewed_image_is_pulled_by_one_node_and_taken_by_the_others(
    ids: tuple[str | None, ...], pull: list[str], receive: list[str]
) -> None:
    nodes = [f"s{index}" for index in range(1, len(ids) + 1)]
    observed = {
        node: {"image_id": one, "image_facts": KNOWN} for node, one in zip(nodes, ids, strict=True)
    }
    filters: Any = FilterModule().filters()
    plan = {"image": "a:1", "nodes": nodes, "ray_auth": ""}
    found = filters["image_steps"](plan, observed, renew=True)
    assert (found["pull"], found["receive"], found["ready"]) == (pull, receive, False)
    assert found["ask"] == nodes
    digest = filters["image_steps"]({**plan, "image": "a@sha256:4467"}, observed, renew=True)
    assert digest["pull"] == [node for node, one in zip(nodes, ids, strict=True) if not one]
