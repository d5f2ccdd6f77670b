# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recipe with an overlay: what is checked, and what its plan has."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import check
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.context import Context
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Node
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    Settings,
    build_plan,
    needs,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.listing import (
    details,
    details_lines,
)

BASIC = {
    "recipe_version": "2",
    "runtime": "container",
    "kind": "speech_to_text",
    "container": "org/asr:1",
    "container_port": 9000,
    "memory": "4GiB",
}
NODES = [Node("spark1", "192.0.2.1")]


class Library:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "hear").mkdir()
        (folder / "hear" / "requirements.txt").write_text("diarize\n")

    def recipe(self, **fields: t.Any) -> t.Any:
        given = {key: value for key, value in {**BASIC, **fields}.items() if value is not None}
        (self.folder / "asr.yaml").write_text(yaml.safe_dump(given))
        return load("asr", [str(self.folder)])

    def codes(self, **fields: t.Any) -> list[str]:
        return [issue.code for issue in check(self.recipe(**fields)).errors]

    def plan(self, **fields: t.Any) -> dict[str, t.Any]:
        return build_plan(resolve(self.recipe(**fields), nodes=NODES), Settings())


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def test_the_plan_has_the_derived_image_and_what_it_is_built_from(library: Library) -> None:
    plan = library.plan(overlay="hear", forbid=["cuda-python"])
    overlay = plan["overlay"]
    assert plan["image"].startswith("dgxspark-overlay/asr:")
    assert plan["docker_commands"][0]["words"][-1] == plan["image"]
    assert (overlay["base"], overlay["forbid"]) == ("org/asr:1", ["cuda-python"])
    assert overlay["folder"] == str(library.folder / "hear")
    assert overlay["source"] == f"/var/lib/dgxspark/overlays/{overlay['digest']}"
    assert plan["ranks"][0]["labels"]["dgxspark.suite/forbid"] == "cuda-python"
    wanted = needs(resolve(library.recipe(overlay="hear"), nodes=NODES), Settings())
    assert (wanted["image"], wanted["overlay"]["digest"]) == (plan["image"], overlay["digest"])


def test_another_overlay_base_or_prohibition_is_another_plan(library: Library) -> None:
    plans = [library.plan(), library.plan(overlay="hear")]
    plans += [library.plan(overlay="hear", forbid=["a"]), library.plan(forbid=["a"])]
    plans += [library.plan(overlay="hear", container="org/asr:2")]
    (library.folder / "hear" / "requirements.txt").write_text("diarize==2\n")
    plans += [library.plan(overlay="hear")]
    assert len({plan["hash"] for plan in plans}) == len(plans)
    assert plans[0]["overlay"] == {}
    assert "forbid" not in plans[0]
    assert library.plan(overlay="hear")["hash"] == plans[-1]["hash"]


def test_build_is_a_base_and_a_folder(library: Library) -> None:
    built = library.plan(container=None, build={"base": "org/asr:1", "folder": "hear"})
    assert built["overlay"] == library.plan(overlay="hear")["overlay"]
    assert built["hash"] == library.plan(overlay="hear")["hash"]


def test_show_names_what_is_added_and_what_is_forbidden(library: Library) -> None:
    build = {"base": "org/asr:1", "folder": "hear"}
    recipe = library.recipe(container=None, build=build, forbid=["cuda-python"])
    lines = details_lines(details(recipe, Context()))
    assert "  image     org/asr:1" in lines
    assert "  overlay   hear, with which a node builds another image" in lines
    assert "  forbids   cuda-python" in lines


def test_what_cannot_be_an_overlay_is_an_error(library: Library) -> None:
    assert library.codes(overlay="hear") == []
    assert library.codes(overlay="absent") == ["overlay-not-found"]
    assert library.codes(build={"base": "org/asr:1", "folder": "hear"}) == ["build-conflict"]
    (library.folder / "hear" / "Dockerfile").touch()
    assert library.codes(overlay="hear") == ["overlay-invalid"]
    (library.folder / "empty").mkdir()
    assert library.codes(overlay="empty") == ["overlay-invalid"]
    assert "overlay-conflict" in library.codes(
        overlay="hear", runtime="vllm", model="org/m", pre_exec="true", command="vllm serve {model}"
    )
