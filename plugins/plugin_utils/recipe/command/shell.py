# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell's grammar as far as needed to fill in values safely and to find the last statement.

This is a reader, not a shell: whatever it does not understand is left to the caller to refuse.
"""

from __future__ import annotations

import enum
import functools
import itertools
import re
import shlex
import typing as t


class ShellContext(enum.Enum):
    """How the shell would read a character."""

    PLAIN = "plain"
    SINGLE = "single quotes"
    DOUBLE = "double quotes"
    ESCAPED = "escaped"
    COMMENT = "comment"


# Text that a second shell reads, or the first by other rules: quoting once is not enough there.
_EVALUATED_AGAIN = re.compile(
    r"`|\$\(|<<|[<>]\(|\$'|\beval\b|\b(?:ba|da|z|k)?sh\s+-\w*c\b|\bxargs\b"
)
_DOUBLE_QUOTE_SPECIAL = re.compile(r'([\\"$`])')
# What may change the context, by context.
_MEANINGFUL = {
    ShellContext.PLAIN: re.compile(r"""[\\'"#]"""),
    ShellContext.SINGLE: re.compile(r"'"),
    ShellContext.DOUBLE: re.compile(r'[\\"]'),
    ShellContext.COMMENT: re.compile(r"\n"),
}
_WORD_START = frozenset(" \t\n;&|(")
_OPERATOR = re.compile(r"[\n;&|]")
# What ends a word; not what else Unicode has for blanks.
_BLANKS = re.compile(r"[ \t\n]+")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


class Statement(t.NamedTuple):
    """One statement of a script: text[start:end], and the operator before it ("" for the first)."""

    start: int
    end: int
    operator: str


@functools.lru_cache(maxsize=32)
def contexts(text: str) -> tuple[ShellContext, ...]:
    """The context of each character; quotes and backslashes belong to what they quote."""
    result: list[ShellContext] = []
    state = ShellContext.PLAIN
    index = 0
    while index < len(text):
        # Up to the next character that may mean something here, all are alike.
        match = _MEANINGFUL[state].search(text, index)
        stop = match.start() if match else len(text)
        result += [state] * (stop - index)
        if stop == len(text):
            break
        char, index = text[stop], stop + 1
        if state is ShellContext.COMMENT:
            state = ShellContext.PLAIN
            result.append(state)
        elif state is ShellContext.SINGLE:
            result.append(state)
            state = ShellContext.PLAIN
        elif char == "\\":
            if index == len(text):
                result.append(state)
            else:
                result += [ShellContext.ESCAPED, ShellContext.ESCAPED]
                index += 1
        elif state is ShellContext.DOUBLE:
            result.append(state)
            state = ShellContext.PLAIN
        else:
            if char == "'":
                state = ShellContext.SINGLE
            elif char == '"':
                state = ShellContext.DOUBLE
            elif stop == 0 or text[stop - 1] in _WORD_START:
                state = ShellContext.COMMENT
            result.append(state)
    return tuple(result)


def evaluates_again(text: str) -> bool:
    """Whether parts of the command are read twice (`bash -c`, `$(...)`, a here-document, ...)."""
    return _EVALUATED_AGAIN.search(text) is not None


def quote(value: str, context: ShellContext) -> str:
    """`value` as text that, put at a place of that context, stays exactly itself."""
    if context is ShellContext.SINGLE:
        return value.replace("'", "'\\''")
    if context is ShellContext.DOUBLE:
        return _DOUBLE_QUOTE_SPECIAL.sub(r"\\\1", value)
    return shlex.quote(value)


@functools.lru_cache(maxsize=32)
def tidy(text: str) -> str:
    """The command without comments, blank ends, and spaces after a line's last backslash.

    Comments go because flags are appended to the last statement, and a comment would swallow them.
    """
    text = re.sub(r"\\[ \t]+\n", "\\\\\n", text.strip())
    code = "".join(
        char for char, context in zip(text, contexts(text)) if context is not ShellContext.COMMENT
    )
    return code.strip().rstrip(" \t\n\\")


def unterminated(text: str) -> ShellContext | None:
    """The kind of quote that is opened and never closed, if any."""
    # A neutral character at the end is plain unless a quote is open there.
    last = contexts(text + "\n.")[-1]
    return last if last in (ShellContext.SINGLE, ShellContext.DOUBLE) else None


def statements(text: str) -> list[Statement]:
    """The statements of a script, split at unquoted newlines, `;`, `&`, `&&`, `|` and `||`."""
    result: list[Statement] = []
    start, operator, index = 0, "", 0
    where = contexts(text)
    while index < len(text):
        match = _OPERATOR.search(text, index)
        if not match:
            break
        index = match.start()
        if where[index] is ShellContext.PLAIN:
            if text[index] == "&" and _is_redirection(text, index):
                index += 1
                continue
            end = index
            while (
                index < len(text)
                and where[index] is ShellContext.PLAIN
                and text[index] in "\n;&| \t"
            ):
                index += 1
            if text[start:end].strip():
                result.append(_trimmed(text, start, end, operator))
            start, operator = index, "".join(text[end:index].split()) or "\n"
        else:
            index += 1
    if text[start:].strip():
        result.append(_trimmed(text, start, len(text), operator))
    elif operator == "&":
        result.append(Statement(len(text), len(text), operator))
    return result


def words(statement: str) -> list[str]:
    """The words of one statement as the shell would hand them on, assignments in front left out.

    Variables stay as written. Raises ValueError for a quote that is never closed.
    """
    if unterminated(statement):
        raise ValueError("a quote is never closed")
    result: list[str] = []
    word: str | None = None
    in_double = False
    index = 0
    for context, run in itertools.groupby(contexts(statement)):
        start, index = index, index + len(list(run))
        text = statement[start:index]
        if context is ShellContext.PLAIN:
            first, *others = _BLANKS.split(text)
            word = word if first == "" else (word or "") + first
            for part in others:
                result += [] if word is None else [word]
                word = part or None
        elif context is ShellContext.SINGLE:
            word = (word or "") + text.replace("'", "")
        elif context is ShellContext.DOUBLE:
            word = (word or "") + text.replace('"', "")
            in_double ^= text.count('"') % 2 == 1
        elif context is ShellContext.ESCAPED:
            for char in text[1::2]:
                if char != "\n":
                    backslash = "\\" if in_double and char not in '$`"\\' else ""
                    word = (word or "") + backslash + char
    result += [] if word is None else [word]
    return list(itertools.dropwhile(_ASSIGNMENT.match, result))


def with_exec(statement: str) -> str:
    """The statement so that its program replaces the shell; assignments in front stay in front.

    Without it the shell stays process 1 and hides the end of the server.
    """
    where = contexts(statement)
    start = 0
    while match := _ASSIGNMENT.match(statement, start):
        start = match.end()
        while start < len(statement) and not (
            where[start] is ShellContext.PLAIN and statement[start].isspace()
        ):
            start += 1
        while statement[start : start + 1].isspace() or statement[start : start + 2] == "\\\n":
            start += 2 if statement[start] == "\\" else 1
    if statement.startswith("exec ", start):
        return statement
    return f"{statement[:start]}exec {statement[start:]}"


def _is_redirection(text: str, index: int) -> bool:
    """Whether the & at index belongs to a redirection: `2>&1`, `<&3`, `&>file`."""
    return text[index - 1 : index] in (">", "<") or text[index + 1 : index + 2] == ">"


def _trimmed(text: str, start: int, end: int, operator: str) -> Statement:
    body = text[start:end]
    return Statement(
        start + len(body) - len(body.lstrip()), end - (len(body) - len(body.rstrip())), operator
    )
