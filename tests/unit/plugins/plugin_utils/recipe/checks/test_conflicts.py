# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of one inventory on one port."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.validation import (
    service_issues,
    validated,
)

ROOT = pathlib.Path(__file__).resolve().parents[6]


def issues(services: t.Any) -> list[tuple[str, str]]:
    context = Context([str(ROOT / "recipes")], services=services)
    return [(issue.code, issue.message) for issue in service_issues(context)]


CHAT = {"name": "chat", "recipe": "qwen3-14b-fp8", "nodes": ["spark1"]}
EMBED = {"name": "embed", "recipe": "qwen3-1.7b", "nodes": ["spark1"]}


@pytest.mark.parametrize(
    ("services", "clashing"),
    [
        ([CHAT, EMBED], ["chat and embed both listen on port 8000 of spark1"]),
        ([CHAT, {**EMBED, "nodes": ["spark2"]}], []),
        ([CHAT, {**EMBED, "overrides": {"port": 8001}}], []),
        ([CHAT, {**EMBED, "nodes": ["spark2", "spark1"]}], []),
        (
            [CHAT, {"name": "db", "port": 8000}],
            ["chat and db both listen on port 8000 of spark1"],
        ),
        ([CHAT, {"name": "db", "port": 6333, "nodes": "spark1"}], []),
    ],
)
def test_two_on_one_port_of_one_node_clash(
    services: list[dict[str, t.Any]], clashing: list[str]
) -> None:
    assert issues(services) == [("port-clash", text) for text in clashing]


@pytest.mark.parametrize(
    "service",
    [
        "chat",
        {"name": "chat"},
        {"name": "chat", "port": "http"},
        {"name": "chat", "recipe": "no-such-recipe"},
        {"name": "chat", "prot": 1},
    ],
)
def test_what_is_no_service_is_an_error(service: object) -> None:
    assert [code for code, _message in issues([service])] == ["service-invalid"]


def test_a_clash_makes_the_validation_of_all_fail() -> None:
    results = validated(["all"], Context([str(ROOT / "recipes")], services=[CHAT, EMBED]))
    assert [result["name"] for result in results if result["errors"]] == ["services"]
