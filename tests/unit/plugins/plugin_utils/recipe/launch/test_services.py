# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services side by side: a launch replaces one, all others stay and keep their ports."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import gib_of
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    SLOT_BASE,
    SLOT_PORTS,
    SLOTS,
    Service,
    Settings,
    build_plan,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import (
    Variables,
    resolve,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.slots import slot_for
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.swap_steps import (
    launch_steps,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.workloads import (
    workloads,
)

ROOT = pathlib.Path(__file__).parents[6]
Thing = dict[str, t.Any]
MAIN = Service()


def planned(recipe: str, nodes: list[Node], service: Service = MAIN, **overrides: t.Any) -> Thing:
    chosen = Settings()
    resolved = resolve(
        load(recipe, [str(ROOT / "recipes"), str(ROOT / "tests/lab/recipes")]),
        overrides,
        nodes,
        Variables(),
        ports=service.ports(chosen),
    )
    return build_plan(resolved, service.settings(chosen), service=service)


def served(plan: Thing, status: str = "running", end: str = "") -> dict[str, Thing]:
    """The nodes on which the containers of a plan are."""
    return {
        rank["node"]: node(
            {
                "name": rank["name"] + end,
                "id": f"id of {rank['name']}",
                "status": status,
                "started": "",
                "ours": True,
                "labels": rank["labels"],
                "image_id": "sha256:4467",
            }
        )
        for rank in plan["ranks"]
    }


def node(*containers: Thing) -> Thing:
    return {
        "containers": list(containers),
        "listening": [],
        "units": [],
        "image_id": "sha256:4467",
    }


def beside(*parts: dict[str, Thing]) -> dict[str, Thing]:
    """Nodes with all containers of several."""
    out: dict[str, Thing] = {"spark1": node(), "spark2": node()}
    for part in parts:
        for name, facts in part.items():
            out[name]["containers"] += facts["containers"]
            out[name]["units"] += facts["units"]
    return out


@pytest.fixture
def chat(nodes: t.Callable[[int], list[Node]]) -> Thing:
    return planned("lab-tiny", nodes(2))


@pytest.fixture
def other(nodes: t.Callable[[int], list[Node]]) -> Thing:
    return planned("lab-tiny-solo", nodes(2)[1:], Service("other", 1), port=8001)


def replaced(steps: Thing) -> dict[str, str]:
    """Node -> the container that a rollback restores."""
    return {one["node"]: one["name"] for one in steps["previous"]["containers"]}


def test_a_launch_beside_another_service_stops_nothing(chat: Thing, other: Thing) -> None:
    steps = launch_steps(other, beside(served(chat)))
    nothing: Thing = {"spark1": [], "spark2": []}
    assert (steps["refusals"], steps["remove"]) == ([], nothing)
    assert (list(steps["start"]), steps["previous"]) == (["spark2"], {})


def test_a_swap_leaves_the_containers_of_other_services(
    chat: Thing, other: Thing, nodes: t.Callable[[int], list[Node]]
) -> None:
    next_chat = planned("lab-tiny", nodes(2), max_model_len=128)
    steps = launch_steps(next_chat, beside(served(chat), served(other)))
    assert replaced(steps) == {"spark1": "dgxspark-main-0", "spark2": "dgxspark-main-1"}
    assert steps["remove"] == {"spark1": [], "spark2": []}


def test_a_unit_that_outlived_its_container_belongs_to_a_service(chat: Thing) -> None:
    alone = {"container": "dgxspark-other-0", "plan": "9", "enabled": True, "pid": 0}
    observed = beside(served(chat))
    observed["spark2"]["units"] = [{**alone, "state": "active", "service": "other"}]
    assert launch_steps(chat, observed)["remove"]["spark2"] == []
    observed["spark2"]["units"] = [{**alone, "state": "active", "service": "main"}]
    assert launch_steps(chat, observed)["remove"]["spark2"] == ["dgxspark-other-0"]


def test_a_port_of_another_service_is_refused_by_its_name(chat: Thing, other: Thing) -> None:
    observed = beside(served(chat), served(other))
    listener = {"port": 8000, "pid": 7, "process": "python3", "container": "id of dgxspark-other-0"}
    observed["spark1"]["containers"] += observed["spark2"]["containers"]
    observed["spark1"]["listening"] = [listener]
    (refusal,) = launch_steps(chat, observed)["refusals"]
    assert "spark1: port 8000 (server) is taken by service other" in refusal["why"]
    # A supervisor of the other service, too.
    unit = {"container": "x", "plan": "", "state": "active", "enabled": True, "pid": 9}
    observed["spark1"]["units"] = [{**unit, "service": "other"}]
    observed["spark1"]["listening"] = [{**listener, "pid": 9, "container": None}]
    assert "service other" in launch_steps(chat, observed)["refusals"][0]["why"]
    observed["spark1"]["units"] = [{**unit, "service": "main"}]
    assert launch_steps(chat, observed)["refusals"] == []


def test_the_ports_of_workers_are_looked_at_on_the_workers(
    nodes: t.Callable[[int], list[Node]],
) -> None:
    plan = planned("lab-llama", nodes(2))
    observed = beside()
    observed["spark2"]["listening"] = [
        {"port": plan["worker_ports"]["rpc"], "pid": 7, "process": "python3", "container": None}
    ]
    (refusal,) = launch_steps(plan, observed)["refusals"]
    assert refusal["why"].startswith("spark2: port 50052 (rpc) is taken by python3 (pid 7)")


def test_each_slot_has_ports_of_its_own(nodes: t.Callable[[int], list[Node]]) -> None:
    seen: set[int] = set()
    for slot in range(SLOTS + 1):
        plan = planned("lab-tiny", nodes(2), Service("main" if not slot else f"s{slot}", slot))
        ports = {port for what, port in plan["ports"].items() if what != "server"}
        assert len(ports) == 2
        assert not ports & seen
        seen |= ports
        if slot:
            first = SLOT_BASE + SLOT_PORTS * slot
            assert ports <= set(range(first, first + SLOT_PORTS))
            assert first + SLOT_PORTS < 32768  # where the kernel begins to choose ports
            # Ray's other ports, which it would choose at random or take twice.
            script = plan["ranks"][0]["argv"][1]
            for word in ("--node-manager-port", "--ray-client-server-port", "--max-worker-port"):
                assert word in script


def test_containers_of_before_services_are_those_of_main(chat: Thing) -> None:
    old = served(chat)
    for facts in old.values():
        for container in facts["containers"]:
            container["name"] = container["name"].replace("main", "lab-tiny")
            for key in ("service", "slot"):
                del container["labels"][f"dgxspark.suite/{key}"]
    steps = launch_steps(chat, beside(old))
    assert replaced(steps) == {"spark1": "dgxspark-lab-tiny-0", "spark2": "dgxspark-lab-tiny-1"}
    assert workloads(beside(old))[0]["service"] == "main"


def test_services_of_the_same_plan_are_two_workloads(
    nodes: t.Callable[[int], list[Node]],
) -> None:
    first = planned("lab-tiny-solo", nodes(2)[:1])
    second = planned("lab-tiny-solo", nodes(2)[1:], Service("other", 3))
    found = workloads(beside(served(first), served(second)))
    assert [(one["service"], one["slot"], one["nodes"]) for one in found] == [
        ("main", 0, ["spark1"]),
        ("other", 3, ["spark2"]),
    ]


def test_a_service_keeps_its_slot_and_a_new_one_gets_a_free_one(chat: Thing, other: Thing) -> None:
    observed = beside(served(chat), served(other))
    assert slot_for(observed, "main") == 0
    assert slot_for(observed, "other") == 1
    assert slot_for(observed, "third") == 2
    assert slot_for(beside(), "third") == 1


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a" * 32, "a/b", "{{ a }}", "a\n"])
def test_a_service_has_a_name_that_a_unit_may_have(name: str) -> None:
    with pytest.raises(RecipeError, match="cannot be the name of a service"):
        slot_for({}, name)


def test_no_more_services_than_slots(nodes: t.Callable[[int], list[Node]]) -> None:
    observed = beside()
    for slot in range(1, SLOTS + 1):
        plan = planned("lab-tiny-solo", nodes(1), Service(f"s{slot}", slot))
        observed["spark1"]["containers"] += json.loads(json.dumps(served(plan)))["spark1"][
            "containers"
        ]
    with pytest.raises(RecipeError, match="stop one of them"):
        slot_for(observed, "one-more")


GIB = 1 << 30


def test_a_service_that_does_not_fit_beside_its_neighbours_is_refused_with_the_figures(
    chat: Thing, other: Thing
) -> None:
    chat = {**chat, "claim": "share:0.6"}
    for rank in chat["ranks"]:
        rank["labels"]["dgxspark.suite/claim"] = chat["claim"]
    observed = beside(served(chat))
    for facts in observed.values():
        facts["memory_total_bytes"] = 120 * GIB
    fits, does_not = ({**other, "claim": claim} for claim in ("gib:44", "share:0.37"))
    assert launch_steps(fits, observed)["refusals"] == []
    (refusal,) = launch_steps(does_not, observed)["refusals"]
    assert (
        "spark2: service other asks for 44.4 GiB, and 44.0 of 120.0 GiB are left" in refusal["why"]
    )
    assert "main 72.0 GiB" in refusal["why"]
    assert refusal["next"] == ["recipes", "-e", f"memory={other['recipe_path']}"]
    # What is replaced does not count, and neither does what has ended.
    assert launch_steps({**chat, "hash": "new"}, observed)["refusals"] == []
    for facts in observed.values():
        facts["containers"][0]["status"] = "exited"
    assert launch_steps(does_not, observed)["refusals"] == []


def test_what_is_free_now_counts_with_what_the_service_gives_back(
    chat: Thing, other: Thing
) -> None:
    other = {**other, "claim": "gib:30"}
    for plan in (chat, other):
        for rank in plan["ranks"]:
            rank["labels"]["dgxspark.suite/claim"] = "gib:20"
    observed = beside(served(chat))
    for facts in observed.values():
        facts |= {"memory_total_bytes": 120 * GIB, "memory_available_bytes": 29 * GIB}
    (refusal,) = launch_steps(other, observed)["refusals"]
    assert "spark2: service other asks for 30.0 GiB, and 29.0 GiB are free now" in refusal["why"]
    observed["spark2"]["containers"] += served(other)["spark2"]["containers"]
    assert launch_steps({**other, "hash": "new"}, observed)["refusals"] == []


def test_nothing_is_launched_beside_a_service_that_is_starting(chat: Thing, other: Thing) -> None:
    observed = beside(served(chat))
    observed["spark2"]["starting"] = ["main"]
    (refusal,) = launch_steps(other, observed)["refusals"]
    assert refusal["why"].startswith("spark2: service main is starting. ")
    assert refusal["next"] == ["status"]
    # A launch of what is starting goes on where it was.
    assert launch_steps({**chat, "hash": "new"}, observed)["refusals"] == []


def test_an_unknown_claim_refuses_nothing_and_is_named_in_a_refusal(
    chat: Thing, other: Thing
) -> None:
    for rank in chat["ranks"]:
        rank["labels"]["dgxspark.suite/claim"] = ""
    observed = beside(served(chat))
    for facts in observed.values():
        facts["memory_total_bytes"] = 20 * GIB
    assert launch_steps({**other, "claim": ""}, observed)["refusals"] == []
    (refusal,) = launch_steps({**other, "claim": "gib:17"}, observed)["refusals"]
    assert "main an unknown part" in refusal["why"]


@pytest.mark.parametrize(
    ("claim", "gib"),
    [
        ("share:0.5", 50.0),
        ("gib:12.5", 12.5),
        ("", None),
        ("share:2", None),
        ("gib:-1", None),
        ("gib:nan", None),
        ("gib:1e9", None),
        ("bytes:5", None),
        ("gib:" + "9" * 400, None),
    ],
)
def test_a_claim_is_the_label_of_a_container_that_anybody_may_write(
    claim: str, gib: float | None
) -> None:
    assert gib_of(claim, 100 * GIB) == gib


def test_an_engine_claims_its_share_or_what_it_is_estimated_to_need(
    nodes: t.Callable[[int], list[Node]],
) -> None:
    assert planned("qwen3-1.7b", nodes(1))["claim"] == "share:0.3"
    without = Settings(gpus="")
    resolved = resolve(load("qwen3-1.7b", [str(ROOT / "recipes")]), {}, nodes(1), Variables())
    assert build_plan(resolved, without)["claim"].startswith("gib:")
