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


HERE = [
    "cat > /tmp/fix.py <<'E'\n#!/usr/bin/env python3\nimport os\nE\nchmod +x /tmp/fix.py",
    'cat > /tmp/a.c <<-"E"\n\t#include <stdio.h>\n\tE',
    "cat <<E >/tmp/s.md\n# Rules\nYou don't $GUESS \\\nE",
    "tee a <<A b <<B\n'\nA\n\"\nB",
]


@pytest.mark.parametrize("text", HERE)
def test_a_here_document_is_data_and_stays(text: str) -> None:
    assert shell.tidy(f"{text}\nvllm serve m # comment") == f"{text}\nvllm serve m"
    assert shell.unclosed(text) is None
    last = shell.statements(f"{text}\nvllm serve m")[-1]
    assert f"{text}\nvllm serve m"[last.start : last.end] == "vllm serve m"


@pytest.mark.parametrize(
    ("text", "what", "start"),
    [
        ("cat <<'E'\nx\n E\nvllm serve m", "the here-document E", 4),
        ("vllm serve 'm", "single quotes", 11),
        ('a "b $(c "d)"\nvllm serve m', "double quotes", 2),
        ("x=$(a\nvllm serve m", "$(...)", 2),
        ("a ${b\nvllm serve m", "${...}", 2),
        ("a $'it\\'s", "$'...' quotes", 2),
        ("a `b", "`...`", 2),
        ("(a; b", "(...)", 0),
    ],
)
def test_what_is_never_closed_has_a_name_and_a_place(text: str, what: str, start: int) -> None:
    assert shell.unclosed(text) == shell.Unclosed(what, start)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("if true; then\n  vllm serve m", "if"),
        ("case $A in\n  a) vllm serve m", "case"),
        ("f() {\n  vllm serve m", "{"),
        ("for i in 1 2; do\n  while true; do :; done\n  vllm serve m", "for"),
        ("case $A in a) true ;; esac\nif true; then :; else { :; }; fi\nvllm serve m", None),
        ("f() { if true; then :; fi; }\nfunction g {\n  :\n}\nvllm serve m", None),
    ],
)
def test_a_compound_command_that_is_open_before_the_server_is_known(
    text: str, what: str | None
) -> None:
    found = shell.open_compound(text)
    assert (found and found.what) == what


@pytest.mark.parametrize(
    "value", ["it's", 'a "b"', "$HOME `date` \\", "two\nlines", "{}", "plain", "# x"]
)
@pytest.mark.parametrize(
    ("context", "text"),
    [
        (shell.ShellContext.HEREDOC, 'printf %s "$(cat <<E\n<{}>\nE\n)"'),
        (shell.ShellContext.LITERAL, "printf %s \"$(cat <<'E'\n<{}>\nE\n)\""),
        (shell.ShellContext.ANSI, "printf %s $'<{}>'"),
    ],
)
def test_a_value_stays_itself_in_here_documents_and_ansi_quotes(
    context: shell.ShellContext, text: str, value: str
) -> None:
    filled = text.replace("{}", shell.quote(value, context))
    assert context in shell.contexts(filled)
    done = subprocess.run(["bash", "-c", filled], capture_output=True, check=True, text=True)
    assert done.stdout == f"<{value}>"


@pytest.mark.parametrize(
    "statement",
    [
        "p $'it\\'s\\t\\x41\\u00e9\\101' $\"a b\" a\"b 'c'\"d",
        "p a#b a\\ #c '#d' \\# # comment",
        "p 2>&1 a < /dev/null b 2> /dev/null",
        'X=1 Y+=2 p "A=1" B=2',
        "p a\\\n#b",
    ],
)
def test_words_of_every_quoting_are_those_that_bash_hands_on(statement: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"p() {{ printf '%s\\0' p \"$@\"; }}\n{statement}"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert shell.words(statement) == done.stdout.split("\0")[:-1]
