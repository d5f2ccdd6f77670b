# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recipe for a model that has none: inferred, validated, and written when a person says so."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.dgxspark.suite.plugins.plugin_utils.menu import Menu, serves, shown
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
    """No recipe can be set up; the text says why and what to do."""


@dataclass(frozen=True)
class Proposal:
    """An inferred recipe, not yet written. changed: whether the file would be other than it is.

    others: labels of the recipes that serve the model already.
    """

    inference: Inference
    text: str
    path: str
    changed: bool
    others: tuple[str, ...]

    def shown(self) -> str:
        """For a terminal: the file with the source of each setting, and what to look at."""
        notes = [f"Warning: {one}" for one in self.inference.warnings]
        notes += [f"There is a recipe for it already: {one}" for one in self.others]
        return "\n".join([f"{self.path}:", "", self.text.rstrip(), *notes])


def propose(
    menu: Menu, name: str, folder: str, image: str = "", port: int = 8000, quant: str = ""
) -> Proposal:
    """Infer a recipe for the model of that name, as the nodes have it. Raises SetupError."""
    having = [
        model for node in menu.nodes.values() for model in node.models if model["name"] == name
    ]
    whole = [model for model in having if model["complete"]]
    if not whole:
        why = "; ".join(having[0]["problems"]) if having else "it is on none of the nodes"
        raise SetupError(f"{shown(name)} cannot be set up: {shown(why)}")
    try:
        chosen = _with_quant(whole[0], quant)
        inference = menu.inference(chosen, image=image, port=port)
        text = inference.text()
    except (InferenceError, ArchitectureError, TableError) as error:
        raise SetupError(f"no recipe can be inferred for {shown(name)}: {error}") from error
    path = os.path.join(folder, f"{inference.name}.yaml")
    _must_be_valid(inference, text)
    others = [
        one.label
        for one in menu.recipes
        if serves(one.model, name) and os.path.abspath(one.path) != os.path.abspath(path)
    ]
    return Proposal(inference, text, path, _differs(path, text, inference), tuple(others))


def _with_quant(model: Mapping[str, Any], quant: str) -> Mapping[str, Any]:
    if not quant:
        return model
    quants = [one for one in model["quants"] if one["name"] == quant and one["complete"]]
    if not quants:
        there = ", ".join(one["name"] for one in model["quants"]) or "none"
        raise InferenceError(f"it has no whole {quant}; there is: {there}")
    return {**model, "quants": quants}


def _must_be_valid(inference: Inference, text: str) -> None:
    """What is written must be launched: it is read and validated as any other recipe."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, f"{inference.name}.yaml")
        path.write_text(text, encoding="utf-8")
        wrong = errors(validate(load(str(path))))
    if wrong:
        told = "; ".join(map(str, wrong))
        raise SetupError(f"the recipe inferred for {inference.name} is not valid: {told}")


def _differs(path: str, text: str, inference: Inference) -> bool:
    """Whether the file has to be written. Raises SetupError where it is a person's."""
    if not os.path.lexists(path):
        return True
    model = inference.recipe["metadata"][INFERRED]
    try:
        owner = load(path).metadata.get(INFERRED)
    except RecipeError:
        owner = None
    if owner != model:
        raise SetupError(
            f"{path} is there and was not inferred for {shown(model)}: it is left alone. "
            "Rename it, or set dgxspark_recipe_dir to another folder"
        )
    return Path(path).read_text(encoding="utf-8") != text


def write(proposal: Proposal) -> None:
    """Write the file in one step. Raises OSError."""
    os.makedirs(os.path.dirname(proposal.path), exist_ok=True)
    page.replace(proposal.path, proposal.text)
