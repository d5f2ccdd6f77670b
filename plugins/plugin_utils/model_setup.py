# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recipe for a model that has none: inferred, validated, and written when confirmed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.menu import Menu, serves
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import (
    errors,
    validate,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.infer.infer import (
    INFERRED,
    Inference,
    InferenceError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.infer.rules import TableError
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    ArchitectureError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report import page


class SetupError(Exception):
    """No recipe can be set up; the text says why, and what to do."""


@dataclass(frozen=True)
class Proposal:
    """An inferred recipe, not yet written. changed: whether writing it would change the file.

    others: labels of the recipes that already serve the model.
    """

    inference: Inference
    text: str
    path: str
    changed: bool
    others: tuple[str, ...]

    def shown(self) -> str:
        """For a terminal: the file with the source of each setting, and what to check."""
        notes = [f"Warning: {warning}" for warning in self.inference.warnings]
        notes += [f"Existing recipe for this model: {label}" for label in self.others]
        return "\n".join([f"{self.path}:", "", self.text.rstrip(), *notes])


def propose(
    menu: Menu, name: str, folder: str, image: str = "", port: int = 8000, quant: str = ""
) -> Proposal:
    """Infer a recipe for the model of that name, as the nodes have it. Raises SetupError."""
    having = [
        model for node in menu.nodes.values() for model in node.models if model["name"] == name
    ]
    complete = [model for model in having if model["complete"]]
    if not complete:
        why = "; ".join(having[0]["problems"]) if having else "it is on none of the nodes"
        raise SetupError(f"{foreign.line(name)} cannot be set up: {foreign.line(why)}")
    try:
        chosen = _with_quant(complete[0], quant)
        inference = menu.inference(chosen, image=image, port=port)
        text = inference.text()
    except (InferenceError, ArchitectureError, TableError) as error:
        raise SetupError(f"no recipe can be inferred for {foreign.line(name)}: {error}") from error
    path = os.path.join(folder, f"{inference.name}.yaml")
    _must_be_valid(inference, text)
    others = [
        recipe.label
        for recipe in menu.recipes
        if serves(recipe.model, name) and os.path.abspath(recipe.path) != os.path.abspath(path)
    ]
    return Proposal(inference, text, path, _differs(path, text, inference), tuple(others))


def _with_quant(model: Mapping[str, Any], quant: str) -> Mapping[str, Any]:
    if not quant:
        return model
    quants = [known for known in model["quants"] if known["name"] == quant and known["complete"]]
    if not quants:
        listed = ", ".join(known["name"] for known in model["quants"]) or "none"
        raise InferenceError(f"it has no complete {quant}; it has: {listed}")
    return {**model, "quants": quants}


def _must_be_valid(inference: Inference, text: str) -> None:
    """Read and validate it as any other recipe. Raises SetupError."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, f"{inference.name}.yaml")
        path.write_text(text, encoding="utf-8")
        issues = errors(validate(load(str(path))))
    if issues:
        listed = "; ".join(map(str, issues))
        raise SetupError(f"the recipe inferred for {inference.name} is not valid: {listed}")


def _differs(path: str, text: str, inference: Inference) -> bool:
    """Whether the file has to be written. Raises SetupError if it is another recipe."""
    if not os.path.lexists(path):
        return True
    model = inference.recipe["metadata"][INFERRED]
    try:
        owner = load(path).metadata.get(INFERRED)
    except RecipeError:
        owner = None
    if owner != model:
        raise SetupError(
            f"{path} exists and was not inferred for {foreign.line(model)}; it is not overwritten. "
            "Rename it, or set dgxspark_recipe_dir to another directory"
        )
    return Path(path).read_text(encoding="utf-8") != text


def write(proposal: Proposal) -> None:
    """Write the file in one step. Raises OSError."""
    os.makedirs(os.path.dirname(proposal.path), exist_ok=True)
    page.replace(proposal.path, proposal.text)
