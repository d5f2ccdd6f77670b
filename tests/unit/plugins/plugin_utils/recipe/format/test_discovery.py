# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file a recipe's name means."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.discovery import (
    Place,
    find,
    recipes_in,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    RecipeAmbiguous,
    RecipeNotFetched,
    RecipeNotFound,
)


@pytest.fixture
def library(tmp_path: pathlib.Path) -> pathlib.Path:
    files = (
        "a/lab-tiny.yaml",
        "a/deep/qwen3.5-9b.yml",
        "b/lab-tiny.yaml",
        "b/other.yaml",
        "r1/vllm/gemma.yaml",
        "r1/only-here.yaml",
        "r2/gemma.yaml",
        "r2/other.yaml",
        "r2/.git/hidden.yaml",
    )
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("model: org/model\n", encoding="utf-8")
    return tmp_path


def places(library: pathlib.Path) -> list[str | Place]:
    registries = [Place(str(library / name), name, trusted=False) for name in ("r1", "r2")]
    lost = Place(str(library / "none"), "lost", trusted=False)
    return [str(library / "a"), str(library / "b"), *registries, lost]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lab-tiny", "a/lab-tiny.yaml"),
        ("lab-tiny.yaml", "a/lab-tiny.yaml"),
        ("lab-tiny.yml", "a/lab-tiny.yaml"),
        ("qwen3.5-9b", "a/deep/qwen3.5-9b.yml"),
        ("deep/qwen3.5-9b", "a/deep/qwen3.5-9b.yml"),
        ("other", "b/other.yaml"),
        ("only-here", "r1/only-here.yaml"),
        ("vllm/gemma", "r1/vllm/gemma.yaml"),
        ("@r1/gemma", "r1/vllm/gemma.yaml"),
        ("@r1/vllm/gemma.yaml", "r1/vllm/gemma.yaml"),
        ("@r2/gemma", "r2/gemma.yaml"),
        ("@r2/other", "r2/other.yaml"),
    ],
)
def test_a_name_is_a_stem_or_a_path_without_suffix(
    library: pathlib.Path, name: str, expected: str
) -> None:
    assert find(name, places(library)).path == library / expected


def test_a_path_wins_over_every_place(library: pathlib.Path) -> None:
    found = find(str(library / "b/lab-tiny.yaml"), places(library))
    assert (found.path, found.place, found.issues) == (library / "b/lab-tiny.yaml", None, ())


def test_a_folder_of_ones_own_hides_later_ones_and_registries_and_says_so(
    library: pathlib.Path,
) -> None:
    assert [issue.code for issue in find("lab-tiny", places(library)).issues] == ["shadowed"]
    found = find("other", places(library))
    assert "the same name is also at @r2/other" in found.issues[0].message


def test_a_registrys_recipe_knows_where_it_is_from(library: pathlib.Path) -> None:
    found = find("only-here", places(library))
    assert found.place is not None
    assert (found.place.registry, found.place.trusted) == ("r1", False)
    assert found.label == "@r1/only-here"


def test_a_name_in_two_registries_is_refused_with_what_to_type(library: pathlib.Path) -> None:
    with pytest.raises(RecipeAmbiguous) as caught:
        find("gemma", places(library))
    assert "@r1/vllm/gemma" in str(caught.value)
    assert "@r2/gemma" in str(caught.value)


def test_a_name_twice_in_one_folder_is_refused(library: pathlib.Path) -> None:
    with pytest.raises(RecipeAmbiguous) as caught:
        find("lab-tiny", [str(library)])
    assert str(library / "a/lab-tiny.yaml") in str(caught.value)


def test_an_unknown_name_says_where_it_was_looked_for_and_what_is_near(
    library: pathlib.Path,
) -> None:
    with pytest.raises(RecipeNotFound) as caught:
        find("lab-tyni", [*places(library), str(library / "none")])
    text = str(caught.value)
    for told in (str(library / "a"), "@r1", "@lost (not fetched yet)", "none (no such directory)"):
        assert told in text
    assert "Did you mean lab-tiny?" in text


def test_a_registry_that_is_unknown_or_not_fetched_says_what_to_do(library: pathlib.Path) -> None:
    with pytest.raises(RecipeNotFound, match=r"no registry nobody .* @r1, @r2, @lost") as unknown:
        find("@nobody/gemma", places(library))
    assert "dgxspark_recipe_registries" in str(unknown.value)
    with pytest.raises(RecipeNotFetched, match="has not been fetched yet"):
        find("@lost/gemma", places(library))


@pytest.mark.parametrize(
    "name",
    [
        "../a/lab-tiny",
        "a/../../etc/passwd",
        "/nowhere/lab-tiny",
        "",
        ".",
        "@r1/../a/lab-tiny",
        "@r1//etc/passwd",
        "@r1",
        "@",
        "@/lab-tiny",
    ],
)
def test_a_name_cannot_leave_its_place(library: pathlib.Path, name: str) -> None:
    with pytest.raises(RecipeNotFound):
        find(name, places(library)[1:])


def test_what_is_hidden_is_no_recipe_and_the_order_is_stable(library: pathlib.Path) -> None:
    found = [one.path.name for one in recipes_in(Place(str(library / "r2"), "r2"))]
    assert found == ["gemma.yaml", "other.yaml"]


def test_a_link_that_leads_in_a_circle_is_not_followed(library: pathlib.Path) -> None:
    (library / "b/loop").symlink_to(library / "b")
    assert find("other", [str(library / "b")]).path == library / "b/other.yaml"


def test_a_registry_cannot_offer_files_of_this_machine(library: pathlib.Path) -> None:
    for folder in ("r1", "b"):
        (library / folder / "stolen.yaml").symlink_to(library / "a/lab-tiny.yaml")
    with pytest.raises(RecipeNotFound):
        find("@r1/stolen", places(library))
    assert find("stolen", [str(library / "b")]).path == library / "b/stolen.yaml"
