# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of services for the gateway, from what the nodes report."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services import endpoints
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.declared import declared
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services.health import rows

NODES = ["spark1", "spark2"]
DECLARED = [{"name": "search", "url": "http://192.0.2.20:8080", "kind": "http"}]


def reported(name: str, **other: t.Any) -> dict[str, t.Any]:
    """What the module health returns for a service."""
    entry = {"name": name, "url": "http://192.0.2.11:8000/", "model": "big", "kind": ["chat"]}
    return {**entry, "state": "up", "phase": "serving", "detail": "answers", "deep": True, **other}


def made(
    *services: dict[str, t.Any],
    second: dict[str, t.Any] | None = None,
    previous: t.Any = None,
    caps: dict[str, t.Any] | None = None,
) -> dict[str, dict[str, t.Any]]:
    """The entries by name; spark1 has these services, and spark2 has returned `second`."""
    results = {"spark1": {"services": [*services]}, "spark2": second or {"services": []}}
    found = rows(declared(DECLARED, NODES), results, NODES)
    document = endpoints.document(found, json.dumps(previous), caps or {})
    assert document["schema"] == 1
    return {entry["name"]: entry for entry in document["services"]}


def test_an_entry_has_the_paths_and_caps_of_its_kind() -> None:
    assert made(reported("main")) == {
        "main": {
            "name": "main",
            "node": "spark1",
            "url": "http://192.0.2.11:8000",
            "kind": ["chat"],
            "paths": ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"],
            "model": "big",
            "light": "/health",
            "state": "ready",
            "why": "",
            "concurrency": 64,
            "queue": 64,
            "timeout": 600,
        }
    }


def test_speech_has_one_request_at_a_time() -> None:
    found = made(reported("voice", kind=["text_to_speech", "speech_to_text"]))["voice"]
    assert found["concurrency"] == 1
    assert {"/v1/audio/speech", "/v1/audio/transcriptions"} <= set(found["paths"])


def test_search_redaction_and_speakers_are_served() -> None:
    found = made(
        reported("a", kind=["vector_store"]),
        reported("b", kind=["redaction"]),
        reported("c", kind=["speech_to_text", "diarization"]),
    )
    assert found["a"]["paths"] == ["/api/search"]
    assert found["b"]["paths"] == ["/rehydrate", "/scrub"]
    assert "/api/audio/diarize-chunk" in found["c"]["paths"]
    assert (found["c"]["concurrency"], found["c"]["timeout"]) == (1, 600)


def test_a_kind_that_is_not_known_may_have_any_path() -> None:
    paths = set(made(reported("main", kind=[]))["main"]["paths"])
    assert {"/v1/chat/completions", "/v1/embeddings", "/v1/rerank"} <= paths


@pytest.mark.parametrize("kind", [["bot"], ["http"]])
def test_what_the_gateway_does_not_serve_is_not_in_the_file(kind: list[str]) -> None:
    assert made(reported("other", kind=kind)) == {}


@pytest.mark.parametrize(
    ("report", "state"),
    [
        ({"state": "down", "phase": "rejected", "detail": "wrong \x1b vectors"}, "failed"),
        ({"state": "down", "phase": "healthy"}, "failed"),
        ({"state": "down", "phase": "loading"}, "ready"),
        ({"state": "down", "phase": "starting", "deep": False}, "ready"),
        ({"state": "down", "phase": "stopped", "deep": False}, "ready"),
        ({"state": "busy", "phase": "healthy"}, "ready"),
    ],
)
def test_only_a_deep_probe_takes_a_server_out(report: dict[str, t.Any], state: str) -> None:
    found = made(reported("main", **report))["main"]
    assert found["state"] == state
    assert found["why"].isprintable()


OLD = {
    "schema": 1,
    "services": [
        {"name": "main", "node": "spark1", "url": "http://192.0.2.11:8000"},
        {"name": "second", "node": "spark2", "url": "http://192.0.2.12:8000"},
    ],
}


@pytest.mark.parametrize("lost", [{"unreachable": True, "msg": "timed out"}, {"msg": "no Python"}])
def test_services_of_a_node_that_was_not_inspected_remain(lost: dict[str, t.Any]) -> None:
    assert made(second=lost, previous=OLD) == {"second": OLD["services"][1]}  # type: ignore[index]


def test_a_service_that_has_moved_is_there_once() -> None:
    found = made(reported("second"), second={"unreachable": True}, previous=OLD)
    assert found["second"]["node"] == "spark1"


@pytest.mark.parametrize(
    "previous", [None, [], {"schema": 2, "services": OLD["services"]}, {"services": 1}]
)
def test_another_file_before_is_as_none(previous: t.Any) -> None:
    assert made(reported("main"), second={"unreachable": True}, previous=previous).keys() == {
        "main"
    }


def test_caps_of_the_inventory() -> None:
    found = made(reported("main"), caps={"main": {"concurrency": 2, "queue": 0}, "none": {}})[
        "main"
    ]
    assert (found["concurrency"], found["queue"], found["timeout"]) == (2, 0, 600)


@pytest.mark.parametrize(
    "caps", [{"concurency": 2}, {"concurrency": 0}, {"queue": "8"}, {"timeout": True}, 4]
)
def test_caps_that_are_wrong_are_refused(caps: t.Any) -> None:
    with pytest.raises(RecipeError, match="caps of main"):
        made(reported("main"), caps={"main": caps})


def test_addresses_are_those_of_hosts_and_watched_servers() -> None:
    hosts: list[dict[str, t.Any]] = [
        {
            "inventory_hostname": "spark1",
            "ansible_host": "spark1.local",
            "dgxspark_address": "192.0.2.11",
        },
        {"inventory_hostname": "192.0.2.12", "dgxspark_fabric_address": "198.51.100.2"},
        {"inventory_hostname": "localhost"},
    ]
    assert endpoints.addresses(hosts, declared(DECLARED, NODES)) == [
        "192.0.2.11",
        "192.0.2.12",
        "192.0.2.20",
        "198.51.100.2",
    ]
