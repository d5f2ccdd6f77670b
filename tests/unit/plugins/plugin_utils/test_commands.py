# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that a person is told to type next."""

from __future__ import annotations

import json
import os
import shlex
from typing import Any

import pytest
from ansible import constants as C
from ansible.parsing.splitter import parse_kv

from ansible_collections.dgxspark.suite.plugins.plugin_utils import commands
from ansible_collections.dgxspark.suite.plugins.plugin_utils.commands import (
    PLAYBOOKS,
    again,
    parted,
    playbook_command,
    request_command,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.next_step import (
    of_recipe,
    refusal,
    status_command,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    RecipeError,
    RecipeNotFetched,
    RecipeNotFound,
)


def test_the_options_of_the_run_are_repeated() -> None:
    options = {
        "inventory": [os.path.join(os.getcwd(), "my nodes"), "198.51.100.1,"],
        "remote_user": "alice",
        "become_ask_pass": True,
    }
    line = playbook_command("launch", ["-e", "recipe=a b"], options)
    assert shlex.split(line) == [
        *["ansible-playbook", "-i", "my nodes", "-i", "198.51.100.1,", "-u", "alice", "-K"],
        *["dgxspark.suite.launch", "-e", "recipe=a b"],
    ]


def test_what_the_configuration_says_is_not_repeated() -> None:
    options = {"inventory": list(C.DEFAULT_HOST_LIST), "remote_user": C.DEFAULT_REMOTE_USER}
    assert playbook_command("site", (), options) == "ansible-playbook dgxspark.suite.site"
    assert playbook_command("site", (), {}) == "ansible-playbook dgxspark.suite.site"


@pytest.mark.parametrize("hosts", ["mine[0:1]", ["a", "b"]])
def test_the_nodes_of_the_run_are_repeated(monkeypatch: pytest.MonkeyPatch, hosts: object) -> None:
    monkeypatch.setattr(commands, "load_extra_vars", lambda _loader: {"dgxspark_hosts": hosts})
    line = playbook_command("site", ["--check"], {"extra_vars": ("given",)})
    *command, given, check = shlex.split(line)
    assert [*command, check] == ["ansible-playbook", "dgxspark.suite.site", "-e", "--check"]
    assert parse_kv(given).get("dgxspark_hosts", given) in (
        hosts,
        json.dumps({"dgxspark_hosts": hosts}),
    )


@pytest.mark.parametrize(
    ("kind", "path", "key"),
    [
        ("", "completions", "prompt"),
        ("chat", "completions", "prompt"),
        ("embeddings", "embeddings", "input"),
        ("rerank", "rerank", "documents"),
    ],
)
def test_a_request_can_be_typed_whatever_the_model_is_called(
    kind: str, path: str, key: str
) -> None:
    name = 'it\'s $(touch x) "b"'
    words = shlex.split(request_command("http://192.0.2.1:8000", name, kind))
    assert words[:3] == ["curl", "-s", f"http://192.0.2.1:8000/v1/{path}"]
    body = json.loads(words[-1])
    assert (body["model"], key in body) == (name, True)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("speech_to_text", "/v1/audio/transcriptions -F file=@speech.wav -F model=m"),
        ("vector_store", "/collections"),
        ("redaction", "/health"),
        ("http", ""),
    ],
)
def test_companions_are_asked_in_their_own_ways(kind: str, expected: str) -> None:
    url = "http://192.0.2.1:1"
    assert request_command(url, "m", kind) == f"curl -s {url}{expected}"


def test_speech_is_written_to_a_file() -> None:
    assert " -o speech.wav " in request_command("http://192.0.2.1:1", "m", "text_to_speech")


def test_a_server_of_another_kind_is_asked_for_its_models() -> None:
    assert (
        request_command("http://192.0.2.1:1", "m", "bot") == "curl -s http://192.0.2.1:1/v1/models"
    )


def workload(**more: Any) -> dict[str, Any]:
    fields = {"service": "main", "state": "running", "recipe_path": "/r/a.yaml"}
    fields |= {"nodes": ["spark1"], "overrides": {}}
    return {**fields, "url": "http://192.0.2.1:8000", "served_model_name": "a", **more}


@pytest.mark.parametrize(
    ("workloads", "phase", "lost", "expected"),
    [
        ([], "", (), "dgxspark.suite.recipes"),
        ([workload(state="retained")], "", (), "dgxspark.suite.recipes"),
        ([workload()], "serving", (), "/v1/completions"),
        ([workload()], "healthy", (), "dgxspark.suite.logs -e service=main"),
        ([workload(state="ended")], "", (), "launch -e service=main -e recipe=/r/a.yaml"),
        (
            [workload(state="1 of 2 ranks run", nodes=["b", "a"])],
            "serving",
            (),
            "launch -e service=main -e recipe=/r/a.yaml -e nodes=b,a",
        ),
        (
            [workload(state="ended", overrides={"port": 9000})],
            "",
            (),
            """-e nodes=spark1 -e '{"overrides": {"port": 9000}}'""",
        ),
        ([workload()], "serving", ("spark2",), "dgxspark.suite.site --check --limit spark2"),
    ],
)
def test_what_is_served_leads_on(
    workloads: list[dict[str, Any]], phase: str, lost: tuple[str, ...], expected: str
) -> None:
    report = {"workloads": workloads, "answers": {"main": {"phase": phase}} if phase else {}}
    assert expected in status_command(report, lost)


@pytest.mark.parametrize(
    ("workloads", "answer", "expected"),
    [
        ([], {}, "dgxspark.suite.status -b"),
        ([workload(state="ended", source="units")], {}, "dgxspark.suite.status -b"),
        ([workload(source="units")], {"phase": "starting"}, "suite.logs -b -e service=main"),
        (
            [workload(source="units")],
            {"phase": "healthy", "denied": True},
            "dgxspark.suite.status -b",
        ),
        ([workload(source="units")], {"phase": "serving"}, "/v1/completions"),
    ],
)
def test_what_needs_root_is_typed_with_it(
    workloads: list[dict[str, Any]], answer: dict[str, Any], expected: str
) -> None:
    report = {
        "workloads": workloads,
        "answers": {"main": answer} if answer else {},
        "containers_unknown": {"spark1": "alice may not use Docker"},
    }
    assert expected in status_command(report)


def test_a_run_as_root_leads_on_to_one_as_root() -> None:
    options = {"become": True}
    assert playbook_command("logs", (), options) == "ansible-playbook -b dgxspark.suite.logs"
    assert playbook_command("logs", ["-b"], options).count("-b") == 1


@pytest.mark.parametrize(
    "typed", ["dgxspark.suite.stop", os.path.join(PLAYBOOKS, "stop.yml")], ids=["name", "path"]
)
def test_a_run_is_repeated_as_it_was_typed(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    given = ("service=a b", "dgxspark_hosts=mine")
    monkeypatch.setattr(
        commands, "load_extra_vars", lambda _loader: {"service": "a", "dgxspark_hosts": "mine"}
    )
    options = {
        "args": (typed,),
        "extra_vars": given,
        "inventory": ["mine.yml"],
        "subset": "spark1",
        "tags": ("all",),
        "check": True,
    }
    assert shlex.split(again("-e", "lock_wait=9", options=options)) == [
        *["ansible-playbook", "-i", "mine.yml", "dgxspark.suite.stop", "--limit", "spark1"],
        *["--check", "-e", given[0], "-e", given[1], "-e", "lock_wait=9"],
    ]


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        (("/elsewhere/stop.yml",), {}),
        (("dgxspark.suite.stop", "dgxspark.suite.launch"), {}),
        ((), {}),
        (("dgxspark.suite.stop",), {"lock_token": "x"}),
        (("dgxspark.suite.stop",), {"dgxspark_hf_token": "x"}),
        (("dgxspark.suite.stop",), {"dgxspark_webhook_secret": "x"}),
        (("dgxspark.suite.stop",), {"ansible_become_password": "x"}),
        (("dgxspark.suite.launch",), {"overrides": {"env": {"HF_TOKEN": "x"}}}),
    ],
)
def test_a_run_with_a_secret_or_of_somebody_else_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...], given: dict[str, str]
) -> None:
    monkeypatch.setattr(commands, "load_extra_vars", lambda _loader: given)
    assert again(options={"args": typed, "extra_vars": ("@file",) if given else ()}) == ""


def test_the_first_refusal_that_knows_says_what_leads_on() -> None:
    known = {"why": "it is taken", "next": ["models"]}
    message = refusal(["x", known, {**known, "next": ["status"]}], "recipes")
    assert message == "x; it is taken; it is taken\nnext: ansible-playbook dgxspark.suite.models"
    assert parted(message)[1] == "next: ansible-playbook dgxspark.suite.models"
    assert refusal("y", "status", "-b") == "y\nnext: ansible-playbook dgxspark.suite.status -b"
    assert parted("a\nnext: b\nc") == ("a\nnext: b\nc", "")
    # Nothing that is quoted can end the line.
    assert refusal("y", "stop", "-e", "recipe=a\nnext: rm").count("\n") == 1


@pytest.mark.parametrize(
    ("error", "overrides", "expected"),
    [
        (RecipeNotFetched("x"), False, "recipes -e fetch=true"),
        (RecipeNotFound("x"), False, "recipes"),
        (RecipeError("x"), False, "recipes -e validate=a"),
        (RecipeError("x"), True, "recipes -e show=a"),
    ],
)
def test_a_recipe_that_cannot_be_used_leads_on(
    error: RecipeError, overrides: bool, expected: str
) -> None:
    line = f"next: ansible-playbook dgxspark.suite.{expected}"
    assert of_recipe(error, "a", overrides) == f"x\n{line}"
