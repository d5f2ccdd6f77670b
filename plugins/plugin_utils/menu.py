# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The menu: the models on the disks of all nodes, joined with the recipes that serve them.

docs/contracts/models.md describes its rows, which are plain data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.quantities import size
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import (
    places_of,
    recipes_in,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load_found
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.infer.infer import (
    INFERRED,
    Inference,
    InferenceError,
    infer,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.infer.rules import TableError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    ArchitectureError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.fit import NodeMemory
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.shape import (
    config_of,
    shape,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report import page

VERSION = 1

# A row has the first of these that applies.
SERVED = "served"
READY = "ready"
NEEDS_SETUP = "needs setup"
DOWNLOADING = "downloading"
INCOMPLETE = "incomplete"
STATUSES = (SERVED, READY, NEEDS_SETUP, DOWNLOADING, INCOMPLETE)

Row = dict[str, Any]


@dataclass(frozen=True)
class MenuRecipe:
    """A recipe as far as the menu needs it. label: what a user types to name it.

    inferred: the model for which it was inferred; empty for a user's own recipe.
    """

    name: str
    label: str
    path: str
    model: str
    inferred: str = ""


@dataclass(frozen=True)
class NodeModels:
    """The models of a node: those of model_info, containers of workload_info, None if not known.

    memory: bytes, 0 where not known.
    """

    models: Sequence[Mapping[str, Any]]
    containers: Sequence[Mapping[str, Any]] | None = None
    ignored: Sequence[Mapping[str, str]] = ()
    memory: int = 0


@dataclass(frozen=True)
class Menu:
    """nodes: those that answered. unknown: other nodes, with the reason.

    tables: inference rules that take precedence over the bundled ones.
    """

    nodes: Mapping[str, NodeModels]
    recipes: Sequence[MenuRecipe]
    unknown: Mapping[str, str] = field(default_factory=dict)
    generated: str = ""
    tables: Mapping[str, Any] | None = None

    def rows(self) -> list[Row]:
        """A row for each model, by name; those of the cache first."""
        copies: dict[tuple[bool, str], dict[str, Mapping[str, Any]]] = {}
        for node, known in self.nodes.items():
            for model in known.models:
                key = (model["kind"] != "hub", model["name"])
                copies.setdefault(key, {})[node] = model
        return [self._row(name, on) for (_local, name), on in sorted(copies.items())]

    def _row(self, name: str, on: Mapping[str, Mapping[str, Any]]) -> Row:
        complete = [node for node, model in on.items() if model["complete"]]
        first = on[complete[0]] if complete else next(iter(on.values()))
        recipes = [recipe.label for recipe in self.recipes if serves(recipe.model, name)]
        serving = list(self._serving(name, on))
        return {
            "name": name,
            "kind": first["kind"],
            "status": _status(on, bool(complete), bool(recipes), bool(serving)),
            "size": first["size"],
            "format": first["format"],
            "quants": [quant["name"] for quant in first["quants"] if quant["complete"]],
            "shape": shape(first["configs"]),
            "fits": self._fits(first),
            "nodes": complete,
            "missing_on": [node for node in self.nodes if node not in complete],
            "same_revision": len({_identity(on[node]) for node in complete}) < 2,
            "recipes": recipes,
            "needs_setup": bool(complete) and not recipes,
            "serving": serving,
            "on": {
                node: {
                    key: model[key]
                    for key in ("complete", "downloading", "path", "problems", "revision", "size")
                }
                for node, model in on.items()
            },
        }

    def _fits(self, model: Mapping[str, Any]) -> str:
        if not model["complete"]:
            return "unknown"
        try:
            inferred = self.inference(model)
        except (InferenceError, ArchitectureError, TableError):
            return "unknown"
        if inferred.fit.fits is None:
            return "unknown"
        return ("solo" if inferred.nodes == 1 else "cluster") if inferred.fit.fits else "no"

    def inference(self, model: Mapping[str, Any], **given: Any) -> Inference:
        """The recipe that a model of model_info would get. given: further arguments of infer.

        Raises InferenceError, ArchitectureError or TableError.
        """
        memory = [NodeMemory(node.memory, 0, name) for name, node in self.nodes.items()]
        known = [node for node in memory if node.total_bytes]
        name, weights = repository(model)
        return infer(
            config_of(model["configs"]), name, known, self.tables, weights_bytes=weights, **given
        )

    def _serving(self, name: str, on: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, str]]:
        by_name: dict[str, MenuRecipe] = {}
        for recipe in self.recipes:
            by_name.setdefault(recipe.name, recipe)
        for node, known in self.nodes.items():
            running = [
                container["recipe"]
                for container in known.containers or ()
                if container["ours"] and container["status"] == "running"
            ]
            launched = [
                launched
                for launched in dict.fromkeys(running)
                if launched in by_name and serves(by_name[launched].model, name)
            ]
            for label in launched:
                yield {"node": node, "recipe": label, "process": ""}
            users = on[node]["users"] if node in on and not launched else ()
            for process in dict.fromkeys(user["process"] for user in users if user["serves"]):
                yield {"node": node, "recipe": "", "process": process}


def repository(model: Mapping[str, Any]) -> tuple[str, int | None]:
    """How a recipe names a model of model_info, and the bytes of its files if they are GGUF.

    Of several quantisations it is the smallest: the question is whether any fits.
    """
    quants = [quant for quant in model["quants"] if quant["complete"]]
    if model["format"] != "gguf" or not quants:
        return model["name"], None
    least = min(quants, key=lambda quant: (quant["size"], quant["name"]))
    if model["kind"] == "hub":
        return f"{model['name']}:{least['name']}", least["size"]
    return os.path.join(model["path"], least["files"][0]), least["size"]


def serves(model: str, name: str) -> bool:
    """Whether a recipe for model serves the model name; repo:QUANT is part of repo."""
    if name.startswith("/"):
        # A recipe names one file of a directory with GGUF files.
        path = os.path.normpath(model) if model else ""
        return path == name or (path.endswith(".gguf") and os.path.dirname(path) == name)
    return model.partition(":")[0] == name


def _identity(model: Mapping[str, Any]) -> tuple[str, int]:
    """Equal for equal copies; a local model directory has no revision but a size."""
    return (model["revision"], 0 if model["revision"] else model["size"])


def _status(
    on: Mapping[str, Mapping[str, Any]], complete: bool, recipes: bool, serving: bool
) -> str:
    if serving:
        return SERVED
    if complete:
        return READY if recipes else NEEDS_SETUP
    return DOWNLOADING if any(model["downloading"] for model in on.values()) else INCOMPLETE


def all_recipes(search_paths: Sequence[str]) -> tuple[list[MenuRecipe], list[str]]:
    """All readable recipes, in search order; and why others are not readable."""
    recipes: list[MenuRecipe] = []
    unusable: list[str] = []
    for place in places_of(search_paths):
        for found in recipes_in(place):
            try:
                recipe = load_found(found, search_paths)
            except RecipeError as error:
                unusable.append(foreign.line(f"{found.path}: {error}".splitlines()[0]))
                continue
            hidden = any(other.name == recipe.name for other in recipes)
            label = found.label if hidden else recipe.name
            inferred = str(recipe.metadata.get(INFERRED, ""))
            recipes.append(MenuRecipe(recipe.name, label, str(found.path), recipe.model, inferred))
    return recipes, unusable


HEADS = ("model", "size", "format", "context", "on", "revision", "fits", "recipe", "served")


def cells(row: Row, nodes: Sequence[str]) -> tuple[str, ...]:
    """The cells of a row, one for each of HEADS. nodes: those that answered."""
    where = "all" if len(row["nodes"]) == len(nodes) else ", ".join(row["nodes"])
    same = "same" if row["same_revision"] else "differs"
    known = row["shape"] or {}
    return tuple(
        map(
            foreign.line,
            (
                row["name"],
                size(row["size"]),
                " ".join(_kind(row)),
                f"{known['context']}" if known.get("context") else "-",
                where,
                same if len(row["nodes"]) > 1 else "-",
                {"no": "not at all", "unknown": "?"}.get(row["fits"], row["fits"]),
                ", ".join(row["recipes"]) or "needs setup",
                ", ".join(_served(row)) or "-",
            ),
        )
    )


def _kind(row: Row) -> list[str]:
    """Format, number format, and special features: safetensors fp8 moe vision."""
    known = row["shape"] or {}
    kind = known.get("kind", "text")
    special = [name for name in ("moe", "vision") if known.get(name)]
    numbers = row["quants"] or known.get("quantisation") or [known.get("dtype", "")]
    words = [row["format"], ", ".join(numbers), *special, "" if kind == "text" else kind]
    return [word for word in words if word]


def _served(row: Row) -> list[str]:
    by = [f"{user['recipe'] or user['process']} on {user['node']}" for user in row["serving"]]
    return list(dict.fromkeys(by))


def to_text(menu: Menu) -> str:
    """The menu as a table for a terminal; incomplete and unknown models come below it."""
    rows = menu.rows()
    table = [cells(row, list(menu.nodes)) for row in rows if row["nodes"]]
    lines = []
    if table:
        widths = [max(map(len, column)) for column in zip(HEADS, *table, strict=True)]
        for line in (tuple(map(str.upper, HEADS)), *table):
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            lines.append("  ".join(padded).rstrip())
    else:
        lines.append("No complete model on " + (", ".join(menu.nodes) or "any node"))
    lines += list(_below(menu, rows))
    return "\n".join(lines)


def _below(menu: Menu, rows: Sequence[Row]) -> Iterator[str]:
    incomplete = [
        f"  {foreign.line(row['name'])} on {node}: {foreign.line(_why(copy))}"
        for row in rows
        for node, copy in row["on"].items()
        if not copy["complete"]
    ]
    ignored = [
        f"  {node}: {foreign.line(entry['path'])}: {foreign.line(entry['reason'])}"
        for node, known in menu.nodes.items()
        for entry in known.ignored
    ]
    blind = [node for node, known in menu.nodes.items() if known.containers is None]
    lost = [f"  {node}: {foreign.line(why)}" for node, why in sorted(menu.unknown.items())]
    if blind:
        lost.append(f"  containers on {', '.join(blind)}: Docker did not answer")
    for title, entries in (
        ("Incomplete:", incomplete),
        ("Ignored:", ignored),
        ("Unknown:", lost),
    ):
        if entries:
            yield from ("", title, *entries)


def _why(copy: Mapping[str, Any]) -> str:
    problems = "; ".join(copy["problems"])
    return f"downloading; {problems}" if copy["downloading"] else problems


def to_json(menu: Menu) -> str:
    """docs/contracts/models.md describes it."""
    document = {
        "version": VERSION,
        "generated": menu.generated,
        "nodes": list(menu.nodes),
        "unknown": dict(sorted(menu.unknown.items())),
        "ignored": {
            node: list(known.ignored) for node, known in menu.nodes.items() if known.ignored
        },
        "models": menu.rows(),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def to_html(menu: Menu) -> str:
    """The menu as one self-contained page."""
    rows = menu.rows()
    numbers = {
        status: number
        for status in STATUSES
        if (number := sum(row["status"] == status for row in rows))
    }
    every = [("", "all")]
    choices = {
        "node": every + [(node, node) for node in menu.nodes],
        "status": every + [(status, status) for status in numbers],
    }
    models = [_article(row, menu) for row in rows]
    return page.render("models.html.j2", menu=menu, numbers=numbers, choices=choices, models=models)


def _article(row: Row, menu: Menu) -> dict[str, Any]:
    """What the page shows of a model: data to choose by, title, where, facts."""
    facts = list(zip(HEADS, cells(row, list(menu.nodes)), strict=True))[1:]
    facts += [
        (node, f"{copy['path']} {copy['revision']}".strip() if copy["complete"] else _why(copy))
        for node, copy in row["on"].items()
    ]
    data = {"node": "|".join(row["on"]), "status": row["status"]}
    return {
        "data": data,
        "title": foreign.line(row["name"]),
        "where": size(row["size"]),
        "facts": facts,
    }


def write(menu: Menu, folder: str) -> list[str]:
    """Write models.json and models.html into a directory, each in one step. Raises OSError."""
    os.makedirs(folder, exist_ok=True)
    texts = {"models.json": to_json(menu), "models.html": to_html(menu)}
    return [page.replace(os.path.join(folder, name), text) for name, text in texts.items()]
