# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a recipe says: no crash, no surprise among the words, nothing run on the controller."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import typing as t

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import (
    errors,
    validate,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command import shell
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.fields import FIELDS
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve

NODES = [Node("spark1", "192.0.2.1", "198.51.100.1"), Node("spark2", "192.0.2.2", "198.51.100.2")]
QUICK = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# What shells, YAML and templates find special, more often than other text.
NASTY = st.text(
    st.one_of(st.sampled_from(list("'\"\\$`;&|<>(){}[]#*?!~ \n\t=-,:%@")), st.characters()),
    max_size=12,
)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | NASTY.map(
    lambda text: text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")
)
PLAIN_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("property") / "sample.yaml"


# Not empty while a test starts bash itself.
BASH: list[bool] = []
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")


@pytest.fixture(scope="module", autouse=True)
def _nothing_else_is_started() -> t.Iterator[None]:
    """An audit hook: what starts a process raises, and the test with it."""
    here = [True]

    def watch(event: str, _arguments: tuple[t.Any, ...]) -> None:
        if here and not BASH and event in STARTS:
            raise AssertionError(f"a process was started: {event}")

    sys.addaudithook(watch)  # for good; it looks on after this module
    yield
    here.clear()


SURROUNDINGS = {
    "too-few-nodes",
    "parallel-nodes",
    "env-not-allowed",
    "env-unset",
    "unsupported-host",
}
T = t.TypeVar("T")


def outcome(run: t.Callable[[], T]) -> tuple[T | None, RecipeError | None]:
    """What it gives, or how it refuses; any other exception is a mistake of ours."""
    try:
        return run(), None
    except RecipeError as exc:
        return None, exc


def written(file: pathlib.Path, data: dict[str, t.Any]) -> str:
    file.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return str(file)


@QUICK
@given(data=st.dictionaries(st.sampled_from(sorted(FIELDS)) | WORDS, PLAIN_DATA, max_size=6))
def test_any_map_is_a_recipe_with_issues_or_is_refused_by_name(
    file: pathlib.Path, data: dict[str, t.Any]
) -> None:
    path = written(file, {"model": "org/model", "container": "org/image:1", **data})
    recipe, refusal = outcome(lambda: load(path))
    if recipe is None:
        assert any(told in str(refusal) for told in (path, "include", "registry"))
        return
    found = validate(recipe)
    assert all(issue.code and issue.fix and issue.message for issue in found)
    resolved, refusal = outcome(lambda: resolve(recipe, {}, NODES))
    if resolved is None:
        # Where validation finds nothing wrong, it is the nodes or the surroundings.
        assert refusal is not None
        assert errors(found) or {issue.code for issue in refusal.issues} <= SURROUNDINGS
        return
    assert not errors(found)
    assert resolved.ranks[0].argv


@QUICK
@given(value=WORDS, default=WORDS)
def test_an_override_is_one_word_in_every_quoting_and_the_others_stay(
    file: pathlib.Path, value: str, default: str
) -> None:
    recipe = load(
        written(
            file,
            {
                "model": "org/model",
                "container": "org/image:1",
                "runtime": "vllm",
                "defaults": {"a": "x", "b": default},
                "command": "vllm serve {model} --xa={a} --xb '<{a}>' --xc \"<{a}>\" --xd",
            },
        )
    )
    argv = resolve(recipe, {"a": value}, NODES[:1]).ranks[0].argv
    assert argv == (
        *("vllm", "serve", "org/model", f"--xa={value}"),
        *("--xb", f"<{value}>", "--xc", f"<{value}>", "--xd"),
    )


def is_a_name(text: str) -> bool:
    """Whether the text may be a model: printable, no flag, no placeholder, no typographic quote."""
    name = text.strip()
    return name[:1].isascii() and name.isprintable() and not re.match(r"-|.*{|$", name)


@settings(QUICK, max_examples=40)
@given(value=WORDS, model=WORDS.filter(is_a_name))
def test_bash_hands_the_server_the_very_words_that_were_resolved(
    file: pathlib.Path, value: str, model: str
) -> None:
    recipe = load(
        written(
            file,
            {
                "model": model,
                "container": "org/image:1",
                "runtime": "vllm",
                "defaults": {"a": "x", "served_model_name": "n"},
                "command": "vllm serve {model} --xa {a} --xb 'x{a}' # {a}\n",
            },
        )
    )
    rank = resolve(recipe, {"a": value, "served_model_name": value or "n"}, NODES[:1]).ranks[0]
    # A function in the place of the server; exec would look for a program.
    text = "vllm() { printf '%s\\0' vllm \"$@\"; }\n" + rank.text.replace("exec vllm", "vllm", 1)
    BASH.append(True)
    try:
        done = subprocess.run(
            [shutil.which("bash") or "bash", "-c", text],
            env={"PATH": "/nonexistent", "LC_ALL": "C.UTF-8"},
            cwd=file.parent,
            capture_output=True,
            check=False,
            timeout=20,
        )
    finally:
        BASH.clear()
    assert (done.returncode, done.stderr) == (0, b"")
    assert tuple(done.stdout.decode("utf-8").split("\0")[:-1]) == rank.argv
    assert os.listdir(file.parent) == [file.name]


@QUICK
@given(values=st.dictionaries(st.sampled_from("abcd"), WORDS | st.sampled_from(["{a}", "{b}"])))
def test_placeholders_that_refer_to_each_other_end(
    file: pathlib.Path, values: dict[str, str]
) -> None:
    recipe = load(
        written(
            file,
            {
                "model": "org/model",
                "container": "org/image:1",
                "runtime": "vllm",
                "defaults": values,
                "command": "vllm serve {model} --x {a}",
            },
        )
    )
    validate(recipe)


@QUICK
@given(text=WORDS)
def test_the_shell_reader_has_a_context_for_each_character_and_quotes_what_it_is_given(
    text: str,
) -> None:
    assert len(shell.contexts(text)) == len(text)
    assert shlex.split(shell.quote(text, shell.ShellContext.PLAIN)) == [text]
    assert shlex.split(f"'{shell.quote(text, shell.ShellContext.SINGLE)}'") == [text]


@QUICK
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_a_recipe_or_are_refused_with_the_file(
    file: pathlib.Path, raw: bytes
) -> None:
    file.write_bytes(raw)
    recipe, refusal = outcome(lambda: load(str(file)))
    assert recipe is not None or str(file) in str(refusal)
