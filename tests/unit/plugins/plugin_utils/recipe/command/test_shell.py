# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command import shell


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("vllm serve m", ["vllm serve m"]),
        ("a; b", ["a", "b"]),
        ("export X=1\nvllm serve m \\\n  --a", ["export X=1", "vllm serve m \\\n  --a"]),
        ("a && b || c | d", ["a", "b", "c", "d"]),
        ("echo 'a; b' && x \"c | d\"", ["echo 'a; b'", 'x "c | d"']),
        ("x --a 2>&1", ["x --a 2>&1"]),
        ("x &> log", ["x &> log"]),
        ("x \\; y", ["x \\; y"]),
    ],
)
def test_statements_are_split_where_the_shell_splits_them(text: str, parts: list[str]) -> None:
    assert [text[part.start : part.end] for part in shell.statements(text)] == parts


def test_a_command_in_the_background_leaves_no_last_statement() -> None:
    last = shell.statements("vllm serve m &")[-1]
    assert last.start == last.end


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vllm serve m  # the model", "vllm serve m"),
        ("vllm serve m --a '# no comment'", "vllm serve m --a '# no comment'"),
        ("vllm serve m#x", "vllm serve m#x"),
        ("# don't stop\nvllm serve m", "vllm serve m"),
        ("vllm serve \\  \n  m \\\n", "vllm serve \\\n  m"),
    ],
)
def test_tidy_removes_comments_and_repairs_line_ends(text: str, expected: str) -> None:
    assert shell.tidy(text) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("vllm serve m", "exec vllm serve m"),
        ("A=1 B='2 3' vllm serve m", "A=1 B='2 3' exec vllm serve m"),
        ("A=1 \\\n  vllm serve m", "A=1 \\\n  exec vllm serve m"),
        ("exec vllm serve m", "exec vllm serve m"),
    ],
)
def test_exec_goes_before_the_program_and_after_assignments(statement: str, expected: str) -> None:
    assert shell.with_exec(statement) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "p a b",
        "p 'a b' \"c d\" e\\ f",
        "p --a \\\n  --b='x y'",
        'p \'{"a": "b c"}\' "q\\"r"',
        "X=1 p 'it'\\''s'",
    ],
)
def test_words_are_those_that_bash_hands_on(statement: str) -> None:
    seen = subprocess.run(
        ["bash", "-c", f"p() {{ printf '%s\\0' p \"$@\"; }}\n{statement}"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert shell.words(statement) == seen.split("\0")[:-1]
