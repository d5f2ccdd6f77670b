# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rendered command, split before the server that it starts, and the flags of that server."""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command import shell


class CommandError(ValueError):
    """The command has a shape whose server cannot be made process 1 or given further flags."""


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
    open_quote = shell.unterminated(command)
    if open_quote:
        raise CommandError(f"{open_quote.value} are opened and never closed")
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
    try:
        words = shell.words(text)
    except ValueError as exc:
        raise CommandError(f"its last statement cannot be split into words: {exc}") from exc
    if words[:1] == ["exec"]:
        words = words[1:]
    plain = [
        char for char, where in zip(text, shell.contexts(text)) if where is shell.ShellContext.PLAIN
    ]
    if not starts(words) or plain.count("(") != plain.count(")"):
        raise CommandError(
            f"its last statement must start the server with `{example}`, but is {text[:60]!r}"
        )
    return Server(command[: last.start], text, tuple(words))
