# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many nodes a recipe may and does use."""

from __future__ import annotations

import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.fields import MODES
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Issue,
    Recipe,
)


class Topology(t.NamedTuple):
    """mode: auto | solo | cluster, as inferred. max_nodes: None = no limit."""

    mode: str
    min_nodes: int
    max_nodes: int | None


def topology(recipe: Recipe) -> Topology:
    """The mode and node limits that the fields give together (recipe-format: "Topology Fields").

    If fields contradict each other, more nodes win, and `topology_issues` reports it.
    """
    low, high, mode = recipe.min_nodes, recipe.max_nodes, recipe.mode
    if recipe.solo_only or mode == "solo":
        mode, high = "solo", 1
    if recipe.cluster_only or mode == "cluster":
        mode, low = "cluster", max(low, 2)
    if low > 1:
        mode = "cluster"
    elif high == 1:
        mode = "solo"
    return Topology(mode if mode in MODES else "auto", low, high)


def topology_issues(recipe: Recipe) -> list[Issue]:
    """Contradictions among mode, min_nodes, max_nodes, solo_only and cluster_only."""
    issues = []
    if recipe.mode not in MODES:
        issues.append(
            recipe.issue(
                "mode-invalid",
                "error",
                "mode",
                f"{recipe.mode!r} is not a mode",
                f"Use one of {', '.join(MODES)}",
            )
        )
    if recipe.min_nodes < 1:
        issues.append(
            recipe.issue(
                "nodes-invalid",
                "error",
                "min_nodes",
                f"{recipe.min_nodes} is less than 1",
                "Use 1 or more",
            )
        )
    if recipe.max_nodes is not None and recipe.max_nodes < 1:
        issues.append(
            recipe.issue(
                "nodes-invalid",
                "error",
                "max_nodes",
                f"{recipe.max_nodes} is less than 1",
                "Use 1 or more, or leave it out for no limit",
            )
        )
    solo = _first(
        ("mode", recipe.mode == "solo"),
        ("solo_only", recipe.solo_only),
        ("max_nodes", recipe.max_nodes == 1),
    )
    cluster = _first(
        ("mode", recipe.mode == "cluster"),
        ("cluster_only", recipe.cluster_only),
        ("min_nodes", recipe.min_nodes > 1),
    )
    if solo and cluster:
        issues.append(
            recipe.issue(
                "mode-conflict",
                "error",
                solo,
                f"{_said(recipe, solo)} means one node, but {_said(recipe, cluster)} means several",
                "Remove one of them",
            )
        )
    elif recipe.max_nodes is not None and 1 <= recipe.max_nodes < topology(recipe).min_nodes:
        issues.append(
            recipe.issue(
                "nodes-invalid",
                "error",
                "max_nodes",
                f"{recipe.max_nodes} is less than min_nodes {topology(recipe).min_nodes}",
                "Raise max_nodes or lower min_nodes",
            )
        )
    return issues


class Degrees(t.NamedTuple):
    """How a launch is spread over ranks; None for a degree that is not given."""

    tensor: int | None
    pipeline: int | None
    data: int | None

    @property
    def size(self) -> int:
        """Number of ranks, each on its own node, as far as it is known."""
        return (self.tensor or 1) * (self.pipeline or 1) * (self.data or 1)

    def __str__(self) -> str:
        parts = [f"tensor_parallel {self.tensor or 1}", f"pipeline_parallel {self.pipeline or 1}"]
        return " x ".join(
            [*parts, *([f"data_parallel {self.data}"] if (self.data or 1) > 1 else [])]
        )


def size_issue(recipe: Recipe, degrees: Degrees) -> Issue | None:
    """Why these ranks, one per node, do not fit between min_nodes and max_nodes."""
    shape, size = topology(recipe), degrees.size
    others = size // (degrees.tensor or 1)
    product = f"{degrees} uses {'1 node' if size == 1 else f'{size} nodes'}"
    if shape.max_nodes is not None and size > shape.max_nodes:
        return recipe.issue(
            "parallel-nodes",
            "error",
            "defaults.tensor_parallel",
            f"{product}, but the recipe allows at most {shape.max_nodes}",
            f"Set tensor_parallel to {max(1, shape.max_nodes // others)}",
        )
    if size < shape.min_nodes:
        return recipe.issue(
            "parallel-nodes",
            "error",
            "defaults.tensor_parallel",
            f"{product}, but the recipe needs at least {shape.min_nodes}",
            f"Set tensor_parallel to {-(-shape.min_nodes // others)}",
        )
    return None


def nodes_issue(recipe: Recipe, degrees: Degrees, nodes: t.Sequence[str]) -> Issue | None:
    """Why these ranks do not fit on the nodes at hand, given by name."""
    if degrees.size <= len(nodes):
        return None
    return recipe.issue(
        "too-few-nodes",
        "error",
        "min_nodes",
        f"needs {degrees.size} nodes ({degrees}), has {len(nodes)}: {', '.join(nodes)}",
        "Add nodes or lower tensor_parallel",
    )


def _first(*claims: tuple[str, bool]) -> str | None:
    return next((field for field, holds in claims if holds), None)


def _said(recipe: Recipe, field: str) -> str:
    return f"{field}: {str(recipe.data.get(field)).lower()}"
