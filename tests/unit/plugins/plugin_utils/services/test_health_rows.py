# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of nodes and services from what the nodes have reported."""

from __future__ import annotations

import math
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import declared
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.following import (
    health_command,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.health import (
    Row,
    containers,
    failing,
    observations,
    rows,
    table,
    watched,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.outages import Outage

HOSTS = ["spark1", "spark2"]
Thing = dict[str, t.Any]
LOST: Thing = {"unreachable": True, "msg": "Connection refused"}


def answered(*services: Thing, ranks: t.Sequence[Thing] = (), **more: t.Any) -> Thing:
    """What the module health returns on a node."""
    return {"services": list(services), "ranks": list(ranks), "containers": [], **more}


def service(name: str, state: str = "up", **more: t.Any) -> Thing:
    return {"name": name, "state": state, "detail": "/health answers", **more}


def states(
    results: dict[str, Thing], given: t.Sequence[Thing] = (), hosts: t.Sequence[str] = ()
) -> dict[str, str]:
    found = rows(declared(list(given), HOSTS), results, hosts or HOSTS)
    return {row.subject: row.state for row in found}


UP = {"node/spark1": "up", "node/spark2": "up"}
NODE_LOST = {"node/spark1": "down", "node/spark2": "up"}
MAIN = {"name": "main", "recipe": "r"}
SECOND = {"service": "main", "rank": 1, "nodes": ["spark1", "spark2"]}
SEARCH = {"name": "search", "url": "http://192.0.2.20:8080"}
CASES: dict[str, tuple[dict[str, Thing], list[Thing], dict[str, str]]] = {
    "nothing": ({"spark1": answered(), "spark2": answered()}, [], UP),
    "one of each": (
        {
            "spark1": answered(service("a"), service("b", "busy")),
            "spark2": answered(service("c", "down")),
        },
        [],
        {**UP, "service/a": "up", "service/b": "busy", "service/c": "down"},
    ),
    "a node is lost": ({"spark1": LOST, "spark2": answered()}, [], NODE_LOST),
    "a node is lost that had a server, by the other rank": (
        {"spark1": LOST, "spark2": answered(ranks=[SECOND])},
        [],
        {**NODE_LOST, "service/main": "down"},
    ),
    "a node is lost that had a server, as declared": (
        {"spark1": LOST, "spark2": answered()},
        [MAIN],
        {**NODE_LOST, "service/main": "down"},
    ),
    "a node fails": (
        {"spark1": {"msg": "no Python"}, "spark2": answered()},
        [MAIN],
        {"node/spark1": "unknown", "node/spark2": "up", "service/main": "unknown"},
    ),
    "the server of a rank is gone": (
        {"spark1": answered(), "spark2": answered(ranks=[SECOND])},
        [],
        {**UP, "service/main": "down"},
    ),
    "declared, and not there": (
        {"spark1": answered(), "spark2": answered()},
        [MAIN],
        {**UP, "service/main": "off"},
    ),
    "somebody else's port": (
        {"spark1": answered(), "spark2": answered()},
        [{"name": "other", "port": 9000}],
        UP,
    ),
    "watched": (
        {"spark1": answered(service("search", watched=True)), "spark2": answered()},
        [SEARCH],
        {**UP, "service/search": "up"},
    ),
    "watched by a node that is lost": (
        {"spark1": LOST, "spark2": answered()},
        [SEARCH],
        {**NODE_LOST, "service/search": "unknown"},
    ),
    "watched by a node that was not asked to": (
        {"spark1": answered(), "spark2": answered(service("search", watched=True))},
        [SEARCH],
        {**UP, "service/search": "unknown"},
    ),
    "two nodes with one name": (
        {"spark1": answered(service("main")), "spark2": answered(service("main", "down"))},
        [],
        {**UP, "service/main": "down"},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_states(case: tuple[dict[str, Thing], list[Thing], dict[str, str]]) -> None:
    results, given, wanted = case
    assert states(results, given) == wanted


def test_nodes_that_a_limit_leaves_out_are_no_rows() -> None:
    results = {"spark2": answered(ranks=[SECOND])}
    given = [{**MAIN, "nodes": ["spark1", "spark2"]}]
    assert states(results, given, ["spark2"]) == {"node/spark2": "up", "service/main": "unknown"}
    assert states({"spark2": answered()}, given, ["spark2"]) == {"node/spark2": "up"}


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(HOSTS),
        st.dictionaries(
            st.sampled_from(["services", "ranks", "containers", "msg", "unreachable"]),
            st.recursive(
                st.none() | st.booleans() | st.floats() | st.text(),
                lambda inner: (
                    st.lists(inner)
                    | st.dictionaries(
                        st.sampled_from(["name", "service", "nodes", "state", "detail", "seconds"])
                        | st.text(),
                        inner | st.just("main"),
                    )
                ),
            ),
        ),
    )
)
def test_a_node_may_answer_anything(results: dict[str, t.Any]) -> None:
    found = rows(declared([MAIN, SEARCH], HOSTS), results, HOSTS)
    lines = table(found, containers(results), {})
    assert len({row.subject for row in found}) == len(found)
    assert [row.name for row in found[:2]] == HOSTS
    assert all("\x1b" not in line and "\n" not in line for line in lines)
    assert all(row.seconds is None or math.isfinite(row.seconds) for row in found)


def test_the_table_and_what_fails() -> None:
    box = {"name": "dgxspark-a-0", "service": "a", "rank": "0", "status": "running", "health": ""}
    results = {
        "spark1": answered(
            service("a", model="m", url="http://192.0.2.1:8000", seconds=0.004, deep=True),
            containers=[box],
        ),
        "spark2": {"failed": True, "msg": "no\x1b[2J Python"},
    }
    found = rows([], results, HOSTS)
    log = {"service/a": Outage(2, 90, "up"), "node/spark2": Outage(1, 600, "down")}
    assert table(found, containers(results), log) == [
        "node       spark1        up",
        r"node       spark2        unknown  could not be inspected: no\x1b[2J Python",
        "service    a             up       m at http://192.0.2.1:8000: /health answers in 0.00 s",
        "container  dgxspark-a-0  running  on spark1",
        "outages  service/a    2, 1.5 min in all",
        "outages  node/spark2  1, 10.0 min in all, still down",
    ]
    assert table(found, {}, {"service/a": Outage(0, 0, "up")})[-1] == "outages  none"
    assert failing(found) == ["node/spark2"]
    assert [(one.subject, one.source) for one in observations(found, 7)] == [
        ("node/spark1", "poll"),
        ("node/spark2", "poll"),
        ("service/a", "deep"),
    ]


def test_a_user_who_may_not_ask_docker_gets_the_reason() -> None:
    results = {"spark1": answered(containers_unknown="permission denied")}
    (row,) = rows([], results, ["spark1"])
    assert (row.state, row.detail) == ("up", "Docker was not asked: permission denied")
    assert containers(results) == {}


def test_what_is_watched() -> None:
    given = [MAIN, {**SEARCH, "kind": "http"}]
    assert watched(declared(given, HOSTS)) == [{**SEARCH, "kind": ["http"]}]


N1, A = Row("node", "spark1", "up"), Row("service", "a", "up")


@pytest.mark.parametrize(
    ("found", "deep", "words"),
    [
        ([N1, A], False, "health -e deep=true"),
        ([N1, A], True, "status"),
        ([N1], False, "recipes"),
        ([Row("node", "spark1", "down"), A], False, "site --check --limit spark1"),
        ([N1, A, Row("service", "b", "down")], False, "logs -e service=b"),
        ([N1, Row("service", "b", "down", watched=True)], False, "status"),
        ([N1, A, Row("service", "b", "off")], True, "services --check"),
    ],
)
def test_the_command_to_type_next(found: list[Row], deep: bool, words: str) -> None:
    assert health_command(found, deep) == f"ansible-playbook dgxspark.suite.{words}"


def test_what_the_kernel_reports_stands_beside_the_node_and_is_no_outage() -> None:
    message = {"check": "kernel_log_oom", "message": "killed for memory: 1 (python3: 1)"}
    results = {"spark1": answered(kernel=[message, {"message": 3}, "x"]), "spark2": answered()}
    found = rows([], results, HOSTS)
    assert [row.state for row in found] == ["up", "up"]
    assert [row.detail for row in found] == ["kernel: killed for memory: 1 (python3: 1)", ""]
    assert failing(found) == []
