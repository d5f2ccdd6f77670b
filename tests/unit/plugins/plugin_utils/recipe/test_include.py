# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recipe that changes another one."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import Place
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load, merge
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import RecipeError

BASE = """\
model: org/model
runtime: vllm
container: org/image:1
metadata: {description: base, model_params: 8B}
defaults: {port: 8000, config: {a: 1, b: 2}}
command: vllm serve {model} --port {port} --additional-config {config}
"""


@pytest.fixture
def write(tmp_path: pathlib.Path) -> t.Callable[[str, str], str]:
    def to(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    return to


@pytest.mark.parametrize("name", ["base", "base.yaml"])
def test_the_outer_recipe_wins_and_what_it_leaves_out_is_the_bases(
    write: t.Callable[[str, str], str], name: str
) -> None:
    base = write("base.yaml", BASE)
    outer = write(
        "outer.yaml",
        f"include: {name}\ndefaults: {{port: 9000, config: {{c: 3}}}}\n"
        "metadata: {description: x}\n",
    )
    recipe = load(outer)
    assert (recipe.name, recipe.model, recipe.included) == ("outer", "org/model", (base,))
    assert recipe.defaults == {"port": 9000, "config": {"c": 3}}
    assert recipe.metadata == {"description": "x", "model_params": "8B"}
    assert "include" not in recipe.data
    assert validate(recipe) == []


def test_a_null_removes_and_conditions_add_up() -> None:
    base = {"env": {"A": "1", "B": "2"}, "overrides": [1], "name": "n", "include": "x"}
    assert merge(base, {"env": {"A": None}, "overrides": [2], "name": None}) == {
        "env": {"B": "2"},
        "overrides": [1, 2],
        "include": "x",
    }


def test_includes_chain_and_a_circle_is_an_error_that_names_it(
    write: t.Callable[[str, str], str],
) -> None:
    write("base.yaml", BASE)
    write("middle.yaml", "include: base\nmin_nodes: 2\n")
    assert load(write("outer.yaml", "include: middle\nmax_nodes: 2\n")).min_nodes == 2
    write("base.yaml", "include: outer\n")
    with pytest.raises(RecipeError, match=r"outer.yaml -> middle.yaml -> base.yaml -> outer.yaml"):
        load(write("outer.yaml", "include: middle\n"))


def test_a_chain_without_end_is_refused(write: t.Callable[[str, str], str]) -> None:
    for index in range(12):
        write(f"r{index}.yaml", f"include: r{index + 1}\n")
    write("r12.yaml", BASE)
    with pytest.raises(RecipeError, match="more than 8 recipes"):
        load(write("r0.yaml", "include: r1\n"))


@pytest.mark.parametrize(
    "name",
    ["../base", "/etc/passwd", "sub/base", ".hidden", "[base]", "''", "'@x/../base'", "'-x'", "no"],
)
def test_an_include_cannot_leave_the_folder(
    write: t.Callable[[str, str], str], tmp_path: pathlib.Path, name: str
) -> None:
    write("base.yaml", BASE)
    write("deep/sub/base.yaml", BASE)
    write("deep/.hidden.yaml", BASE)
    with pytest.raises(RecipeError, match=r"include|registry|not found"):
        load(write("deep/outer.yaml", f"include: {name}\n"))


def test_a_registrys_base_makes_the_recipe_as_little_trusted_as_it_is(
    write: t.Callable[[str, str], str], tmp_path: pathlib.Path
) -> None:
    write("registry/base.yaml", BASE)
    outer = write("outer.yaml", "include: '@arena/base'\npre_exec: [id]\n")
    place = Place(str(tmp_path / "registry"), "arena", trusted=False)
    recipe = load(outer, [place])
    assert not recipe.trusted
    assert [issue.code for issue in validate(recipe)] == ["untrusted"]


def test_a_registrys_link_is_no_way_to_files_of_this_machine(
    write: t.Callable[[str, str], str], tmp_path: pathlib.Path
) -> None:
    private = write("private/base.yaml", BASE)
    write("registry/outer.yaml", "include: base\n")
    (tmp_path / "registry/base.yaml").symlink_to(private)
    with pytest.raises(RecipeError, match="there is no recipe base"):
        load("@arena/outer", [Place(str(tmp_path / "registry"), "arena", trusted=False)])
