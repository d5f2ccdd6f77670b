# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format import (
    load as load_module,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Recipe,
    RecipeAmbiguous,
    RecipeError,
    RecipeNotFound,
)

TEXT = "model: org/model\nruntime: vllm\ncontainer: image:1\ncommand: vllm serve {model}\n"


@pytest.fixture
def library(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("a/lab-tiny.yaml", "a/deep/qwen3.5-9b.yml", "b/lab-tiny.yaml", "b/other.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(TEXT, encoding="utf-8")
    return tmp_path


def test_an_earlier_search_path_hides_a_later_one_and_says_so(library: pathlib.Path) -> None:
    recipe = load("lab-tiny", [str(library / "a"), str(library / "b")])
    assert [issue.code for issue in recipe.issues] == ["shadowed"]
    assert str(library / "b/lab-tiny.yaml") in recipe.issues[0].message


def test_two_files_of_one_name_in_one_search_path_are_refused(library: pathlib.Path) -> None:
    with pytest.raises(RecipeAmbiguous) as caught:
        load("lab-tiny", [str(library)])
    assert str(library / "a/lab-tiny.yaml") in str(caught.value)
    assert str(library / "b/lab-tiny.yaml") in str(caught.value)


def test_an_unknown_name_says_where_it_was_looked_for_and_what_is_near(
    library: pathlib.Path,
) -> None:
    with pytest.raises(RecipeNotFound) as caught:
        load("lab-tyni", [str(library / "a"), str(library / "none")])
    text = str(caught.value)
    assert "lab-tyni" in text
    assert str(library / "a") in text
    assert f"{library / 'none'} (no such directory)" in text
    assert "Did you mean lab-tiny?" in text


@pytest.mark.parametrize(
    "name", ["../a/lab-tiny", "a/../../etc/passwd", "/nowhere/lab-tiny", "", "."]
)
def test_a_name_cannot_leave_the_search_path(library: pathlib.Path, name: str) -> None:
    with pytest.raises(RecipeNotFound):
        load(name, [str(library / "b")])


class BadFile(t.NamedTuple):
    content: bytes
    expected: str


BAD_FILES = {
    "syntax": BadFile(b"model: x\n  command: [\n", "line 2, column 10"),
    "tab": BadFile(b"defaults:\n\tport: 1\n", "line 2, column 1"),
    "list": BadFile(b"- model: x\n", "is a list"),
    "text": BadFile(b"just words\n", "is a str"),
    "empty": BadFile(b"# nothing\n", "is empty"),
    "latin-1": BadFile(b"model: caf\xe9\n", "not UTF-8 text: byte 10"),
    "large": BadFile(b"#" * (load_module.MAX_BYTES + 1), "larger than"),
    "recursive": BadFile(b"model: x\ndefaults: &d\n  a: *d\n", "contains itself"),
    "bomb": BadFile(
        b"a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 10))
            for i in range(6)
        ),
        "aliases",
    ),
    "deep lists": BadFile(b"a: " + b"[" * 200000, "nested more than 64 deep"),
    "deep maps": BadFile(b"a: " + b"{a: " * 50000, "nested more than 64 deep"),
    "deep blocks": BadFile(b"- " * 100000, "nested more than 64 deep"),
    "NUL": BadFile(b"model: a\0b\n", "not valid YAML"),
    "UTF-16": BadFile("model: x\n".encode("utf-16"), "not UTF-8 text"),
    "a key that is a list": BadFile(b"? [a]\n: b\n", "not valid YAML"),
    "a date that is none": BadFile(b"model: 2026-13-45\n", "not valid YAML"),
    "ten megabytes": BadFile(b"model: " + b"x" * 10_000_000, "larger than"),
    "two documents": BadFile(b"model: x\n---\nmodel: y\n", "found another document"),
    "object": BadFile(b"model: !!python/object/apply:os.system [id]\n", "line 1"),
}


@pytest.mark.parametrize("bad", BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_is_no_recipe_is_refused_with_file_and_reason(
    tmp_path: pathlib.Path, bad: BadFile
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(bad.content)
    with pytest.raises(RecipeError) as caught:
        load(str(path))
    assert str(path) in str(caught.value)
    assert bad.expected in str(caught.value)


def test_without_pyyaml_the_error_says_what_to_install(
    library: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_module, "yaml", None)
    with pytest.raises(RecipeError, match="install the Python package PyYAML"):
        load(str(library / "b/other.yaml"))


def test_nothing_of_the_file_is_dropped(recipe_text: t.Callable[[str], Recipe]) -> None:
    recipe = recipe_text(
        """\
        model: org/model
        runtime: vllm
        container: image:1
        command: vllm serve {model}
        maintainer: Alice
        shiny_new_key: {a: 1}
        runtime_config:
          explicit: 2
        """
    )
    assert recipe.data["maintainer"] == "Alice"
    assert recipe.runtime_config == {"shiny_new_key": {"a": 1}, "explicit": 2}


def test_duplicate_keys_are_reported_with_both_lines(
    recipe_text: t.Callable[[str], Recipe],
) -> None:
    recipe = recipe_text(
        """\
        model: org/model
        defaults:
          port: 8000
          port: 9000
        """
    )
    (issue,) = recipe.issues
    assert (issue.code, issue.field, issue.line) == ("duplicate-key", "defaults.port", 4)
    assert "line 3" in issue.message
    assert recipe.defaults["port"] == 9000


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("model", ["a"], "expected text, found the list"),
        ("command", ["vllm", "serve"], "expected text, found the list"),
        ("defaults", ["port"], "expected a map, found the list"),
        ("env", ["A=1"], "expected a map, found the list"),
        ("min_nodes", "two", "expected a whole number, found the text"),
        ("max_nodes", True, "expected a whole number"),
        ("solo_only", "yes please", "expected true or false"),
    ],
)
def test_a_wrong_type_is_an_issue_that_names_the_field(
    recipe_of: t.Callable[..., Recipe], field: str, value: object, expected: str
) -> None:
    (issue,) = recipe_of(**{field: value}).issues
    assert (issue.code, issue.severity, issue.field) == ("wrong-type", "error", field)
    assert expected in issue.message
    assert issue.line is not None


def test_numbers_of_nodes_may_be_written_as_text(recipe_of: t.Callable[..., Recipe]) -> None:
    recipe = recipe_of(min_nodes="2", max_nodes="4")
    assert (recipe.min_nodes, recipe.max_nodes, recipe.issues) == (2, 4, ())
