# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`{placeholder}` substitution that cannot change what the shell does.

The command of a recipe is shell text; values are data. Each value is quoted for the place where its
placeholder stands, so neither a default nor an override can add an operator or a second command.
The rules are in docs/contracts/recipe.md, "Substitution".
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.command import shell
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.nearest import nearest
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.values import (
    TYPED,
    Value,
    text_of,
)

# Characters of an expanded value, and of a recipe's command and hooks together. Real commands have
# some hundred; values that refer to values would otherwise grow without end.
MAX_TEXT = 64 * 1024
_MAX_LOOKUPS = 10_000
_MAX_DEPTH = 32
# Problems that are reported at once.
_MAX_PROBLEMS = 20
_NAMES_SHOWN = 40

# Braces around a name. JSON ({"a":1}), brace expansion ({a,b}) and {} are no placeholders.
_PLACEHOLDER = re.compile(r"(?<!\$)\{\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}")
# A placeholder that is never closed, if the name is that of a value; awk's {print $1} is none.
_OPEN = re.compile(r"(?<![\${])\{([A-Za-z_][A-Za-z0-9_.-]*)(?=[\s\"']|\Z)(?!\s*\})")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]*")


class Piece(t.NamedTuple):
    """Literal text (name None) or a placeholder as written, with its context in the shell."""

    text: str
    name: str | None
    context: shell.ShellContext


@dataclasses.dataclass(frozen=True)
class TemplateProblem:
    """Why a placeholder cannot be filled; fields as those of an Issue."""

    code: str
    name: str
    message: str
    fix: str


class TemplateError(Exception):
    """At least one placeholder cannot be filled."""

    def __init__(self, problems: t.Sequence[TemplateProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.message for problem in problems))


@functools.lru_cache(maxsize=32)
def parse(text: str) -> tuple[Piece, ...]:
    """Split text into literals and placeholders.

    `{{` anywhere switches the complete text to escape mode: `{{` and `}}` then are literal braces.
    `${name}` is the shell's, never a placeholder.
    """
    escaping = "{{" in text
    where = shell.contexts(text)
    pieces: list[Piece] = []
    start = index = 0
    while index < len(text):
        pair = text[index : index + 2]
        match = _PLACEHOLDER.match(text, index) if text[index] == "{" else None
        if escaping and pair in ("{{", "}}"):
            pieces += [
                Piece(text[start:index], None, where[index]),
                Piece(pair[0], None, where[index]),
            ]
            start = index = index + 2
        elif match and where[index] not in shell.ESCAPED:
            pieces.append(Piece(text[start:index], None, where[index]))
            pieces.append(Piece(match.group(0), match.group(1), where[index]))
            start = index = match.end()
        else:
            index += 1
    pieces.append(Piece(text[start:], None, shell.ShellContext.PLAIN))
    return tuple(piece for piece in pieces if piece.text)


class Renderer:
    """Fills a command from one set of values and remembers which names were used."""

    def __init__(self, values: t.Mapping[str, Value], declared: t.Mapping[str, t.Any]) -> None:
        """declared: the recipe's defaults; they decide whether an override may be several words."""
        self._values = values
        self._declared = declared
        self._problems: dict[tuple[str, str], TemplateProblem] = {}
        self._reached: set[str] = set()
        self._lookups = 0
        self._left = MAX_TEXT
        self.used: set[str] = set()

    def command(self, template: str) -> str:
        """The template as shell text. Raises TemplateError with every problem found.

        All templates of one renderer have MAX_TEXT characters together at most, filled in.
        """
        self._spend(len(template))
        template = shell.tidy(template)
        evaluated = shell.evaluates_again(template)
        out = []
        for piece in parse(template):
            if piece.name is None:
                self._require_closed(piece.text)
                out.append(piece.text)
                continue
            self._reached.clear()
            if piece.context is shell.ShellContext.PLAIN:
                words = self._words(piece.name, ())
            else:
                words = [self._text(piece.name, ())]
            self._require_safe(piece.name, words, evaluated)
            out.append(" ".join(shell.quote(word, piece.context) for word in words))
            self._spend(len(out[-1]))
        if self._problems:
            raise TemplateError(list(self._problems.values()))
        # An empty value may leave a backslash at the end, or a comment where its word was.
        return shell.tidy("".join(out))

    def _require_closed(self, text: str) -> None:
        for match in _OPEN.finditer(text) if "{" in text else ():
            name = match.group(1)
            if name in self._values:
                self._problem(
                    "open-placeholder",
                    name,
                    f"{{{name} is opened and never closed",
                    f"Write {{{name}}}. A literal brace is written {{{{",
                )

    def _spend(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            self._give_up(
                "command-too-long",
                "",
                f"the command and the hooks have more than {MAX_TEXT} characters, filled in",
                "Shorten them, or put what they do into the image",
            )

    def _words(self, name: str, above: tuple[str, ...]) -> list[str]:
        """The words a placeholder outside of quotes stands for; an empty value stands for none."""
        value = self._lookup(name, above)
        if value is None:
            return []
        above = (*above, name)
        if isinstance(value.value, (list, tuple)):
            return [self._expand(text_of(item), above) for item in value.value]
        if not value.text:
            return []
        if not value.several or not self._splits(name, value):
            return self._whole(value.text, above)
        return [word for part in value.words() for word in self._whole(part, above)]

    def _whole(self, text: str, above: tuple[str, ...]) -> list[str]:
        """A word; where it is nothing but a placeholder, the words of that."""
        alone = _PLACEHOLDER.fullmatch(text)
        return self._words(alone.group(1), above) if alone else [self._expand(text, above)]

    def _splits(self, name: str, value: Value) -> bool:
        """Defaults split at spaces, as their author meant; an override where its default does."""
        if value.source in TYPED:
            declared = self._declared.get(name)
            return isinstance(declared, str) and Value(declared, declared, "default").several
        return value.source == "default"

    def _text(self, name: str, above: tuple[str, ...]) -> str:
        value = self._lookup(name, above)
        return "" if value is None else self._expand(value.text, (*above, name))

    def _expand(self, text: str, above: tuple[str, ...]) -> str:
        if "{" not in text and len(text) <= MAX_TEXT:
            return text
        parts, left = [], MAX_TEXT
        for piece in _parse_value(text):
            part = piece.text if piece.name is None else self._text(piece.name, above)
            parts.append(part)
            left -= len(part)
            if left < 0:
                self._give_up(
                    "value-too-long",
                    above[-1],
                    f"the value of {above[-1]:.60} has more than {MAX_TEXT} characters, filled in",
                    "Shorten it, or the values that it refers to",
                )
        return "".join(parts)

    def _lookup(self, name: str, above: tuple[str, ...]) -> Value | None:
        self.used.add(name)
        self._reached.add(name)
        self._lookups += 1
        if self._lookups > _MAX_LOOKUPS or len(above) > _MAX_DEPTH:
            self._give_up(
                "value-too-deep",
                name,
                f"placeholders are filled in more than {_MAX_LOOKUPS} times, or refer to each "
                f"other more than {_MAX_DEPTH} deep",
                "Write the values themselves",
            )
        if name in above:
            ring = " -> ".join([*above[above.index(name) :], name])
            self._problem(
                "placeholder-cycle",
                name,
                f"placeholders refer to each other: {ring}",
                "Give one of them a value of its own",
            )
            return None
        value = self._values.get(name)
        if value is not None and value.value is not None:
            return value
        by = f", which {{{above[-1]}}} refers to," if above else ""
        if value is not None:
            self._problem(
                "unresolved-placeholder",
                name,
                f"{{{name}}}{by} is null",
                f"Set it with an override {name}=... or give it a default",
            )
            return None
        if ("unresolved-placeholder", name) in self._problems:
            return None
        known = sorted(key for key, other in self._values.items() if other.value is not None)
        near = nearest(name, known)
        guess = f"Did you mean {{{near[0]}}}? " if near else ""
        listed = ", ".join(known[:_NAMES_SHOWN])
        self._problem(
            "unresolved-placeholder",
            name,
            f"{{{name}}}{by} has no value",
            f"{guess}Known names: {listed}. A literal brace is written {{{{",
        )
        return None

    def _require_safe(self, name: str, words: t.Sequence[str], evaluated: bool) -> None:
        """Refuse what quoting cannot carry."""
        if any("\0" in word for word in words):
            self._problem(
                "unsafe-value", name, f"the value of {name} contains a NUL character", "Remove it"
            )
        typed = sorted(
            key
            for key in self._reached
            if key in self._values and self._values[key].source in TYPED
        )
        if evaluated and typed and not all(_PLAIN.fullmatch(word) for word in words):
            self._problem(
                "unsafe-value",
                name,
                f"the override of {', '.join(typed)} has characters that mean something to a "
                "shell, and a second shell reads parts of this command (bash -c, $(...), a "
                "here-document), where quoting cannot protect them",
                "Use only letters, digits and _@%+=:,./- in it, or a copy of the recipe",
            )

    def _problem(self, code: str, name: str, message: str, fix: str) -> None:
        self._problems.setdefault((code, name), TemplateProblem(code, name, message, fix))
        if len(self._problems) >= _MAX_PROBLEMS:
            raise TemplateError(list(self._problems.values()))

    def _give_up(self, code: str, name: str, message: str, fix: str) -> t.NoReturn:
        self._problem(code, name, message, fix)
        raise TemplateError(list(self._problems.values()))


def _parse_value(text: str) -> t.Iterator[Piece]:
    """As `parse`, for a value: quotes mean nothing there."""
    pattern = re.compile(r"\{\{|\}\}|" + _PLACEHOLDER.pattern) if "{{" in text else _PLACEHOLDER
    start = 0
    for match in pattern.finditer(text):
        yield Piece(text[start : match.start()], None, shell.ShellContext.PLAIN)
        name = match.group(1)
        yield Piece(match.group(0) if name else match.group(0)[0], name, shell.ShellContext.PLAIN)
        start = match.end()
    yield Piece(text[start:], None, shell.ShellContext.PLAIN)
