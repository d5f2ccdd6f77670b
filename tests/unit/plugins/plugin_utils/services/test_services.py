# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared services: what is understood, what differs from it, what is launched first."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import (
    Declared,
    declared,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.drift import (
    pending,
    plan_of,
    service,
    undeclared,
)

HOSTS = ["spark1", "spark2"]
GIB = 1 << 30
Thing = dict[str, t.Any]


def test_a_declaration_with_its_defaults() -> None:
    given = [
        {"name": "main", "recipe": "a"},
        {"name": "e", "recipe": "b", "nodes": "spark2", "overrides": "port=8001"},
        {"name": "w", "url": "http://192.0.2.9:80"},
        {"name": "p", "port": 9000},
        {"name": "q", "url": "http://192.0.2.9:6333", "kind": "vector_store"},
    ]
    assert declared(given, HOSTS) == [
        Declared("main", "a"),
        Declared("e", "b", {"port": "8001"}, ("spark2",)),
        Declared("w", url="http://192.0.2.9:80"),
        Declared("p", port=9000),
        Declared("q", url="http://192.0.2.9:6333", kind=("vector_store",)),
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("chat", "expected a list"),
        ([1], "service 1: expected a map"),
        ([{"name": "a", "recipe": "r", "node": "spark1"}], "did you mean nodes?"),
        ([{"recipe": "r"}], "its name is ''"),
        ([{"name": "A b", "recipe": "r"}], "its name is 'A b'"),
        ([{"name": "a"}], "expected one of recipe, url, port and checkout"),
        ([{"name": "a", "recipe": "r", "url": "http://192.0.2.1"}], "expected one of"),
        ([{"name": "a", "recipe": "r", "nodes": ["spark3"]}], "no host spark3"),
        ([{"name": "a", "url": "http://spark:80"}], "with an IP address"),
        ([{"name": "a", "url": "http://u:p@192.0.2.1"}], "with an IP address"),
        ([{"name": "a", "url": "file:///etc/passwd"}], "with an IP address"),
        ([{"name": "a", "recipe": "r"}, {"name": "a", "recipe": "s"}], "two services are named a"),
        ([{"name": "a", "recipe": "r", "overrides": 5}], "service 1"),
        ([{"name": "a", "recipe": "r", "kind": "chat"}], "a recipe has its own"),
        ([{"name": "a", "url": "http://192.0.2.1", "kind": "chta"}], "kind is 'chta'"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_an_error(given: t.Any, said: str) -> None:
    with pytest.raises(RecipeError, match=said.replace("?", r"\?")):
        declared(given, HOSTS)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(RecipeError, match=r"service 1.*service 2"):
        declared([{"name": "a"}, {"name": "b"}], HOSTS)


PLAN: Thing = {
    "service": "e",
    "hash": "7d3d",
    "head": "spark2",
    "nodes": ["spark2"],
    "ports": {"server": 8001},
    "worker_ports": {},
    "swap_port": 25020,
    "overrides": {},
    "recipe_path": "/r/embed.yaml",
    "claim": "gib:10",
    "ranks": [{"rank": 0, "node": "spark2", "name": "dgxspark-e-0", "labels": {}}],
}
WANTED = Declared("e", "embed", {}, ("spark2",))


def container(name: str = "e", status: str = "running", plan: str = "7d3d") -> Thing:
    labels = {"service": name, "plan-hash": plan, "rank": "0", "ranks": "1", "recipe": "embed"}
    return {
        "name": f"dgxspark-{name}-0",
        "id": f"id of {name}",
        "ours": True,
        "status": status,
        "recipe": "embed",
        "image_id": "sha256:1",
        "labels": {f"dgxspark.suite/{key}": value for key, value in labels.items()},
    }


def nodes(*second: Thing, answers: bool = True) -> dict[str, Thing]:
    facts: Thing = {
        "listening": [],
        "units": [],
        "image_id": None,
        "memory_total_bytes": 120 * GIB,
    }
    phase = {"phase": "serving" if answers else "healthy"}
    return {
        "spark1": {**facts, "containers": []},
        "spark2": {**facts, "containers": list(second), "answers": {"dgxspark-e-0": phase}},
    }


@pytest.mark.parametrize(
    ("observed", "state", "status"),
    [
        (nodes(container()), "serves", "ok"),
        (nodes(), "missing", "drift"),
        (nodes(container(status="exited")), "differs", "drift"),
        (nodes(container(plan="other")), "differs", "drift"),
        (nodes(container(), answers=False), "silent", "blocked"),
        (nodes(container("other")), "missing", "drift"),
        ({"spark1": nodes()["spark1"]}, "unknown", "blocked"),
    ],
)
def test_the_state_of_a_service_and_its_finding(
    observed: dict[str, Thing], state: str, status: str
) -> None:
    one = service(WANTED, PLAN, "", observed, HOSTS)
    assert one.state == state
    node = "spark1" if state == "unknown" else "spark2"
    (finding,) = plan_of([one], node, {}).findings
    assert (finding.check, finding.status) == ("service_e", status)
    assert bool(pending([one])) == (status == "drift")
    other = ({"spark1", "spark2"} - {node}).pop()
    assert plan_of([one], other, {}).findings == ()


def test_what_cannot_be_planned_or_launched_is_blocked_with_the_reason() -> None:
    one = service(WANTED, None, "no such recipe", nodes(), HOSTS)
    assert plan_of([one], "spark2", {}).findings[0].actual == "no such recipe"
    taken = nodes()
    taken["spark2"]["listening"] = [{"port": 8001, "pid": 7, "process": "nginx", "container": None}]
    one = service(WANTED, PLAN, "", taken, HOSTS)
    assert one.state == "refused"
    assert "port 8001 (server) is taken by nginx" in plan_of([one], "spark2", {}).findings[0].actual


def test_what_was_launched_is_fixed_where_it_answers_and_blocked_where_not() -> None:
    serves = service(WANTED, PLAN, "", nodes(container()), HOSTS)
    missing = service(WANTED, PLAN, "", nodes(), HOSTS)
    assert plan_of([serves], "spark2", {"e": ""}).findings[0].status == "fixed"
    (finding,) = plan_of([missing], "spark2", {"e": "it exited"}).findings
    assert (finding.status, finding.actual) == ("blocked", "it exited")


OVERLAID = {**PLAN, "overlay": {"base": "asr:1"}}
CLEAN: Thing = {"changed": [], "forbidden": [], "problem": ""}


@pytest.mark.parametrize(
    ("inside", "statuses", "launched"),
    [
        (CLEAN, ["ok", "ok"], False),
        ({**CLEAN, "changed": ["cuda_python-12"]}, ["drift", "ok"], True),
        ({**CLEAN, "forbidden": ["it has cuda-python"]}, ["ok", "blocked"], False),
        ({**CLEAN, "problem": "no answer"}, ["blocked"], False),
    ],
)
def test_what_was_changed_by_hand_is_launched_again_though_the_plan_runs(
    inside: Thing, statuses: list[str], launched: bool
) -> None:
    overlays = {"spark2": {"dgxspark-e-0": inside}}
    one = service(WANTED, OVERLAID, "", nodes(container()), HOSTS, overlays)
    answers, *others = plan_of([one], "spark2", {}).findings
    assert (answers.check, answers.status) == ("service_e", "ok")
    assert [other.status for other in others] == statuses
    assert {other.check for other in others} <= {"overlay_e", "forbidden_e"}
    assert [entry.get("recreate") for entry in pending([one])] == ([True] if launched else [])
    # After a launch that has failed the old containers are back, as they were.
    found = plan_of([one], "spark2", {"e": "it exited"}).findings
    assert found[0].status == "blocked"
    assert "drift" not in [finding.status for finding in found]


def test_what_is_launched_again_is_reported_as_fixed() -> None:
    one = service(
        WANTED, OVERLAID, "", nodes(container()), HOSTS, {"spark2": {"dgxspark-e-0": CLEAN}}
    )
    statuses = [finding.status for finding in plan_of([one], "spark2", {"e": ""}).findings]
    assert statuses == ["fixed", "fixed", "ok"]


def test_without_an_overlay_nothing_is_said_of_packages() -> None:
    inside = {"spark2": {"dgxspark-e-0": {**CLEAN, "changed": ["x-1"]}}}
    one = service(WANTED, PLAN, "", nodes(container()), HOSTS, inside)
    assert [finding.check for finding in plan_of([one], "spark2", {}).findings] == ["service_e"]
    assert pending([one]) == []


def test_what_is_watched_is_never_launched() -> None:
    one = service(Declared("w", url="http://192.0.2.9:80"), None, "", nodes(), HOSTS)
    assert plan_of([one], "spark1", {}).findings[0].status == "skipped"
    assert pending([one]) == []


def test_a_service_with_a_node_outside_of_the_limit_is_left_alone() -> None:
    wanted = Declared("e", "r", {}, ("spark1", "spark2"))
    one = service(wanted, None, "", {"spark2": nodes()["spark2"]}, ["spark2"])
    (finding,) = plan_of([one], "spark2", {}).findings
    assert (finding.status, finding.actual) == ("skipped", "spark1 is not part of this run")
    assert pending([one]) == []


def test_the_largest_claim_is_launched_first() -> None:
    def one(name: str, claim: str) -> t.Any:
        plan = {**PLAN, "service": name, "claim": claim}
        return service(Declared(name, "r", {}, ("spark2",)), plan, "", nodes(), HOSTS)

    services = [one("a", "gib:5"), one("b", "share:0.5"), one("c", ""), one("d", "gib:7")]
    assert [entry["name"] for entry in pending(services)] == ["b", "d", "a", "c"]


def test_what_runs_and_is_not_declared_is_named_with_its_nodes() -> None:
    one = service(WANTED, PLAN, "", nodes(container()), HOSTS)
    observed = nodes(container(), container("old"))
    assert undeclared([one], observed) == {"old": ["spark2"]}
