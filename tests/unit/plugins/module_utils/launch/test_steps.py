# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what runs on two nodes to what the plan of lab-tiny wants there."""

from __future__ import annotations

import copy
import json
import pathlib
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.launch.steps import launch_steps

ROOT = pathlib.Path(__file__).parents[5]
PLAN: dict[str, t.Any] = json.loads(
    (ROOT / "tests/unit/fixtures/recipes/lab-tiny.plan.json").read_text(encoding="utf-8")
)
HEAD, WORKER = "dgxspark-lab-tiny-0", "dgxspark-lab-tiny-1"

Thing = dict[str, t.Any]


def ours(name: str, plan_hash: str = PLAN["hash"], status: str = "running") -> Thing:
    labels = {"dgxspark.suite/owner": "dgxspark.suite", "dgxspark.suite/plan-hash": plan_hash}
    image = {"image_id": "sha256:4467"}
    return {
        "name": name,
        "id": f"id of {name}",
        "status": status,
        "ours": True,
        "labels": labels,
        **image,
    }


def foreign(name: str, **labels: str) -> Thing:
    return {**ours(name), "ours": False, "labels": labels}


def listens(
    port: int, container: str | None = None, pid: int | None = 7, process: str | None = "python3"
) -> Thing:
    owner = f"id of {container}" if container else None
    return {"port": port, "pid": pid, "process": process, "container": owner}


def node(*containers: Thing, listening: t.Sequence[Thing] = (), image: bool = True) -> Thing:
    image_id = "sha256:4467" if image else None
    return {"containers": list(containers), "listening": list(listening), "image_id": image_id}


class Case(t.NamedTuple):
    """spark1 and spark2 as they are, and what is to be done there."""

    spark1: Thing
    spark2: Thing
    remove: dict[str, list[str]]
    start: list[str] = ["spark1", "spark2"]
    pull: list[str] = []
    refusals: list[str] = []


NOTHING: dict[str, list[str]] = {"spark1": [], "spark2": []}
CASES: dict[str, Case] = {
    "fresh nodes": Case(node(), node(), NOTHING),
    "it runs": Case(
        node(ours(HEAD), listening=[listens(8000, HEAD), listens(46379, HEAD)]),
        node(ours(WORKER)),
        NOTHING,
        start=[],
    ),
    "it runs, the image was removed since": Case(
        node(ours(HEAD), image=False), node(ours(WORKER)), NOTHING, start=[]
    ),
    "it runs, the reference names a new image since": Case(
        node({**ours(HEAD), "image_id": "sha256:0ld"}),
        node(ours(WORKER)),
        {"spark1": [HEAD], "spark2": [WORKER]},
    ),
    "it runs beside something older of ours": Case(
        node(ours("dgxspark-old-0", "9"), ours(HEAD)),
        node(ours(WORKER)),
        {"spark1": ["dgxspark-old-0"], "spark2": []},
        start=[],
    ),
    "it runs beside something foreign": Case(
        node(ours(HEAD), foreign("registry")), node(ours(WORKER)), NOTHING, start=[]
    ),
    "another plan of the same name": Case(
        node(ours(HEAD, "other"), listening=[listens(8000, HEAD)]),
        node(ours(WORKER, "other")),
        {"spark1": [HEAD], "spark2": [WORKER]},
    ),
    "another recipe": Case(
        node(ours("dgxspark-old-0", "9"), listening=[listens(8000, "dgxspark-old-0")]),
        node(),
        {"spark1": ["dgxspark-old-0"], "spark2": []},
    ),
    "half of the ranks": Case(node(ours(HEAD)), node(), {"spark1": [HEAD], "spark2": []}),
    "a rank that has ended": Case(
        node(ours(HEAD)),
        node(ours(WORKER, status="exited")),
        {"spark1": [HEAD], "spark2": [WORKER]},
    ),
    "ranks on each other's nodes": Case(
        node(ours(WORKER)), node(ours(HEAD)), {"spark1": [WORKER], "spark2": [HEAD]}
    ),
    "a stopped one of ours whose label is lost": Case(
        node({**ours(HEAD), "labels": {}}),
        node(ours(WORKER)),
        {"spark1": [HEAD], "spark2": [WORKER]},
    ),
    "no image anywhere": Case(
        node(image=False), node(image=False), NOTHING, pull=["spark1", "spark2"]
    ),
    "no image on one node": Case(node(), node(image=False), NOTHING, pull=["spark2"]),
    "a foreign container of the same name": Case(
        node(),
        node(foreign(WORKER, **ours(WORKER)["labels"])),
        NOTHING,
        refusals=[
            f"spark2: a container named {WORKER} exists that was not started by this collection, "
            "so it is left alone. Rename or remove it"
        ],
    ),
    "a foreign container of another rank's name": Case(node(foreign(WORKER)), node(), NOTHING),
    "the port taken by a process": Case(
        node(listening=[listens(22), listens(8000)]),
        node(),
        NOTHING,
        refusals=[
            "spark1: port 8000 (server) is taken by python3 (pid 7). Stop it, or choose another "
            "port: -e overrides=port=NUMBER"
        ],
    ),
    "the port taken by nobody knows whom": Case(
        node(listening=[listens(8000, pid=None, process=None)]),
        node(),
        NOTHING,
        refusals=[
            "spark1: port 8000 (server) is taken by another process. Stop it, or choose another "
            "port: -e overrides=port=NUMBER"
        ],
    ),
    "the port taken by a process just gone": Case(
        node(listening=[listens(8000, process=None)]),
        node(),
        NOTHING,
        refusals=[
            "spark1: port 8000 (server) is taken by a process (pid 7). Stop it, or choose another "
            "port: -e overrides=port=NUMBER"
        ],
    ),
    "Ray's port taken by another container": Case(
        node(foreign("redis"), listening=[listens(46379, "redis", 9, "redis-server")]),
        node(),
        NOTHING,
        refusals=[
            "spark1: port 46379 (ray) is taken by redis-server (pid 9) in container redis. Stop "
            "it, or choose another port: -e dgxspark_ray_port=NUMBER"
        ],
    ),
    "both ports taken, and the name": Case(
        node(foreign(HEAD), listening=[listens(8000, HEAD), listens(46379, HEAD)]),
        node(),
        NOTHING,
        refusals=[
            f"spark1: a container named {HEAD} exists that was not started by this collection, "
            "so it is left alone. Rename or remove it",
            f"spark1: port 8000 (server) is taken by python3 (pid 7) in container {HEAD}. Stop it, "
            "or choose another port: -e overrides=port=NUMBER",
            f"spark1: port 46379 (ray) is taken by python3 (pid 7) in container {HEAD}. Stop it, "
            "or choose another port: -e dgxspark_ray_port=NUMBER",
        ],
    ),
    "the port taken where only a worker runs": Case(
        node(), node(listening=[listens(8000)]), NOTHING
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_to_be_done(case: Case) -> None:
    observed = {"spark1": case.spark1, "spark2": case.spark2}
    before = copy.deepcopy((PLAN, observed))
    assert launch_steps(PLAN, observed) == {
        "refusals": case.refusals,
        "running": not case.start,
        "remove": case.remove,
        "start": {rank["node"]: rank for rank in PLAN["ranks"] if rank["node"] in case.start},
        "pull": case.pull,
    }
    assert (PLAN, observed) == before


def test_a_node_that_the_plan_leaves_out_is_cleared_of_ours() -> None:
    left_out = node(ours("dgxspark-old-2", "9"), foreign("registry"), image=False)
    steps = launch_steps(PLAN, {"spark1": node(), "spark2": node(), "spark3": left_out})
    assert steps["remove"] == {"spark1": [], "spark2": [], "spark3": ["dgxspark-old-2"]}
    assert list(steps["start"]) == ["spark1", "spark2"]
    assert steps["pull"] == []


def test_a_left_out_node_is_cleared_of_a_rank_that_runs_elsewhere() -> None:
    observed = {
        "spark1": node(ours(HEAD)),
        "spark2": node(ours(WORKER)),
        "spark3": node(ours(HEAD)),
    }
    steps = launch_steps(PLAN, observed)
    assert steps["running"] is True
    assert steps["remove"] == {"spark1": [], "spark2": [], "spark3": [HEAD]}
