# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import sys
import types
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes import ray_wait


def alive(*addresses: str) -> list[dict[str, object]]:
    return [{"NodeManagerAddress": address, "Alive": True} for address in addresses]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., list[float]]:
    """A Ray whose nodes() returns the given answers in turn, and a clock that only sleep moves."""

    def install(*answers: list[dict[str, object]]) -> list[float]:
        clock = [0.0]
        left = list(answers)
        fake = types.SimpleNamespace(
            __version__="2.52.0",
            init=lambda **_kwargs: None,
            nodes=lambda: left.pop(0) if len(left) > 1 else left[0],
        )
        monkeypatch.setitem(sys.modules, "ray", t.cast("types.ModuleType", fake))
        monkeypatch.setattr(ray_wait.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(
            ray_wait.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds)
        )
        return clock

    return install


def test_it_ends_as_soon_as_all_have_joined(
    cluster: t.Callable[..., list[float]], capsys: pytest.CaptureFixture[str]
) -> None:
    clock = cluster(alive("a"), alive("a"), alive("a", "b"))
    assert ray_wait.main(["300", "a", "b"]) == 0
    assert clock == [2.0]
    assert capsys.readouterr().out.splitlines() == [
        "dgxspark: waiting for b to join Ray",
        "dgxspark: all 2 nodes have joined Ray",
    ]


def test_it_names_the_missing_nodes_after_the_time(
    cluster: t.Callable[..., list[float]], capsys: pytest.CaptureFixture[str]
) -> None:
    clock = cluster(alive("a"))
    assert ray_wait.main(["5", "a", "b", "c"]) == 1
    assert clock == [5.0]
    assert "after 5 s not in the Ray cluster: b, c" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("mode", "version", "ignores"),
    [
        ("token", "2.51.2", True),
        ("token", "1.99", True),
        ("token", "", True),
        ("token", "2.52.0", False),
        ("token", "3.0.0.dev0", False),
        ("disabled", "2.51.2", False),
    ],
)
def test_a_ray_that_ignores_its_token_ends_the_launch(
    cluster: t.Callable[..., list[float]],
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    version: str,
    ignores: bool,
) -> None:
    """As where a mod has replaced the Ray of the image."""
    cluster(alive("a"))
    monkeypatch.setattr(sys.modules["ray"], "__version__", version)
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    assert ray_wait.main(["5", "a"]) == int(ignores)


def test_a_dead_node_has_not_joined() -> None:
    nodes = [*alive("a"), {"NodeManagerAddress": "b", "Alive": False}]
    assert ray_wait.missing(nodes, ["a", "b"]) == ["b"]
