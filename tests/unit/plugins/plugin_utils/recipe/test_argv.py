# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a plan are those that bash hands to the server, for every runtime and rank.

    DGXSPARK_EXAMPLES=2000 .venv/bin/python -m pytest -q tests/unit/.../recipe/test_argv.py

runs the property with that many examples.
"""

from __future__ import annotations

import os
import pathlib
import shlex
import shutil
import subprocess
import typing as t

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Node
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve

BASH = shutil.which("bash") or "bash"
NODES = [Node(f"spark{i}", f"192.0.2.{i}", f"198.51.100.{i}") for i in (1, 2)]
EXAMPLES = settings(
    max_examples=int(os.environ.get("DGXSPARK_EXAMPLES", "100")),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# `runtime` of the recipe, nodes, and how its server is started.
RUNTIMES = [
    ("vllm", 1, "vllm serve"),
    ("vllm-ray", 2, "vllm serve"),
    ("vllm-distributed", 2, "vllm serve"),
    ("eugr-vllm", 2, "vllm serve"),
    ("sglang", 1, "python3 -m sglang.launch_server --model-path"),
    ("sglang", 2, "sglang serve --model-path"),
    ("llama-cpp", 1, "llama-server -hf"),
    ("llama-cpp", 2, "llama-server -hf"),
]
PROGRAMS = ("vllm", "python3", "sglang", "llama-server", "ggml-rpc-server")
# What stands before the server, as recipes have it, and must not be touched.
STATEMENTS = [
    "export A=1",
    "B=2",
    "C='x y' D=$(echo 'a b; c')",
    "cat > /dev/null <<'E'\n#!/usr/bin/env python3\nYou don't # guess \\  \nE",
    "cat > /dev/null <<-E\n\t# Rules\n\tit's \"\n\tE",
    "cat <<ONE <<'TWO' > /dev/null\n'\nONE\n\"\nTWO",
    'case "${X:-a}" in\n  a) true ;;\n  *) false ;;\nesac',
    'if [ -n "$(echo "x y")" ]; then :; else exit 1; fi',
    "for i in 1 2; do : $((i << 1)); done",
    "printf '%s' $'it\\'s # no comment' > /dev/null",
    'say() { : "$@"; }\nsay a',
    "# don't stop",
    ": \"${Y:-'a' b}\" ${Y#x} a\\ #b",
    "(( 1 << 2 )) && : 'multi\n# line'",
    "[[ a < b && b > a ]] || exit 1",
]
TEXT = st.text(
    st.one_of(
        st.sampled_from(list("'\"\\$`;&|<>()#*?!~ \n\t=-,:%@")),
        st.characters(codec="utf-8", exclude_characters="\0{}"),
    ),
    max_size=10,
)
PLAIN = st.text(st.sampled_from("abcXYZ019_@%+=:,./-"), min_size=1, max_size=8)
SEPARATORS = st.sampled_from([" ", "  ", "\t", " \\\n  ", " \\  \n ", " \\\n\\\n "])
ENDS = st.sampled_from(
    [
        *("", "\n", " \\\n", " \\", "  \\  \n\n"),
        *(" {empty}", " \\\n  {empty}\n", " \\\n  {empty} \\\n", " {empty}# the end"),
        *(" # it's the end", "\n# the end\n", " 2>&1", " \\\n  2>&1 {empty}"),
    ]
)


def double(text: str) -> str:
    return '"' + "".join(f"\\{char}" if char in '\\"$`' else char for char in text) + '"'


def ansi(text: str) -> str:
    return "$'" + "".join(f"\\u{ord(c):04x}" if c in "\\'\n" else c for c in text) + "'"


def escaped(text: str) -> str:
    return "".join(c if c.isalnum() else f"'{c}'" if c in "\r\n" else f"\\{c}" for c in text)


def spelled(text: str, how: str) -> str:
    """A word of a command, and the same word in several spellings."""
    if how == "mixed":
        half = len(text) // 2
        return double(text[:half]) + shlex.quote(text[half:])
    return {"single": shlex.quote, "double": double, "ansi": ansi, "escaped": escaped}[how](text)


@st.composite
def arguments(draw: st.DrawFn) -> tuple[str, dict[str, t.Any], list[str]]:
    """The text after the server, the values of its placeholders, and the words that it is."""
    text, words = "", []
    values: dict[str, t.Any] = {"empty": ""}
    for index in range(draw(st.integers(0, 4))):
        value, kind = draw(TEXT), draw(st.sampled_from(["word", "bare", "quoted", "plain"]))
        text += draw(SEPARATORS)
        if kind == "plain":
            value = draw(PLAIN)
            text += f"--xt={value}"
        elif kind == "word":
            hows = st.sampled_from(["single", "double", "ansi", "escaped", "mixed"])
            text += "--xt=" + spelled(value, draw(hows))
        else:
            name, quote = f"v{index}", draw(st.sampled_from(["'", '"']))
            # A list is one word an item; a text outside of quotes is several.
            values[name] = [f"--xt={value}"] if kind == "bare" else value
            quoted = f"{quote}--xt={{{name}}}{quote}"
            text += f"{{{name}}}" if kind == "bare" else quoted
        words.append(f"--xt={value}")
    return text + draw(ENDS), values, words


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Programs that write their words instead of serving."""
    folder = tmp_path_factory.mktemp("bin")
    for name in PROGRAMS:
        path = folder / name
        path.write_text('#!/bin/sh\nprintf \'%s\\0\' "${0##*/}" "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    return folder


def handed_on(text: str, programs: pathlib.Path) -> list[str]:
    """The words that bash hands to the server that a script starts."""
    done = subprocess.run(
        [BASH, "-c", text],
        env={"PATH": f"{programs}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (0, b""), text
    return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


def words_are_the_same(
    folder: pathlib.Path,
    programs: pathlib.Path,
    server: tuple[str, int, str],
    command: str,
    values: t.Mapping[str, t.Any],
    words: t.Sequence[str],
) -> None:
    runtime, count, start = server
    path = folder / "sample.yaml"
    data = {
        "model": "org/model",
        "container": "org/image:1",
        "runtime": runtime,
        "defaults": {**values, "tensor_parallel": count},
        "command": command,
        "min_nodes": count,
    }
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    ranks = resolve(load(str(path)), {}, NODES[:count]).ranks
    assert len(ranks) == count
    for rank in ranks:
        if not rank.argv:
            # A worker of Ray.
            continue
        seen = handed_on(rank.text, programs)
        if seen[0] == "ggml-rpc-server":
            assert tuple(seen[1:]) == rank.argv
            continue
        assert tuple(seen) == rank.argv
        expected = [*start.split(), "org/model", *words]
        assert seen[: len(expected)] == expected


@pytest.mark.parametrize("server", RUNTIMES, ids=lambda server: f"{server[0]}-{server[1]}")
@EXAMPLES
@given(
    before=st.lists(st.sampled_from(STATEMENTS), max_size=2),
    after=arguments(),
    assignment=st.sampled_from(["", "A=1 ", "A='x y' B=$(echo a b) \\\n ", "exec ", "exec\t"]),
)
def test_bash_hands_the_server_the_words_of_the_plan(
    tmp_path: pathlib.Path,
    programs: pathlib.Path,
    server: tuple[str, int, str],
    before: list[str],
    after: tuple[str, dict[str, t.Any], list[str]],
    assignment: str,
) -> None:
    text, values, words = after
    command = "\n".join([*before, f"{assignment}{server[2]} {{model}}{text}"])
    words_are_the_same(tmp_path, programs, server, command, values, words)
