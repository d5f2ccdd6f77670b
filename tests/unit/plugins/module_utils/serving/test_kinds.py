# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of kinds, and its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host.labels import LABEL
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import kinds
from ansible_collections.dgxspark.suite.plugins.modules import wait_serving

PAGE = Path(__file__).resolve().parents[5] / "docs/contracts/kinds.md"


def row(name: str, kind: kinds.Kind) -> str:
    asks = ", ".join(f"`{path}`" for path in kind.asks)
    gateway = ", ".join(f"`{path}`" for path in kind.gateway)
    caps = f"{kind.caps.concurrency} / {kind.caps.queue} / {kind.caps.timeout} s"
    light = f"`{kind.light}`" if kind.light else ""
    cells = [f"`{name}`", light, asks, kind.deep, gateway, caps if gateway else ""]
    return " ".join(f"| {cell}" if cell else "|" for cell in cells) + " |"


def test_the_page_has_the_table_of_the_code() -> None:
    lines = PAGE.read_text("utf-8").splitlines()
    start = lines.index("| --- | --- | --- | --- | --- | --- |") + 1
    table = lines[start : lines.index("", start)]
    assert table == [row(name, kind) for name, kind in kinds.KINDS.items()]


def test_the_module_takes_every_kind() -> None:
    choices = wait_serving.DOCUMENTATION.split("choices: [")[1].partition("]")[0]
    assert [word.strip() for word in choices.split(",")] == [*kinds.KINDS]


@pytest.mark.parametrize(
    ("label", "found"),
    [
        (None, ()),
        ("", ()),
        ("embeddings", ("embeddings",)),
        ("embeddings,rerank", ("embeddings", "rerank")),
        # Whoever may use Docker labels containers as ours.
        ("chatt,../x,rerank", ("rerank",)),
    ],
)
def test_kinds_of_a_container(label: str | None, found: Sequence[str]) -> None:
    labels = {} if label is None else {LABEL + "kind": label}
    assert kinds.of_labels(labels) == found


def test_the_light_probe_of_an_unknown_kind_is_that_of_a_server() -> None:
    assert kinds.light_path(()) == "/health"
    assert kinds.light_path(("vector_store",)) == "/readyz"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ((), "http://192.0.2.1:1/v1"),
        (("text_to_speech",), "http://192.0.2.1:1/v1"),
        (("vector_store",), "http://192.0.2.1:1"),
        (("http", "chat"), "http://192.0.2.1:1/v1"),
        (("bot",), "http://192.0.2.1:1"),
    ],
)
def test_clients_are_configured_with_v1_where_the_requests_are_below_it(
    kind: Sequence[str], expected: str
) -> None:
    assert kinds.endpoint("http://192.0.2.1:1", kind) == expected
    assert kinds.endpoint("", kind) == ""
