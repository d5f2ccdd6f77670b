# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Public recipes, where they are at hand: every one resolves, or is refused for a stated reason."""

from __future__ import annotations

import math
import os
import pathlib
import re
import shlex
import typing as t

import pytest
import yaml

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import (
    errors,
    validate,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.registry import (
    engine_of,
)

ROOT = pathlib.Path(__file__).resolve().parents[5]
CORPUS = pathlib.Path(os.environ.get("DGXSPARK_CORPUS") or ROOT.parent / "shared" / "corpus")
FILES = sorted(path for path in CORPUS.rglob("*") if path.suffix in (".yaml", ".yml"))
NODES = [Node(f"spark{i}", f"192.0.2.{i}", f"198.51.100.{i}", "eth1") for i in range(1, 9)]

pytestmark = pytest.mark.skipif(
    not FILES, reason="no corpus: set DGXSPARK_CORPUS to a folder of recipes"
)

# Recipe -> why it is refused although its mods are at hand.
REFUSED = {
    # solo_only, and tensor_parallel 2: two ranks on one node with one GPU.
    "spark-arena+eugr-recipes/recipes/gemma4-26b-a4b-nvfp4.yaml": {"parallel-nodes"},
}
# Mods that the corpus names; the repository that has them is not part of it.
MODS = (
    "diffusiongemma",
    "drop-caches",
    "fix-glm-4.7-flash-AWQ",
    "fix-qwen3-coder-next",
    "fix-qwen3-next-autoround",
    "fix-qwen3.5-autoround",
    "fix-qwen3.5-chat-template",
    "fix-qwen3.6-chat-template",
    "fix-qwen35-tp4-marlin",
    "gpu-mem-util-gb",
    "inkling-sm12-paged-kv",
    "instanttensor-hybrid-draft-loader",
    "kv-cache-prealloc-cleanup",
    "nemotron-nano",
    "nemotron-super",
    "step-3.7-flash",
)


@pytest.fixture(scope="module")
def mod_paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("eugr")
    for name in MODS:
        (folder / "mods" / name).mkdir(parents=True)
        (folder / "mods" / name / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    return [str(folder)]


def name_of(path: pathlib.Path) -> str:
    return path.relative_to(CORPUS).as_posix()


def fields(path: pathlib.Path) -> dict[str, t.Any]:
    with path.open(encoding="utf-8") as stream:
        data = yaml.safe_load(stream)
    assert isinstance(data, dict)
    return data


def nodes_by_the_document(data: t.Mapping[str, t.Any]) -> tuple[str, int]:
    """Mode and nodes as the format's document says, from the fields alone."""
    low = int(data.get("min_nodes") or 1)
    if data.get("cluster_only"):
        low = max(low, 2)
    one = data.get("solo_only") or data.get("max_nodes") == 1
    mode = "cluster" if low > 1 else "solo" if one else "auto"
    defaults = data["defaults"]
    degrees = [defaults.get("tensor_parallel"), defaults.get("pipeline_parallel")]
    said = [int(degree) for degree in degrees if degree is not None]
    return mode, math.prod(said) if said else low


def words_by_the_document(data: t.Mapping[str, t.Any]) -> list[str]:
    """The words of the command after plain substitution, as the document describes it."""
    values = {"model": data["model"], **data["defaults"]}
    text = str(data["command"])
    escaping = "{{" in text

    def fill(match: re.Match[str]) -> str:
        if match.group(1) is None:
            return match.group(0)[0] if escaping else match.group(0)
        return str(values[match.group(1)])

    text = re.sub(r"\{\{|\{(\w+)\}|\}\}" if escaping else r"\{(\w+)\}", fill, text)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return shlex.split("\n".join(lines).replace("\\\n", " "))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_of_a_file_is_lost_and_what_is_refused_is_in_the_table(
    path: pathlib.Path, mod_paths: list[str]
) -> None:
    recipe = load(str(path))
    assert recipe.data == fields(path)
    found = errors(validate(recipe, mod_paths=mod_paths))
    assert {issue.code for issue in found} == REFUSED.get(name_of(path), set())
    if found:
        with pytest.raises(RecipeError):
            resolve(recipe, {}, NODES, mod_paths=mod_paths)
        return
    resolved = resolve(recipe, {}, NODES, mod_paths=mod_paths)
    engine = engine_of(recipe)
    assert engine is not None
    assert engine.is_server(resolved.ranks[0].argv)
    assert [mod.name for mod in resolved.mods] == [
        str(mod).partition("/")[2] for mod in recipe.data.get("mods") or ()
    ]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_mode_nodes_env_and_command_are_what_the_document_says(
    path: pathlib.Path, mod_paths: list[str]
) -> None:
    if name_of(path) in REFUSED:
        return
    data = fields(path)
    recipe = load(str(path))
    mode, nodes = nodes_by_the_document(data)
    resolved = resolve(recipe, {}, NODES[:nodes], mod_paths=mod_paths)
    assert resolved.mode == ("cluster" if nodes > 1 else "solo")
    assert mode in ("auto", resolved.mode)
    assert len(resolved.ranks) == nodes
    assert resolved.env == {key: str(value) for key, value in (data.get("env") or {}).items()}
    # The recipe's own part of the command stands first and unchanged, but for Ray on one node.
    own = words_by_the_document(data)
    argv = list(resolved.ranks[0].argv)
    if resolved.mode == "solo" and own[-2:] == ["--distributed-executor-backend", "ray"]:
        own = own[:-2]
    assert argv[: len(own)] == own


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_without_its_mods_a_recipe_that_has_some_is_refused_for_that(path: pathlib.Path) -> None:
    recipe = load(str(path))
    expected = {"mod-not-found"} if recipe.data.get("mods") else set()
    codes = {issue.code for issue in errors(validate(recipe))}
    assert codes - REFUSED.get(name_of(path), set()) == expected
