# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes for people: a row for each, one in full, their memory, as maps and as text."""

from __future__ import annotations

import os
import pathlib
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.alone import (
    checked as checked_on,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.alone import (
    least_nodes,
    on_nodes,
    resolved_alone,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import (
    RecipeFile,
    places_of,
    recipes_in,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load_found
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Recipe,
    RecipeError,
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    ModelConfig,
    read_directory,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.estimate import (
    MemoryEstimate,
    estimate_memory,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.fit import (
    Fit,
    NodeMemory,
    fit,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.registry import (
    runtime_name,
    runtime_named,
    topology_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.validation import issue_lines

GIB = 1024**3
COLUMNS = ("name", "model", "runtime", "nodes", "memory", "fits", "on_disk", "errors")
_HEADS = ("name", "model", "runtime", "nodes", "GiB/node", "fits?", "on disk?", "errors")


def rows(context: Context) -> list[dict[str, t.Any]]:
    """Every recipe of the search paths, a map with the COLUMNS and more for each."""
    folders: dict[str, bool | None] = {}
    files = [file for place in places_of(context.search_paths) for file in recipes_in(place)]
    return [_row(file, context, folders) for file in files]


def _row(file: RecipeFile, context: Context, folders: dict[str, bool | None]) -> dict[str, t.Any]:
    registry = file.place.registry if file.place else ""
    name = file.label if registry else file.path.stem
    row: dict[str, t.Any] = {"name": name, "path": str(file.path)}
    try:
        recipe = load_found(file, context.search_paths)
    except RecipeError as exc:
        return {**row, "model": "", "errors": 1, "error": str(exc)}
    shape = topology_of(recipe)
    row.update(
        title=recipe.title,
        description=recipe.description,
        model=recipe.model,
        runtime=runtime_name(recipe),
        mode=shape.mode,
        nodes=_nodes_text(shape.min_nodes, shape.max_nodes),
        errors=0,
        on_disk=_on_disk(recipe.model, context.hf_home, folders),
    )
    try:
        resolved = resolved_alone(recipe, context)
    except RecipeError as exc:
        # Without an issue of its own it is the environment that is missing, here and not there.
        return {**row, "errors": len(exc.issues) or 1, "error": str(exc)}
    estimate, judged = memory_of(resolved, context)
    need = judged.need_gib
    return {
        **row,
        "nodes": _nodes_text(max(shape.min_nodes, len(resolved.ranks)), shape.max_nodes)
        if shape.max_nodes is None
        else row["nodes"],
        "memory": None if need is None else round(need, 1),
        "fits": judged.verdict,
        "confidence": estimate.confidence,
    }


def memory_of(resolved: ResolvedRecipe, context: Context) -> tuple[MemoryEstimate, Fit]:
    """What it needs on each node, and whether that fits; from the model's files where they are."""
    config: ModelConfig | None = None
    folder = model_folder(resolved.model, context.hf_home)
    if folder:
        try:
            config = read_directory(folder)
        except (OSError, ValueError):
            config = None  # half a download says nothing; metadata and tables do
    estimate = estimate_memory(resolved, config)
    return estimate, fit(estimate, NodeMemory(int(context.node_gib * GIB)))


def model_folder(model: str, hf_home: str) -> str:
    """The model's newest snapshot in the cache, or its own folder; "" where it is not there."""
    if model.startswith("/"):
        return model if os.path.isdir(model) else ""
    repository = model.partition(":")[0]
    if not hf_home or ".." in repository:
        return ""
    folder = pathlib.Path(hf_home).expanduser() / "hub" / f"models--{repository.replace('/', '--')}"
    try:
        snapshots = sorted(
            (folder / "snapshots").iterdir(), key=lambda snapshot: snapshot.stat().st_mtime
        )
    except OSError:
        return ""
    return str(snapshots[-1]) if snapshots else ""


def _on_disk(model: str, hf_home: str, known: dict[str, bool | None]) -> bool | None:
    """Whether the controller has the model; None where it has no cache to look at."""
    if not model:
        return None
    if model not in known:
        cached = bool(hf_home) and os.path.isdir(os.path.expanduser(hf_home))
        known[model] = bool(model_folder(model, hf_home)) if cached or model[:1] == "/" else None
    return known[model]


def _nodes_text(low: int, high: int | None) -> str:
    if high is None:
        return f"{low}+"
    return str(low) if low == high else f"{low}-{high}"


def details(
    recipe: Recipe, context: Context, overrides: t.Mapping[str, t.Any] | None = None
) -> dict[str, t.Any]:
    """One recipe in full: what it says, what is wrong with it, its command per rank, its memory."""
    nodes = least_nodes(recipe, context, overrides)
    checked = checked_on(recipe, context, overrides, nodes)
    issues = checked.issues
    shape = topology_of(recipe)
    result: dict[str, t.Any] = {
        "name": recipe.name,
        "path": recipe.path,
        "title": recipe.title,
        "description": recipe.description,
        "maintainer": recipe.maintainer,
        "data": recipe.data,
        "registry": recipe.registry,
        "included": list(recipe.included),
        "runtime": runtime_name(recipe),
        "mode": shape.mode,
        "min_nodes": shape.min_nodes,
        "max_nodes": shape.max_nodes,
        "issues": [issue.to_dict() for issue in issues],
        "errors": len(checked.errors),
        "resolved": None,
        "memory": None,
    }
    try:
        resolved = on_nodes(checked, nodes)
    except RecipeError as exc:
        for issue in exc.issues:
            if issue not in issues:
                result["issues"].append(issue.to_dict())
                result["errors"] += issue.severity == "error"
        return result
    result["resolved"] = {
        "image": resolved.image,
        "runtime": resolved.runtime,
        "port": resolved.port,
        "served_model_name": resolved.served_model_name,
        "models": list(resolved.models),
        "mods": [mod.name for mod in resolved.mods],
        "commands": [rank.text for rank in resolved.ranks],
    }
    result["memory"] = memory_map(*memory_of(resolved, context))
    return result


def memory_map(estimate: MemoryEstimate, judged: Fit) -> dict[str, t.Any]:
    """The estimate as plain data: GiB per node, each with its source and confidence."""
    figures = {
        name: None
        if figure is None
        else {
            "gib": round(figure.gib, 2),
            "source": figure.source,
            "confidence": figure.confidence,
        }
        for name, figure in (
            ("weights", estimate.weights),
            ("kv_cache", estimate.kv_cache),
            ("draft", estimate.draft),
            ("overhead", estimate.overhead),
        )
    }
    return {
        **figures,
        "context_tokens": estimate.context_tokens,
        "need_gib": None if judged.need_gib is None else round(judged.need_gib, 2),
        "budget_gib": round(judged.budget_gib, 2),
        "verdict": judged.verdict,
        "confidence": estimate.confidence,
        "largest_context": judged.largest_context,
        "reasons": list(judged.reasons),
        "advice": list(judged.advice),
        "notes": list(estimate.notes),
    }


def table(listed: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """The rows as lines, columns beneath one another."""
    cells = [_HEADS, *(tuple(_cell(row, column) for column in COLUMNS) for row in listed)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(COLUMNS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells
    ]


def _cell(row: t.Mapping[str, t.Any], column: str) -> str:
    value = row.get(column)
    if value is None:
        return "?" if column in ("memory", "fits", "on_disk") else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if column == "errors":
        return str(value) if value else ""
    return foreign.line(str(value))


def memory_lines(memory: t.Mapping[str, t.Any] | None) -> list[str]:
    """An estimate for people, in GiB per node."""
    if memory is None:
        return ["memory: not known, since the recipe has errors"]
    lines = ["memory per node:"]
    for name in ("weights", "kv_cache", "draft", "overhead"):
        figure = memory[name]
        if figure:
            lines.append(
                f"  {name.replace('_', ' '):9} {figure['gib']:7.2f} GiB  {figure['source']} "
                f"({figure['confidence']})"
            )
    need = "?" if memory["need_gib"] is None else f"{memory['need_gib']:.2f}"
    lines.append(
        f"  {memory['verdict']}: needs {need} GiB, may take {memory['budget_gib']:.2f} GiB "
        f"(confidence {memory['confidence']})"
    )
    if memory["largest_context"]:
        lines.append(f"  longest context that fits: {memory['largest_context']} tokens")
    return [
        *lines,
        *(f"  {text}" for key in ("reasons", "advice", "notes") for text in memory[key]),
    ]


def _terms(data: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """What the recipe says of licences, and of what is not known about it."""
    metadata = data.get("metadata")
    for field in ("licence", "notes"):
        text = metadata.get(field) if isinstance(metadata, dict) else None
        if text:
            yield f"  {field:9} {text}"
    wanted = data.get("accept_licences")
    for licence in wanted if isinstance(wanted, list) else ():
        if isinstance(licence, dict):
            yield f"  accept    {licence.get('name')}: {licence.get('url')}"


def _added(data: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """What the nodes add to the image, and what must not be in it."""
    build = data.get("build")
    folder = data.get("overlay") or (build.get("folder") if isinstance(build, dict) else None)
    if folder:
        yield f"  overlay   {folder}, with which a node builds another image"
    forbid = data.get("forbid")
    if forbid and isinstance(forbid, list):
        yield f"  forbids   {', '.join(map(str, forbid))}"


def details_lines(shown: t.Mapping[str, t.Any]) -> list[str]:
    """One recipe in full, for people."""
    resolved = shown["resolved"] or {}
    lines = [
        f"{shown['title']}: {shown['description']}" if shown["description"] else shown["title"],
        f"  file      {shown['path']}",
        f"  model     {shown['data'].get('model') or '(of the image)'}",
        f"  image     {resolved.get('image') or shown['data'].get('container', '')}",
        *_added(shown["data"]),
        f"  runtime   {resolved.get('runtime') or shown['runtime']}",
        f"  nodes     {_nodes_text(shown['min_nodes'], shown['max_nodes'])} ({shown['mode']})",
    ]
    if resolved:
        lines.append(f"  serves    {resolved['served_model_name']} on port {resolved['port']}")
    lines += _terms(shown["data"])
    own = bool(resolved) and runtime_named(resolved["runtime"]).own_program
    without = "the image's own" if own else "a Ray worker, no server"
    for index, command in enumerate(resolved.get("commands", ())):
        lines.append(f"command of rank {index}:")
        lines += [f"  {line}" for line in (command or without).splitlines()]
    lines += [*memory_lines(shown["memory"]), *issue_lines(shown["issues"])]
    return [foreign.shown(line) for line in lines]
