# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recipe runs or mounts besides its server."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import (
    errors,
    validate,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import Place
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.hooks import (
    hooks_of,
    mods_of,
    volumes_of,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Hook,
    Mod,
    Node,
    Recipe,
    RecipeError,
    Volume,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    Settings,
    build_plan,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve

Make = t.Callable[..., Recipe]
Nodes = t.Callable[[int], list[Node]]

RECIPE = """\
recipe_version: "1"
model: org/model
container: org/image:1
mods: [mods/patch, other]
command: vllm serve {model}
"""


def mod(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True)
    (folder / "run.sh").write_text("true\n", encoding="utf-8")


def test_mods_are_found_beside_the_recipe_above_it_and_in_mod_paths(
    tmp_path: pathlib.Path,
) -> None:
    recipe_file = tmp_path / "repository/recipes/4x-cluster/r.yaml"
    recipe_file.parent.mkdir(parents=True)
    recipe_file.write_text(RECIPE, encoding="utf-8")
    mod(tmp_path / "repository/mods/patch")
    mod(tmp_path / "more/other")
    recipe = load(str(recipe_file))
    found, missing = mods_of(recipe, [str(tmp_path / "more")])
    assert missing == []
    assert found == [
        Mod("patch", str(tmp_path / "repository/mods/patch")),
        Mod("other", str(tmp_path / "more/other")),
    ]
    resolved = resolve(
        recipe, {}, [Node("spark1", "192.0.2.1")], mod_paths=[str(tmp_path / "more")]
    )
    assert (resolved.runtime, list(resolved.mods)) == ("vllm", found)
    assert [one["name"] for one in build_plan(resolved, Settings())["mods"]] == ["patch", "other"]


def test_a_mod_without_its_script_is_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "mods/patch").mkdir(parents=True)
    _found, missing = mods_of(load(str(tmp_path / "r.yaml")), [])
    assert [issue.code for issue in missing] == ["mod-not-found", "mod-not-found"]
    assert str(tmp_path) in missing[0].message


def test_mods_and_build_args_may_stand_in_runtime_config(recipe_of: Make) -> None:
    recipe = recipe_of(runtime_config={"mods": ["a"], "build_args": ["--b"]})
    assert (recipe.mods, recipe.build_args) == (("a",), ("--b",))


def test_hooks_are_filled_in_with_values_as_data(recipe_of: Make, nodes: Nodes) -> None:
    recipe = recipe_of(
        defaults={"what": "x"},
        pre_exec=["echo {what} > /tmp/f", {"command": "sync", "timeout": 5}],
        post_exec="echo done",
        command="vllm serve {model} --x {what}",
    )
    resolved = resolve(recipe, {"what": "; rm -rf /"}, nodes(1))
    assert resolved.pre_exec == (Hook("echo '; rm -rf /' > /tmp/f"), Hook("sync", 5))
    assert resolved.post_exec == (Hook("echo done"),)


@pytest.mark.parametrize(
    "value", [[1], [""], [{"command": "x", "timeout": -1}], [{"command": ["x"]}], {"a": 1}, [None]]
)
def test_what_is_no_hook_is_said(value: object) -> None:
    hooks, wrong = hooks_of(value)
    assert (hooks, len(wrong)) == ((), 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["/a:/b"], [Volume("/a", "/b", True)]),
        (["/a/:/b:ro", "/c:/d:rw"], [Volume("/a", "/b", True), Volume("/c", "/d", False)]),
        ({"/a": "/b", "/c": "/d:rw"}, [Volume("/a", "/b", True), Volume("/c", "/d", False)]),
        ([{"source": "/a", "target": "/b"}], [Volume("/a", "/b", True)]),
        ([{"source": "/a", "target": "/b", "read_only": False}], [Volume("/a", "/b", False)]),
        (None, []),
    ],
)
def test_volumes_are_read_in_every_form(value: object, expected: list[Volume]) -> None:
    assert volumes_of(value) == (tuple(expected), [])


@pytest.mark.parametrize(
    "value", ["/a", "a:/b", "/a:b", "/a/../b:/c", "/a:/b:z", "/a\n:/b", 3, {"source": "/a"}]
)
def test_what_is_no_volume_is_said(value: object) -> None:
    volumes, wrong = volumes_of([value])
    assert (volumes, len(wrong)) == ((), 1)


@pytest.mark.parametrize(
    "name", ["a" * 5000, "mods/" + "a" * 300, "a\0b", "a\nb", "../a", "/a", "@a", "."]
)
def test_what_can_be_no_folder_is_an_error_of_the_recipe(recipe_of: Make, name: str) -> None:
    recipe = recipe_of(mods=[name])
    (issue,) = mods_of(recipe)[1]
    assert (issue.code, issue.field) == ("mod-invalid", "mods")
    with pytest.raises(RecipeError):
        resolve(recipe, {}, [Node("spark1", "192.0.2.1")])


def test_an_include_that_can_be_no_file_is_an_error_of_the_recipe(recipe_of: Make) -> None:
    with pytest.raises(RecipeError, match="there is no recipe aaa"):
        recipe_of(include="a" * 5000)


@pytest.fixture
def shelf(tmp_path: pathlib.Path) -> pathlib.Path:
    """A fetched registry with recipes in a folder, and mods beside it."""
    for place in ("registry/mods/patch", "registry/other", "elsewhere"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "run.sh").write_text("true\n", encoding="utf-8")
    (tmp_path / "registry" / "mods" / "link").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "registry"


@pytest.mark.parametrize(
    ("named", "trusted", "codes"),
    [
        ("mods/patch", True, []),
        ("patch", True, []),
        ("@eugr/patch", True, []),
        ("@eugr/mods/patch", True, []),
        ("@eugr/other", True, []),
        ("@eugr/patch", False, ["untrusted"]),
        ("patch", False, ["untrusted"]),
        ("@eugr/link", True, ["mod-not-found"]),
        ("@eugr/nothing", True, ["mod-not-found"]),
        ("@nobody/patch", True, ["mod-not-found"]),
        ("@eugr", True, ["mod-invalid"]),
        ("@eugr/../patch", True, ["mod-invalid"]),
        ("@eugr/@eugr/patch", True, ["mod-invalid"]),
    ],
)
def test_a_mod_may_be_one_of_a_registry(
    tmp_path: pathlib.Path, shelf: pathlib.Path, named: str, trusted: bool, codes: list[str]
) -> None:
    path = tmp_path / "recipes" / "sample.yaml"
    path.parent.mkdir()
    path.write_text(RECIPE.replace("mods/patch, other", f'"{named}"'), encoding="utf-8")
    place = Place(str(shelf / "recipes"), "eugr", trusted=trusted, root=str(shelf))
    recipe = load(str(path), [place])
    assert [issue.code for issue in errors(validate(recipe))] == codes
    mods, _missing = mods_of(recipe)
    assert [mod.folder.startswith(str(shelf)) for mod in mods] == [True] * len(mods)
