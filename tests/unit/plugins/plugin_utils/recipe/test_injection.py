# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a value says: bash, run for real, executes nothing of it and hands it on unchanged."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Recipe,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve

NASTY = [
    "; touch pwned",
    "\n touch pwned\n",
    "$(touch pwned)",
    "`touch pwned`",
    "' ; touch pwned; '",
    '" ; touch pwned; "',
    "'\"'\"'; touch pwned #",
    "a && touch pwned",
    "a | touch pwned",
    "a & touch pwned",
    "> pwned",
    "$HOME ${PATH} $0",
    "\\",
    "\\'; touch pwned #",
    "trailing\\",
    "\\\\\n",
    "# touch",
    "*",
    "~",
    "!!",
    "{a,b}",
    "- --help",
    "ünï \t cødé",
    "a\r\nb",
    "$'\\n' touch pwned",
    "<<EOF\ntouch pwned\nEOF",
]

PLACES = {
    "bare": ("vllm serve {model} --x {value}", "{}"),
    "after an equals sign": ("vllm serve {model} --x={value}", "--x={}"),
    "in single quotes": ("vllm serve {model} --x '[{value}]'", "[{}]"),
    "in double quotes": ('vllm serve {model} --x "[{value}]"', "[{}]"),
    "between quotes": ("vllm serve {model} --x 'a'{value}\"b\"", "a{}b"),
    "after a comment": ("# don't {value}\nvllm serve {model} --x {value} # it's", "{}"),
    "after a statement": ("export A='1 2'; B=2 vllm serve {model} --x {value}", "{}"),
    "after a line break": ("vllm serve {model} \\\n  --x \\\n  {value}", "{}"),
    "through another value": ("vllm serve {model} --x {outer}", "<{}>"),
}


@pytest.fixture
def server_words(tmp_path: pathlib.Path) -> t.Callable[[str], list[str]]:
    """Run a rank's text with bash, as a container does; what the server got."""
    stub = tmp_path / "bin/vllm"
    stub.parent.mkdir()
    stub.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n", encoding="utf-8")
    stub.chmod(0o755)

    def run(text: str) -> list[str]:
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=tmp_path,
            env={"PATH": f"{stub.parent}:/usr/bin:/bin", "HOME": "/nowhere", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            check=False,
            timeout=20,
        )
        assert done.stderr == b""
        assert done.returncode == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "sample.yaml"]
        return done.stdout.decode("utf-8").split("\0")[:-1]

    return run


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("value", NASTY)
def test_an_override_arrives_intact_and_executes_nothing(
    recipe_of: t.Callable[..., Recipe],
    nodes: t.Callable[..., t.Any],
    server_words: t.Callable[[str], list[str]],
    place: tuple[str, str],
    value: str,
) -> None:
    command, arrives = place
    recipe = recipe_of(command=command, defaults={"value": "plain", "outer": "<{value}>"})
    (rank,) = resolve(recipe, {"value": value}, nodes(1)).ranks
    expected = arrives.replace("{}", value)
    words = server_words(rank.text)
    assert words[-1] == expected
    assert list(rank.argv) == ["vllm", *words]


@pytest.mark.parametrize("value", NASTY)
def test_a_default_adds_words_but_never_executes_anything(
    recipe_of: t.Callable[..., Recipe],
    nodes: t.Callable[..., t.Any],
    server_words: t.Callable[[str], list[str]],
    value: str,
) -> None:
    recipe = recipe_of(
        command="vllm serve {model} --x {value} '{value}' \"{value}\"", defaults={"value": value}
    )
    (rank,) = resolve(recipe, {}, nodes(1)).ranks
    words = server_words(rank.text)
    assert words[-2:] == [value, value]
    assert list(rank.argv) == ["vllm", *words]


@pytest.mark.parametrize("field", ["model", "served_model_name"])
def test_fields_that_the_launch_adds_itself_are_quoted_too(
    recipe_of: t.Callable[..., Recipe],
    nodes: t.Callable[..., t.Any],
    server_words: t.Callable[[str], list[str]],
    field: str,
) -> None:
    recipe = recipe_of(defaults={"served_model_name": "x"})
    (rank,) = resolve(recipe, {field: "'; touch pwned"}, nodes(1)).ranks
    assert "'; touch pwned" in server_words(rank.text)


@pytest.mark.parametrize(
    "command",
    [
        "bash -c 'echo {value}'; vllm serve {model}",
        'sh -lc "echo {value}"; vllm serve {model}',
        "eval echo {value}; vllm serve {model}",
        "vllm serve {model} --x $(echo {value})",
        "vllm serve {model} --x `echo {value}`",
        "cat <<EOF > f\n{value}\nEOF\nvllm serve {model}",
        "bash -c 'echo {outer}'; vllm serve {model}",
    ],
)
def test_where_a_second_shell_reads_only_plain_overrides_are_taken(
    recipe_of: t.Callable[..., Recipe], nodes: t.Callable[..., t.Any], command: str
) -> None:
    recipe = recipe_of(command=command, defaults={"value": "x", "outer": "<{value}>"})
    with pytest.raises(RecipeError, match="unsafe-value"):
        resolve(recipe, {"value": "$(touch pwned)"}, nodes(1))
    if "{outer}" not in command:
        assert "8.5/a:b" in resolve(recipe, {"value": "8.5/a:b"}, nodes(1)).ranks[0].text


def test_a_nul_is_refused(
    recipe_of: t.Callable[..., Recipe], nodes: t.Callable[..., t.Any]
) -> None:
    recipe = recipe_of(command="vllm serve {model} --x {value}", defaults={"value": "x"})
    with pytest.raises(RecipeError, match="NUL"):
        resolve(recipe, {"value": "a\0b"}, nodes(1))
