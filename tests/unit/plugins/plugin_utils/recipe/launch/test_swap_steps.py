# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps from what runs on two nodes to the plan of lab-tiny."""

from __future__ import annotations

import copy
import json
import pathlib
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.swap_steps import (
    describe,
    launch_steps,
)

ROOT = pathlib.Path(__file__).parents[6]
PLAN: dict[str, t.Any] = json.loads(
    (ROOT / "tests/unit/fixtures/recipes/lab-tiny.plan.json").read_text(encoding="utf-8")
)
HEAD, WORKER = "dgxspark-main-0", "dgxspark-main-1"
OLD0, OLD1 = "dgxspark-old-0", "dgxspark-old-1"

Thing = dict[str, t.Any]


def ours(
    name: str, plan_hash: str = PLAN["hash"], status: str = "running", id: str = "", ranks: int = 2
) -> Thing:
    own = name.replace(".previous", "")
    labels = {
        "dgxspark.suite/owner": "dgxspark.suite",
        "dgxspark.suite/plan-hash": plan_hash,
        "dgxspark.suite/rank": own[-1],
        "dgxspark.suite/ranks": str(ranks),
        "dgxspark.suite/recipe": own[len("dgxspark-") : -2],
        "dgxspark.suite/workload": own[len("dgxspark-") : -2],
        "dgxspark.suite/served-model-name": f"{own[len('dgxspark-') : -2]} as served",
        "dgxspark.suite/url": "http://192.0.2.1:8000",
    }
    image = {"image_id": "sha256:4467"}
    return {
        "name": name,
        "id": id or f"id of {name}",
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


def unit(container: str, plan: str = PLAN["hash"], state: str = "active", pid: int = 70) -> Thing:
    return {"container": container, "plan": plan, "state": state, "enabled": True, "pid": pid}


def node(
    *containers: Thing,
    listening: t.Sequence[Thing] = (),
    image: bool = True,
    units: t.Sequence[Thing] = (),
) -> Thing:
    image_id = "sha256:4467" if image else None
    return {
        "containers": list(containers),
        "listening": list(listening),
        "image_id": image_id,
        "units": list(units),
    }


class Case(t.NamedTuple):
    """spark1 and spark2 as they are, and the steps there.

    previous: recipe of what a rollback restores; drop: node -> its containers, as retained.
    """

    spark1: Thing
    spark2: Thing
    remove: dict[str, list[str]]
    start: list[str] = ["spark1", "spark2"]
    refusals: list[str] = []
    previous: str = ""
    drop: dict[str, list[str]] = {"spark1": [], "spark2": []}
    supervise: dict[str, list[str]] = {"spark1": [HEAD], "spark2": [WORKER]}


NOTHING: dict[str, list[str]] = {"spark1": [], "spark2": []}
CASES: dict[str, Case] = {
    "fresh nodes": Case(node(), node(), NOTHING),
    "it runs": Case(
        node(ours(HEAD), listening=[listens(8000, HEAD), listens(46379, HEAD)]),
        node(ours(WORKER)),
        NOTHING,
        start=[],
    ),
    "it runs, and is supervised": Case(
        node(ours(HEAD), listening=[listens(25010, pid=70)], units=[unit(HEAD)]),
        node(ours(WORKER), units=[unit(WORKER)]),
        NOTHING,
        start=[],
        supervise=NOTHING,
    ),
    "it runs, and one rank is supervised": Case(
        node(ours(HEAD), units=[unit(HEAD, state="failed")]),
        node(ours(WORKER), units=[unit(WORKER, plan="other")]),
        NOTHING,
        start=[],
    ),
    "it runs, and the unit of one rank is missing": Case(
        node(ours(HEAD), units=[unit(HEAD)]),
        node(ours(WORKER)),
        NOTHING,
        start=[],
    ),
    "units whose containers somebody has removed": Case(
        node(units=[unit(OLD0)]),
        node(units=[unit(WORKER)]),
        {"spark1": [OLD0], "spark2": [WORKER]},
    ),
    "the port of the units taken": Case(
        node(listening=[listens(25010)]),
        node(),
        NOTHING,
        refusals=[
            "spark1: port 25010 (survive) is taken by python3 (pid 7). Stop it, or use another port"
        ],
    ),
    "it runs, the image was removed since": Case(
        node(ours(HEAD), image=False), node(ours(WORKER)), NOTHING, start=[]
    ),
    "it runs, the reference names a new image since": Case(
        node({**ours(HEAD), "image_id": "sha256:0ld"}),
        node(ours(WORKER)),
        NOTHING,
        previous="main",
        drop={"spark1": [f"{HEAD}.previous"], "spark2": [f"{WORKER}.previous"]},
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
        NOTHING,
        previous="main",
        drop={"spark1": [f"{HEAD}.previous"], "spark2": [f"{WORKER}.previous"]},
    ),
    "another recipe": Case(
        node(ours("dgxspark-old-0", "9", ranks=1), listening=[listens(8000, "dgxspark-old-0")]),
        node(),
        NOTHING,
        previous="old",
        drop={"spark1": ["dgxspark-old-0.previous"], "spark2": []},
    ),
    "another recipe of which half is left": Case(
        node(ours("dgxspark-old-0", "9")), node(), {"spark1": ["dgxspark-old-0"], "spark2": []}
    ),
    "another recipe, crashed": Case(
        node(ours("dgxspark-old-0", "9", "exited", ranks=1)),
        node(),
        {"spark1": ["dgxspark-old-0"], "spark2": []},
    ),
    "a launch killed before anything was stopped": Case(
        node(ours(OLD0, "9")),
        node(ours(OLD1, "9")),
        NOTHING,
        previous="old",
        drop={"spark1": [f"{OLD0}.previous"], "spark2": [f"{OLD1}.previous"]},
    ),
    "killed between renaming and stopping": Case(
        node(ours(f"{OLD0}.previous", "9")),
        node(ours(f"{OLD1}.previous", "9", "exited")),
        NOTHING,
        previous="old",
        drop={"spark1": [f"{OLD0}.previous"], "spark2": [f"{OLD1}.previous"]},
    ),
    "killed when only the head was retained": Case(
        node(ours(f"{OLD0}.previous", "9", "exited")),
        node(ours(OLD1, "9")),
        NOTHING,
        previous="old",
        drop={"spark1": [f"{OLD0}.previous"], "spark2": [f"{OLD1}.previous"]},
    ),
    "killed when only the head was retained, and the worker has died since": Case(
        node(ours(f"{OLD0}.previous", "9", "exited")),
        node(ours(OLD1, "9", "exited")),
        NOTHING,
        previous="old",
        drop={"spark1": [f"{OLD0}.previous"], "spark2": [f"{OLD1}.previous"]},
    ),
    "killed when all was retained": Case(
        node(ours(f"{OLD0}.previous", "9", "exited")),
        node(ours(f"{OLD1}.previous", "9", "exited")),
        NOTHING,
        previous="old",
        drop={"spark1": [f"{OLD0}.previous"], "spark2": [f"{OLD1}.previous"]},
    ),
    "killed when only the head was started": Case(
        node(ours(f"{OLD0}.previous", "9", "exited"), ours(HEAD)),
        node(ours(f"{OLD1}.previous", "9", "exited")),
        {"spark1": [HEAD], "spark2": []},
        previous="old",
        drop={"spark1": [f"{OLD0}.previous"], "spark2": [f"{OLD1}.previous"]},
    ),
    "killed while this very plan was loading": Case(
        node(ours(f"{OLD0}.previous", "9", "exited"), ours(HEAD)),
        node(ours(f"{OLD1}.previous", "9", "exited"), ours(WORKER)),
        NOTHING,
        start=[],
        previous="old",
        drop={"spark1": [f"{OLD0}.previous"], "spark2": [f"{OLD1}.previous"]},
    ),
    "killed while another plan was loading": Case(
        node(ours(f"{OLD0}.previous", "9", "exited"), ours("dgxspark-third-0", "3")),
        node(ours(f"{OLD1}.previous", "9", "exited"), ours("dgxspark-third-1", "3")),
        {"spark1": ["dgxspark-third-0"], "spark2": ["dgxspark-third-1"]},
        previous="old",
        drop={"spark1": [f"{OLD0}.previous"], "spark2": [f"{OLD1}.previous"]},
    ),
    "killed when half of what was retained was dropped": Case(
        node(ours(HEAD)),
        node(ours(f"{OLD1}.previous", "9", "exited"), ours(WORKER)),
        NOTHING,
        start=[],
        previous="old",
        drop={"spark1": [], "spark2": [f"{OLD1}.previous"]},
    ),
    "killed while the same plan was started with a newer image": Case(
        node(ours(f"{HEAD}.previous", status="exited"), ours(HEAD, id="new")),
        node({**ours(WORKER), "image_id": "sha256:0ld"}),
        {"spark1": [HEAD], "spark2": []},
        start=["spark1", "spark2"],
        previous="main",
        drop={"spark1": [f"{HEAD}.previous"], "spark2": [f"{WORKER}.previous"]},
    ),
    "half of the ranks": Case(node(ours(HEAD)), node(), {"spark1": [HEAD], "spark2": []}),
    "a rank that has ended": Case(
        node(ours(HEAD)),
        node(ours(WORKER, status="exited")),
        {"spark1": [HEAD], "spark2": [WORKER]},
    ),
    "ranks on each other's nodes": Case(
        node(ours(WORKER)),
        node(ours(HEAD)),
        NOTHING,
        previous="main",
        drop={"spark1": [f"{WORKER}.previous"], "spark2": [f"{HEAD}.previous"]},
    ),
    "a stopped one of ours whose label is lost": Case(
        node({**ours(HEAD), "labels": {}}),
        node(ours(WORKER)),
        {"spark1": [HEAD], "spark2": [WORKER]},
    ),
    "no image anywhere": Case(node(image=False), node(image=False), NOTHING),
    "no image on one node": Case(node(), node(image=False), NOTHING),
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
            "spark1: port 8000 (server) is taken by python3 (pid 7). Stop it, or use another port"
        ],
    ),
    "the port taken by nobody knows whom": Case(
        node(listening=[listens(8000, pid=None, process=None)]),
        node(),
        NOTHING,
        refusals=[
            "spark1: port 8000 (server) is taken by another process. Stop it, or use another port"
        ],
    ),
    "the port taken by a process just gone": Case(
        node(listening=[listens(8000, process=None)]),
        node(),
        NOTHING,
        refusals=[
            "spark1: port 8000 (server) is taken by a process (pid 7). Stop it, or use another port"
        ],
    ),
    "Ray's port taken by another container": Case(
        node(foreign("redis"), listening=[listens(46379, "redis", 9, "redis-server")]),
        node(),
        NOTHING,
        refusals=[
            "spark1: port 46379 (ray) is taken by redis-server (pid 9) in container redis. Stop "
            "it, or use another port"
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
            "or use another port",
            f"spark1: port 46379 (ray) is taken by python3 (pid 7) in container {HEAD}. Stop it, "
            "or use another port",
        ],
    ),
    "the port taken where only a worker runs": Case(
        node(), node(listening=[listens(8000)]), NOTHING
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_steps(case: Case) -> None:
    observed = {"spark1": case.spark1, "spark2": case.spark2}
    before = copy.deepcopy((PLAN, observed))
    steps = launch_steps(PLAN, observed)
    previous = steps.pop("previous")
    assert {place: list(specs) for place, specs in steps.pop("supervise").items()} == case.supervise
    assert previous.get("recipe", "") == case.previous
    placed = previous.get("containers", ())
    assert case.drop == {
        node: [f"{one['name']}.previous" for one in placed if one["node"] == node]
        for node in observed
    }
    if case.previous:
        assert previous["served_model_name"] == f"{case.previous} as served"
        assert previous["url"] == "http://192.0.2.1:8000"
        assert previous["kind"] == []
    assert [refusal["why"] for refusal in steps.pop("refusals")] == case.refusals
    assert steps == {
        "notes": [],
        "running": not case.start,
        "serves": False,
        "drop": NOTHING if case.start else case.drop,
        "remove": case.remove,
        "start": {rank["node"]: rank for rank in PLAN["ranks"] if rank["node"] in case.start},
    }
    assert (PLAN, observed) == before


def test_what_a_node_may_not_mount_is_refused_before_anything_is_stopped() -> None:
    """A link of root's is named; what runs already is left alone."""
    fine = {"source": "/ai/models/m", "real": "/mnt/m", "problem": "", "links": ["/ai -> /mnt"]}
    bad = {"source": "/data", "real": "/etc", "problem": "/data leads to /etc", "links": ["x -> y"]}
    observed = {"spark1": {**node(), "mounts": [fine]}, "spark2": {**node(), "mounts": [fine, bad]}}
    steps = launch_steps(PLAN, observed)
    (refusal,) = steps["refusals"]
    assert refusal["why"] == "spark2: /data leads to /etc"
    assert refusal["next"][:2] == ["recipes", "-e"]
    assert [note.partition(":")[0] for note in steps["notes"]] == ["spark1", "spark2"]
    assert all("/ai -> /mnt" in note and "/mnt/m" in note for note in steps["notes"])


def test_a_node_outside_of_the_plan_loses_our_containers() -> None:
    left_out = node(ours("dgxspark-old-2", "9"), foreign("registry"), image=False)
    steps = launch_steps(PLAN, {"spark1": node(), "spark2": node(), "spark3": left_out})
    assert steps["remove"] == {"spark1": [], "spark2": [], "spark3": ["dgxspark-old-2"]}
    assert list(steps["start"]) == ["spark1", "spark2"]


def leads_on(plan: Thing, observed: dict[str, Thing]) -> list[str]:
    (refusal,) = launch_steps(plan, observed)["refusals"]
    return list(refusal["next"])


def test_a_taken_port_leads_to_a_launch_with_the_next_free_one() -> None:
    plan = {**PLAN, "recipe_path": "/r/a.yaml", "overrides": {"max_model_len": 9}}
    taken = node(listening=[listens(8000), listens(8001)])
    before = ["launch", "-e", "service=main", "-e", "recipe=/r/a.yaml", "-e", "nodes=spark1,spark2"]
    assert leads_on(plan, {"spark1": taken, "spark2": node(listening=[listens(8002)])}) == [
        *[*before, "-e", '{"overrides": {"max_model_len": 9, "port": 8003}}']
    ]
    plan["overrides"] = {}
    ray = {"spark1": node(listening=[listens(46379)]), "spark2": node()}
    assert leads_on(plan, ray) == [*before, "-e", "dgxspark_ray_port=46380"]
    assert leads_on({**plan, "service": "other"}, ray) == ["status"]
    last = {**plan, "ports": {"server": 65535}}
    taken = node(listening=[listens(65535)])
    assert leads_on(last, {"spark1": taken, "spark2": node()}) == ["status"]


def test_a_node_outside_of_the_plan_loses_a_rank_that_runs_elsewhere() -> None:
    observed = {
        "spark1": node(ours(HEAD)),
        "spark2": node(ours(WORKER)),
        "spark3": node(ours(HEAD)),
    }
    steps = launch_steps(PLAN, observed)
    assert steps["running"] is True
    assert steps["remove"] == {"spark1": [], "spark2": [], "spark3": [HEAD]}


NEW0, NEW1 = ours(HEAD, "new"), ours(WORKER, "new")
RETAINED0, RETAINED1 = (
    ours(f"{name}.previous", "9", "exited", id=f"id of {name}") for name in (OLD0, OLD1)
)


def served() -> dict[str, Thing]:
    """Both ranks, their units, and an answered completion."""
    head = node(ours(HEAD), units=[unit(HEAD)])
    return {
        "spark1": {**head, "answers": {HEAD: {"phase": "serving"}}},
        "spark2": {**node(ours(WORKER), units=[unit(WORKER)]), "answers": {}},
    }


def test_a_rollback_knows_what_was_served() -> None:
    container = ours("dgxspark-embed-0")
    container["labels"]["dgxspark.suite/kind"] = "embeddings,rerank"
    assert describe([("spark1", container)])["kind"] == ["embeddings", "rerank"]


def test_a_running_workload_that_answers_serves() -> None:
    assert launch_steps(PLAN, served())["serves"] is True


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("spark1", {"answers": {HEAD: {"phase": "healthy"}}}),
        ("spark1", {"answers": {}}),
        ("spark1", {"units": []}),
        ("spark2", {"containers": []}),
        ("spark2", {"containers": [ours(WORKER), ours(OLD1, "9")]}),
        ("spark2", {"containers": [ours(WORKER), ours(OLD1 + ".previous", "9", "exited")]}),
        ("spark1", {"listening": [listens(8000)]}),
    ],
)
def test_with_a_step_left_it_does_not_serve(where: str, change: Thing) -> None:
    observed = served()
    observed[where] |= change
    assert launch_steps(PLAN, observed)["serves"] is False


def test_what_runs_is_retained_and_started_anew_where_that_is_wanted() -> None:
    observed = {
        "spark1": node(ours(HEAD), listening=[listens(8000, HEAD)], units=[unit(HEAD)]),
        "spark2": node(ours(WORKER), units=[unit(WORKER)]),
    }
    steps = launch_steps(PLAN, observed, recreate=True)
    assert (steps["running"], steps["serves"], steps["refusals"]) == (False, False, [])
    assert list(steps["start"]) == ["spark1", "spark2"]
    assert [one["name"] for one in steps["previous"]["containers"]] == [HEAD, WORKER]
    assert steps["remove"] == NOTHING
    assert steps["previous"]["plan_hash"] == PLAN["hash"]


def test_a_restart_that_was_interrupted_is_finished_by_the_next_launch() -> None:
    observed = {
        "spark1": node(ours(HEAD, id="new 0"), ours(f"{HEAD}.previous", status="exited", id="0")),
        "spark2": node(
            ours(WORKER, id="new 1"), ours(f"{WORKER}.previous", status="exited", id="1")
        ),
    }
    steps = launch_steps(PLAN, observed)
    assert (steps["running"], steps["start"]) == (True, {})
    assert steps["drop"] == {"spark1": [f"{HEAD}.previous"], "spark2": [f"{WORKER}.previous"]}
