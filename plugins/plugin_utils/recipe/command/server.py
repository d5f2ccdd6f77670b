# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rendered command, split before the server that it starts, and the flags of that server."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command import shell


class CommandError(ValueError):
    """The command has a shape whose server cannot be made process 1 or given further flags.

    near: the part of the command that has it; "" for all of it.
    """

    def __init__(self, message: str, near: str = "") -> None:
        self.near = near
        super().__init__(message)


class Server(t.NamedTuple):
    """A rendered command, split before its last statement, which starts the server."""

    before: str
    text: str
    words: tuple[str, ...]

    def flag(self, names: t.Sequence[str]) -> str | None:
        """The value of a flag ("" for one without value), None if absent; the last one counts.

        `--a-b`, `--a_b`, `--a-b=v` and `--a-b v` are the same flag.
        """
        flags = _flags_of(self.words)
        present = [flags[name] for name in names if name in flags]
        return max(present)[1] if present else None

    def flags(self) -> t.Iterator[tuple[str, str]]:
        """Each long flag as it stands, with - for _, and its value ("" for none)."""
        for position, word in enumerate(self.words):
            if not word.startswith("--"):
                continue
            name, equals, value = word.partition("=")
            following = self.words[position + 1] if position + 1 < len(self.words) else ""
            yield (
                name.replace("_", "-"),
                (value if equals else "" if following.startswith("-") else following),
            )

    def without_flag(self, flag: str) -> Server:
        """Without each `--flag value` and `--flag=value`; nothing else of the text changes."""
        words = shell.simple(self.text).words
        text = self.text
        for position in range(len(words) - 1, -1, -1):
            name, equals, _value = words[position].text.partition("=")
            if name.replace("_", "-") != flag:
                continue
            end = words[position if equals else min(position + 1, len(words) - 1)].end
            text = text[: words[position - 1].end] + text[end:]
        text = shell.tidy(text)
        return self._replace(
            text=text, words=tuple(word.text for word in _program(shell.simple(text).words))
        )

    def with_flags(self, flags: t.Sequence[str]) -> Server:
        text = " ".join(
            [self.text, *(shell.quote(flag, shell.ShellContext.PLAIN) for flag in flags)]
        )
        return self._replace(text=text, words=(*self.words, *flags))

    def substituted(self, text: str, replacement: str) -> Server:
        """With every occurrence of a text replaced, in the command and in its words."""
        return Server(
            self.before.replace(text, replacement),
            self.text.replace(text, replacement),
            tuple(word.replace(text, replacement) for word in self.words),
        )

    def script(self) -> str:
        """The complete command, in which the server replaces the shell."""
        return self.before + shell.with_exec(self.text)


@functools.lru_cache(maxsize=32)
def _flags_of(words: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    """Each flag's last place among the words, and its value there."""
    flags = {}
    for position, word in enumerate(words):
        if not word.startswith("-"):
            continue
        name, equals, value = word.partition("=")
        following = words[position + 1] if position + 1 < len(words) else ""
        flags[name.replace("_", "-") if name.startswith("--") else name] = (
            position,
            value if equals else "" if following.startswith("--") else following,
        )
    return flags


@functools.lru_cache(maxsize=32)
def split_server(
    command: str,
    starts: t.Callable[[t.Sequence[str]], bool],
    example: str,
) -> Server:
    """Split a rendered command. Raises CommandError with what is expected and what it has instead.

    starts: whether words start the server. example: how such words begin.
    """
    _require_closed(command)
    parts = shell.statements(command)
    if not parts:
        raise CommandError("there is nothing but comments in it")
    last = parts[-1]
    if last.operator in ("|", "|&"):
        raise CommandError(
            "the server's output goes through a pipe, so that its end would not be seen"
        )
    if last.start == last.end:
        raise CommandError(
            "the server is started in the background (&), so that its end would not be seen"
        )
    text = command[last.start : last.end]
    statement = shell.simple(text)
    words = tuple(word.text for word in _program(statement.words))
    if not starts(words):
        raise CommandError(
            f"its last statement must start the server with `{example}`, but is {text[:60]!r}",
            _first_line(text),
        )
    _require_output(statement.redirections)
    return Server(command[: last.start], text, words)


def _program(words: tuple[shell.Word, ...]) -> tuple[shell.Word, ...]:
    return words[1:] if words and words[0].text == "exec" else words


def _require_closed(command: str) -> None:
    """Raises CommandError for a quote, here-document or compound command without its end."""
    problem = shell.unclosed(command)
    if problem is None and (problem := shell.open_compound(command)):
        problem = problem._replace(what=f"`{problem.what}`")
    if problem:
        line = command.count("\n", 0, problem.start) + 1
        are = "are" if problem.what.endswith("quotes") else "is"
        raise CommandError(
            f"{problem.what} {are} opened and never closed, in line {line} of the command",
            _first_line(command[problem.start :]),
        )


def _require_output(redirections: t.Iterable[shell.Redirection]) -> None:
    """Raises CommandError where the container's log would not have the server's output."""
    for redirection in redirections:
        written = f"{redirection.descriptor}{redirection.operator}{redirection.target}"
        if redirection.operator.startswith("<<"):
            raise CommandError(
                f"the server reads a here-document ({written}): put that text into a file before",
                written,
            )
        joins = redirection.operator == ">&" and redirection.target in ("1", "2")
        if ">" in redirection.operator and not joins:
            raise CommandError(
                f"the server's output goes into a file ({written}), so that the container's log "
                "would be empty",
                redirection.operator + redirection.target,
            )


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
