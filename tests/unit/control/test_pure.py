# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What control makes of events and reports, and its contract."""

from __future__ import annotations

import copy
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from control_fakes import CONFIRM, FIXTURES, HEALTH, MODELS, RECIPES, STATUS, Lab, subject
from dgxspark_control import answers, files, plays, requests, snapshot
from dgxspark_control.app import create_app
from dgxspark_control.config import Config
from dgxspark_control.events import PHASES, Progress
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.outages import (
    DEEP,
    Entry,
    Line,
    State,
)

ROOT = Path(__file__).resolve().parents[3]
CONTRACT = (ROOT / "docs" / "contracts" / "control_api.md").read_text(encoding="utf-8")
NOW = 1795822452.0
Map = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Lab(tmp_path).config().model_copy(update={"inventory": ["/etc/my inventory"]})


EXAMPLES = {
    "access": answers.Access,
    "drift": answers.Drift,
    "endpoints": answers.Endpoints,
    "health": answers.HealthReport,
    "job": answers.Job,
    "job_done": answers.Job,
    "job_failed": answers.Job,
    "job_locked": answers.Job,
    "job_setup": answers.Job,
    "job_validated": answers.Job,
    "jobs": answers.Jobs,
    "lock": answers.Lock,
    "lock_free": answers.Lock,
    "lock_taken": answers.Reservation,
    "models": answers.Models,
    "outages": answers.Outages,
    "problem_changed": answers.Problem,
    "problem_invalid": answers.Problem,
    "problem_locked": answers.Problem,
    "problem_running": answers.Problem,
    "problem_token": answers.Problem,
    "recipes": answers.Recipes,
    "schedule": answers.Schedule,
    "services": answers.Services,
    "status": answers.Status,
    "swap": answers.Swaps,
}


def test_the_examples_are_answers() -> None:
    assert {path.stem for path in FIXTURES.glob("*.json")} == {*EXAMPLES}
    for name, shape in EXAMPLES.items():
        text = (FIXTURES / f"{name}.json").read_text(encoding="utf-8")
        shape.model_validate_json(text, strict=False)


def test_the_contract_has_the_paths_of_the_application(config: Config) -> None:
    written = {
        (method, path)
        for method, path in re.findall(r"^\| (GET|POST|DELETE) `(/[^`]*)`", CONTRACT, re.M)
        if path != "/"
    }
    schema = create_app(config).openapi()
    found = {
        (method.upper(), path.replace("{name}", "{id}") if "/jobs/" in path else path)
        for path, methods in schema["paths"].items()
        for method in methods
    }
    found = {(method, path.replace("{entry}", "{id}")) for method, path in found}
    assert found | {("GET", "/openapi.json")} == written


def test_the_lock_is_not_hidden_by_a_path_with_a_name(config: Config) -> None:
    routes = [one for one in create_app(config).routes if isinstance(one, APIRoute)]
    for route in routes:
        if "{" not in route.path:
            scope = {"type": "http", "method": min(route.methods), "path": route.path}
            first = next(one for one in routes if one.matches(scope)[0].value == 2)
            assert first.path == route.path


def test_the_contract_has_the_codes_of_the_application() -> None:
    sources = (ROOT / "roles/control/files/dgxspark_control").glob("*.py")
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    used = set(re.findall(r"Refusal\(\s*\d{3},\s*\"([a-z_]+)\"", text))
    written = set(re.findall(r"^\| \d{3} \| `([a-z_]+)` \|", CONTRACT, re.M))
    assert used <= written, used - written


def test_the_contract_has_the_settings(config: Config) -> None:
    settings = CONTRACT.partition("## Settings")[2]
    written = {
        name
        for row in re.findall(r"^\| (`.*?) \|", settings, re.M)
        for name in re.findall(r"`([a-z_0-9]+)`", row)
    }
    assert set(Config.model_fields) <= written


def tasks(path: Path) -> set[str]:
    names: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, list):
            for one in value:
                walk(one)
        elif isinstance(value, dict):
            names.add(str(value.get("name")))
            for key in ("block", "rescue", "always"):
                walk(value.get(key))

    walk(yaml.safe_load(path.read_text(encoding="utf-8")))
    return names


def test_ssh_has_the_key_of_control_and_asks_nobody(tmp_path: Path) -> None:
    private = tmp_path / "control_key"
    for _start in range(2):
        files.write_ssh_settings(tmp_path / "home", private)
    written = tmp_path / "home" / ".ssh" / "config"
    assert written.stat().st_mode & 0o777 == 0o600
    assert written.parent.stat().st_mode & 0o777 == 0o700
    asked = ["ssh", "-G", "-F", str(written), "192.0.2.11"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line for line in said if line.startswith("identityfile")] == [f"identityfile {private}"]
    assert {"identitiesonly yes", "stricthostkeychecking accept-new"} <= set(said)


def test_phases_begin_with_tasks_that_exist() -> None:
    for role, task in PHASES:
        files = (ROOT / "roles" / role / "tasks").glob("*.yml")
        assert any(task in tasks(path) for path in files), (role, task)


@pytest.mark.parametrize("kind", ["swap", "stop", "restart", "health", "drift", "schedule", "lock"])
def test_plays_run_playbooks_and_variables_that_exist(kind: str) -> None:
    made = {
        "swap": plays.launch("a", False, "main", ["n"], {"b": 1}, owner="o", token="t", force=True),
        "stop": plays.stop("main", owner="o", token="t", force=True),
        "restart": plays.again("restart", "main", owner="o", token="t", force=True),
        "health": plays.health(True, "f"),
        "drift": plays.drift("f"),
        "schedule": plays.announce("o", "2026-12-01T14:00", 1.0, "r"),
        "lock": plays.lock(seconds=1, owner="o", reason="r", token="t", release=True, force=True),
    }[kind]
    text = (ROOT / "playbooks" / f"{made.playbook}.yml").read_text(encoding="utf-8")
    text += (ROOT / "docs" / "variables.md").read_text(encoding="utf-8")
    for name in made.variables | made.unshown:
        assert name in text, name


@given(
    st.recursive(
        st.text() | st.integers() | st.booleans() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=8,
    )
)
def test_no_string_of_a_request_is_a_template(value: Any) -> None:
    def bare(given: Any) -> bool:
        if isinstance(given, dict):
            if set(given) == {"__ansible_unsafe"} and isinstance(given["__ansible_unsafe"], str):
                return False
            return any(map(bare, given.values()))
        return any(map(bare, given)) if isinstance(given, list) else isinstance(given, str)

    assert not bare(json.loads(json.dumps(plays.unsafe(value))))


def test_a_command_can_be_typed_and_has_no_token(config: Config) -> None:
    overrides = {"port": 9000, "served_model_name": "a b"}
    play = plays.launch(
        "lab-tiny", False, "main", ["spark1"], overrides, token="secret-token", owner="Alice B"
    )
    command = plays.command(play, config)
    assert "secret-token" not in command
    assert shlex.split(command) == [
        *("ansible-playbook", "-i", "/etc/my inventory", "dgxspark.suite.launch"),
        *("-e", "recipe=lab-tiny", "-e", "service=main", "-e", "nodes=spark1"),
        *("-e", '{"overrides": {"port": 9000, "served_model_name": "a b"}}'),
        *("-e", '{"dgxspark_owner": "Alice B"}', "-e", "lock_token=TOKEN"),
    ]


def raw(counter: int, event: str, stdout: str = "", **data: Any) -> Map:
    created = f"2026-11-27T23:24:{counter:02d}.5+00:00"
    return {
        "counter": counter,
        "event": event,
        "created": created,
        "stdout": stdout,
        "event_data": data,
    }


def task(counter: int, role: str, name: str) -> Map:
    return raw(counter, "playbook_on_task_start", task=name, role=f"dgxspark.suite.{role}")


def test_a_launch_has_its_phases_its_lines_and_its_result() -> None:
    progress = Progress()
    wait = "dgxspark.suite.wait_swap"
    parts = [{"phase": "stop old", "seconds": 2.0}]
    result = {"phase": "complete", "phases": parts, "kind": "chat"}
    events = [
        raw(1, "playbook_on_start"),
        task(2, "cluster_lock", "Take the cluster lock"),
        task(5, "launch", "Inspect the nodes and what they serve"),
        raw(6, "verbose", "    spark1: pulling: 3 of 7 layers\r\n\n"),
        task(10, "launch", "Follow the swap until its end"),
        raw(12, "verbose", "      2 s  stops the old plan"),
        raw(20, "runner_on_ok", resolved_action=wait, host="spark1", res=result),
        raw(21, "runner_on_ok", resolved_action="ansible.builtin.debug", res={"msg": ["a", "b"]}),
        raw(22, "playbook_on_stats", artifact_data={"dgxspark_plan": {"recipe": "lab-tiny"}}),
    ]
    shown = [event for one in events for event in progress.feed(one)]
    progress.end()
    assert [(e.id, e.name) for e in shown] == [
        *[(2, "phase"), (2, "task"), (5, "phase"), (5, "task"), (6, "lines")],
        *[(10, "phase"), (10, "task"), (12, "lines"), (21, "lines")],
    ]
    assert progress.phases == [
        {"name": "lock", "seconds": 3.0},
        {"name": "preflight", "seconds": 5.0},
        {"name": "swap", "seconds": 12.0},
    ]
    assert list(progress.lines) == [
        *["    spark1: pulling: 3 of 7 layers", "      2 s  stops the old plan", "a", "b"]
    ]
    assert progress.result == {
        "result": "complete",
        "phases": result["phases"],
        "kind": "chat",
        "plan": {"recipe": "lab-tiny"},
    }


def test_a_refusal_of_the_lock_has_its_holder_and_no_token() -> None:
    progress = Progress()
    lock = {"owner": "Alice", "reason": "x", "since": "s", "expires": "e", "run_since": None}
    secret = "0123456789abcdef0123456789abcdef"
    answer = {
        "msg": f"The cluster is locked by Alice {secret}\nnext: x",
        "by_run": True,
        "lock": {**lock, "token": secret},
        "invocation": {"module_args": {"token": secret}},
    }
    (event,) = progress.feed(
        raw(3, "runner_on_failed", resolved_action="dgxspark.suite.cluster_lock", res=answer)
    )
    assert event.name == "failed"
    assert progress.code == "locked"
    assert progress.result == {"lock": {**lock, "by_run": True}}
    assert secret not in json.dumps([event.data, progress.why, progress.result])


def test_what_tasks_were_given_and_return_goes_nowhere() -> None:
    progress = Progress()
    shown = progress.feed(
        raw(
            *(3, "runner_on_ok"),
            resolved_action="ansible.builtin.command",
            task_args="argv=secret",
            res={
                "stdout": "secret",
                "msg": "secret",
                "invocation": {"a": "secret"},
            },
        )
    )
    assert shown == []
    assert "secret" not in json.dumps(list(progress.lines)) + json.dumps(progress.result)


@given(
    st.dictionaries(
        st.sampled_from(["counter", "event", "event_data", "stdout", "created"]),
        st.none() | st.integers(0, 9) | st.text() | st.dictionaries(st.text(), st.text()),
    )
)
def test_events_of_any_shape_are_survived(event: Map) -> None:
    Progress().feed(event)


@pytest.mark.parametrize("text", ["\x1b[2Jhidden", "a\u202eb", "x" * 5000])
def test_lines_are_displayable(text: str) -> None:
    (event,) = Progress().feed(raw(1, "verbose", text))
    (line,) = event.data["lines"]
    assert line.isprintable()
    assert len(line) <= 2000


def known(**more: Any) -> snapshot.Known:
    subjects = {
        "node/spark1": Entry("up", 1795800000),
        "service/search": Entry("down", 1795822000),
    }
    given = {
        "at": NOW,
        "facts_at": NOW,
        "subjects": subjects,
        "schedule": [],
        "status": STATUS,
        "health": HEALTH,
        **more,
    }
    return snapshot.Known(**given)


def test_the_snapshot_joins_what_plays_and_polls_know(config: Config) -> None:
    made = snapshot.status(known(), [], config, NOW)
    answers.Status.model_validate(made)
    main, search, speech = made["services"]
    assert (main["name"], main["state"], main["confirm"]) == ("main", "up", CONFIRM)
    assert set(main["commands"]) == {"stop", "restart", "update", "reapply", "logs"}
    assert (search["state"], search["since"]) == ("down", "2026-11-27T23:26:40Z")
    assert search["commands"] == {}
    assert (speech["state"], speech["confirm"], [*speech["commands"]]) == ("off", "", ["start"])
    assert made["nodes"][0]["memory_total_bytes"] == 2 << 30
    assert not made["stale"]
    found = snapshot.endpoints(made["services"], "")
    answers.Endpoints.model_validate(found)
    assert [one["ready"] for one in found["services"]] == [True, False, False]


def test_a_retained_workload_does_not_run(config: Config) -> None:
    report = copy.deepcopy(STATUS)
    report["workloads"][0]["state"] = "retained"
    made = snapshot.status(known(status=report), [], config, NOW)
    assert made["services"][0]["confirm"] == ""


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"at": NOW - 31}, "polled"),
        ({"at": None}, "polled"),
        ({"facts_at": None, "status": None}, "yet"),
        ({"facts_at": NOW - 901}, "lately"),
        ({"failure": "unreachable"}, "unreachable"),
    ],
)
def test_a_late_snapshot_says_why(config: Config, more: Map, why: str) -> None:
    config = config.model_copy(update={"poll": 5, "facts": 300})
    made = snapshot.status(known(**more), [], config, NOW)
    assert made["stale"]
    assert why in made["why"]


def test_a_lock_is_held_until_it_expires() -> None:
    held = {"owner": "Alice", "reason": "x", "since": "s", "expires": "2026-11-27T23:34:11Z"}
    assert snapshot.lock({"lock": held}, NOW - 60)["held"]
    assert not snapshot.lock({"lock": held}, NOW)["held"]
    assert not snapshot.lock({}, NOW)["held"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([*STATUS]), JSON, st.sampled_from([*HEALTH]), JSON)
def test_reports_of_any_shape_make_a_snapshot(key: str, one: Any, other: str, two: Any) -> None:
    config = Config.model_construct(
        inventory=["i"], nodes=[], gateway="", poll=5.0, facts=300.0, variables={}
    )
    report, health = {**STATUS, key: one}, {**HEALTH, other: two}
    if not isinstance(health["at"], int) or abs(health["at"]) > 1e11:
        health["at"] = None
    made = snapshot.status(known(status=report, health=health), [], config, NOW)
    answers.Status.model_validate(made)
    found = snapshot.health(known(health=health), None, config)
    assert found["command"]


def test_listings_have_commands(config: Config) -> None:
    rows = snapshot.recipes(RECIPES, config)
    answers.Recipes.model_validate({"at": None, "recipes": rows})
    assert rows[0]["command"].endswith("dgxspark.suite.launch -e recipe=lab-tiny")
    assert rows[2]["command"] == ""
    menu = snapshot.models(MODELS, None, config)
    answers.Models.model_validate(menu)
    tiny, new, half = menu["models"]
    assert set(tiny["commands"]) == {"launch", "delete"}
    assert set(new["commands"]) == {"setup", "delete"}
    assert set(half["commands"]) == {"delete"}


def test_outages_count_from_the_moment_that_was_asked_for() -> None:
    lines = [
        Line(1000, "service/main", "up", "suspect", 5, "", "poll"),
        Line(1010, "service/main", "suspect", "down", 10, "", "poll"),
        Line(1300, "service/main", "down", "up", 300, "", "poll"),
        Line(2000, "node/spark1", "suspect", "down", 10, "", "poll"),
    ]
    state = State({"service/main": Entry("up", 1300), "node/spark1": Entry("down", 1990)}, 2050)
    found = snapshot.outage_log(lines, state, 1240, 2050)
    answers.Outages.model_validate(found)
    assert found["minutes_down"] == {"service/main": 1.0, "node/spark1": 1.0}
    assert [line["at"] for line in found["lines"]] == [
        *["1970-01-01T00:33:20Z", "1970-01-01T00:21:40Z"]
    ]


def test_a_report_adds_what_polls_do_not_know() -> None:
    health = {
        "subjects": [
            subject("node", "spark1"),
            subject("service", "main", state="down", deep=True, detail="wrong"),
            subject("service", "bot", state="up"),
            subject("service", "polled", state="down"),
        ]
    }
    rows = snapshot.health_rows(health)
    subjects = {"service/gone": Entry("down", 5), "service/never": Entry("unknown", 5)}
    found = snapshot.observations(rows, ["node/spark1", "service/polled"], subjects, 10)
    assert [(one.subject, one.state, one.source) for one in found] == [
        ("service/main", "down", DEEP),
        ("service/bot", "up", "poll"),
        ("service/gone", "off", "poll"),
    ]
    health["subjects"][0]["state"] = "down"
    found = snapshot.observations(snapshot.health_rows(health), [], subjects, 10)
    assert "service/gone" not in {one.subject for one in found}


def test_the_gateway_learns_of_swaps_and_of_their_end() -> None:
    row = subject("service", "main", url="http://192.0.2.11:8000", kind=["chat"], model="tiny")
    rows = snapshot.health_rows({"subjects": [subject("node", "spark1"), row]})
    report = {"history": {"main": [{"result": "failed"}, {"result": "complete", "seconds": 170.6}]}}
    made = snapshot.gateway_file(rows, "", {"main": "stops the old plan"}, report, {})
    (entry,) = made["services"]
    assert (entry["state"], entry["why"], entry["retry_after"]) == (
        *("swapping", "stops the old plan", 171),
    )
    lost = [subject("node", "spark1", state="down")]
    again = snapshot.gateway_file(
        snapshot.health_rows({"subjects": lost}), json.dumps(made), {}, report, {}
    )
    (entry,) = again["services"]
    assert entry["state"] == "ready"
    assert "retry_after" not in entry


def test_a_request_is_of_its_shape_only() -> None:
    for wrong in (
        {"confirm": ""},
        {"recipe": "a", "back": True, "confirm": ""},
        {"back": True, "nodes": ["spark1"], "confirm": ""},
        {"recipe": "a"},
        {"recipe": "a", "confirm": "", "service": "Main"},
        {"recipe": "a", "confirm": "", "service": "-main"},
        {"recipe": "a", "confirm": "", "nodes": ["-o ProxyCommand=x"]},
        {"recipe": "a", "confirm": "", "owner": "a\nb"},
        {"recipe": "a", "confirm": "", "overrides": {"{{ 7*7 }}": 1}},
        {"recipe": "a", "confirm": "", "overrides": {"a": {"b": 1}}},
        {"recipe": "a", "confirm": "", "overrides": {"a": float("nan")}},
        {"recipe": "a", "confirm": "", "ansible_ssh_common_args": "x"},
    ):
        with pytest.raises(ValueError, match=r".+"):
            requests.Swap.model_validate(wrong)
    requests.Swap.model_validate({"recipe": "a", "confirm": "", "overrides": {"port": 9000}})
