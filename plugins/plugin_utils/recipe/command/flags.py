# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a server's command, read as the server's own parser reads them.

A table, which tests/tools/flag_tables.py writes, has a line for each flag of one version of a
server; what continues a line is indented:

    --max-num-seqs int 1 low=1
    --dtype text 1 only=auto,half,float16
    --enable-lora switch 0 off=--no-enable-lora,--disable-lora

Spellings, kind of the values, how many (`1`, `2`, `?`, `+`, `*`; `0` for a switch); `off`: what
switches it off; `none`: the text None is no value; `low` and `high`: the bounds of a number, with
`>` or `<` where they are not among its values; `only`: its choices, `known`: some of them.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
import typing as t
import unicodedata

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.nearest import nearest

_NEGATIVE_NUMBER = re.compile(r"-\d+|-\d*\.\d+")
_INTEGER = re.compile(r"\s*[+-]?\d+(_\d+)*\s*")
_FLOAT = re.compile(r"\s*[+-]?(\d+(_\d+)*(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")
_JSON_NUMBER = re.compile(r'("(?:[^"\\]|\\.)*")|\b(\d+(?:\.\d+)?)[kKmMgGtT]\b')
_MAP = re.compile(r"\s*{.*}\s*", re.DOTALL)
# What the shell puts a value for only in the container.
_EXPANDED = re.compile(r"[$`]")
# How people write numbers, and what is meant.
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_GROUPED = re.compile(r"\d{1,3}([,.' ]\d{3})+")
_QUOTES = "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
# Numbers of things, of which there are not fewer than -1 (`-1` often is: no limit).
_COUNTS = re.compile(
    r"len|length|tokens|seqs|size|ctx|batch|parallel|port|threads|requests|nnodes|depth"
)
_LONGEST_SHOWN = 80
_MOST_PROBLEMS = 20
# The least and the most values, by what a table says.
_HOW_MANY: dict[str, tuple[int, int | None]] = {
    "0": (0, 0),
    "1": (1, 1),
    "2": (2, 2),
    "?": (0, 1),
    "*": (0, None),
    "+": (1, None),
}


class Flag(t.NamedTuple):
    """A line of a table; see above. takes: how many values. closed: whether `choices` are all."""

    names: tuple[str, ...]
    kind: str
    takes: str
    off: tuple[str, ...] = ()
    none: bool = False
    low: str = ""
    high: str = ""
    choices: tuple[str, ...] = ()
    closed: bool = False

    @property
    def name(self) -> str:
        """The spelling for people: the first long one."""
        return next((name for name in self.names if name.startswith("--")), self.names[0])


class Units(enum.Enum):
    """The units that a server takes behind a number (`1k`, `2Mi`)."""

    NONE = r"(?!)"
    # utils/argparse_utils.py of vLLM: k is 1000, K is 1024; no fraction with the latter.
    VLLM = r"\d+(\.\d+)?[kmgt]|\d+[KMGT]"
    # srt/utils/common.py of SGLang.
    SGLANG = r"\d+(\.\d+)?[kMGT]|\d+[KMGT]i"


@dataclasses.dataclass(frozen=True, eq=False)
class Grammar:
    """How a server reads its words.

    table: its flags; version: of the server that has them. underscores: `_` in a flag is `-`.
    equals: `--flag=value` is taken. abbreviated: so is the beginning of one flag only.
    dotted: `--flag.key value` sets a key of the JSON that a flag takes. dashes: a value may begin
    with one. needs: flag -> the flag without which it is refused.
    configs: flags that name a file with further flags. gguf: flags that name a repository with a
    quantisation.
    families: beginnings of names of which there is no fixed list.
    """

    label: str
    version: str
    table: str
    underscores: bool = True
    equals: bool = True
    abbreviated: bool = True
    dotted: bool = False
    dashes: bool = False
    units: Units = Units.NONE
    needs: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    configs: tuple[str, ...] = ()
    gguf: tuple[str, ...] = ()
    families: tuple[str, ...] = ()

    def flags(self) -> dict[str, Flag]:
        """Each spelling of each flag."""
        return _flags(self.table)


class Problem(t.NamedTuple):
    """What the server would make of a word; fields as those of an Issue.

    flag and value: to which it belongs, "" for none.
    """

    code: str
    severity: t.Literal["error", "warning", "suggestion"]
    message: str
    fix: str
    near: str
    flag: str = ""
    value: str = ""


class Given(t.NamedTuple):
    """A flag of the command. written: as it stands there, without its value."""

    flag: Flag
    written: str
    values: tuple[str, ...]


@functools.lru_cache(maxsize=8)
def _flags(table: str) -> dict[str, Flag]:
    found = {}
    for line in table.replace("\n  ", "").split("\n"):
        if not line:
            continue
        names, kind, takes, *more = line.split(" ")
        given = dict(word.partition("=")[::2] for word in more)
        choices = given.get("only") or given.get("known") or ""
        flag = Flag(
            tuple(names.split(",")),
            kind,
            takes,
            tuple(given["off"].split(",")) if "off" in given else (),
            "none" in given,
            given.get("low", ""),
            given.get("high", ""),
            tuple(choices.split(",")) if choices else (),
            "only" in given,
        )
        for name in (*flag.names, *flag.off):
            found[name] = flag
    return found


@functools.lru_cache(maxsize=32)
def read(
    words: tuple[str, ...], positionals: int, grammar: Grammar, sure: bool
) -> tuple[tuple[Given, ...], tuple[Problem, ...]]:
    """The flags among a server's words, and what it would refuse.

    positionals: how many words may belong to no flag. sure: nothing adds flags to the image, so a
    flag that differs from a known one by a slip is wrong.
    """
    reader = _Reader(words, grammar, sure)
    reader.read(positionals)
    for given in reader.given:
        reader.problems += _value_problems(given, grammar)
    names = {name for given in reader.given for name in given.flag.names}
    for flag, needed in grammar.needs.items():
        if flag in names and needed not in names:
            reader.problems.append(
                Problem(
                    "flag-needs",
                    "error",
                    f"{grammar.label} refuses {flag} without {needed}",
                    f"Add {needed}, or remove {flag}",
                    flag,
                    flag,
                )
            )
    return tuple(reader.given), tuple(reader.problems)


class _Reader:
    def __init__(self, words: t.Sequence[str], grammar: Grammar, sure: bool) -> None:
        self.words = words
        self.grammar = grammar
        self.sure = sure
        self.known = grammar.flags()
        self.given: list[Given] = []
        self.problems: list[Problem] = []

    def read(self, positionals: int) -> None:
        index, alone = 0, 0
        while index < len(self.words) and len(self.problems) < _MOST_PROBLEMS:
            word = self.words[index]
            index += 1
            if word == "--":
                self._leftover(word, index - 2)
                return
            if self._typographic(word):
                # It is read as what it looks like.
                while word[0] not in _QUOTES and index < len(self.words):
                    if self._is_flag(self.words[index]):
                        break
                    index += 1
                continue
            if not self._is_flag(word):
                alone += 1
                if alone == positionals + 1:
                    self._leftover(word, index - 2)
                continue
            name, equals, value = self._split(word)
            flag = self._flag(name, word)
            if flag is None:
                # Of what is not known, the words up to the next flag are its values.
                if not equals:
                    while index < len(self.words) and not self._is_flag(self.words[index]):
                        index += 1
                continue
            index = self._values(flag, name, value if equals else None, index)

    def _values(self, flag: Flag, name: str, attached: str | None, index: int) -> int:
        """Take the values of a flag; the index after them."""
        if name in flag.off or flag.kind == "switch":
            if attached is not None:
                self._problem(
                    "flag-value",
                    f"{name} takes no value, but has {_shown(attached)}",
                    f"Write {name} alone, or leave it out",
                    name,
                    attached,
                )
            self.given.append(Given(flag, name, ()))
            return index
        if attached is not None:
            self.given.append(Given(flag, name, (attached,)))
            return index
        least, most = _HOW_MANY[flag.takes]
        values: list[str] = []
        while index < len(self.words) and (most is None or len(values) < most):
            if self._is_flag(self.words[index]) and not self.grammar.dashes:
                break
            self._typographic(self.words[index])
            values.append(self.words[index])
            index += 1
        if len(values) < least:
            self._problem(
                "flag-value",
                f"{name} has no value"
                + (
                    f": {_shown(self.words[index])} is the next flag"
                    if index < len(self.words)
                    else ": it is the last word"
                ),
                f"Write a value behind {name}, or remove it",
                name,
            )
        self.given.append(Given(flag, name, tuple(values)))
        return index

    def _is_flag(self, word: str) -> bool:
        """Whether argparse takes the word for a flag."""
        if len(word) < 2 or word[0] != "-":
            return False
        if _NEGATIVE_NUMBER.fullmatch(word):
            return False
        name = word.partition("=")[0]
        return " " not in name or self._normal(name) in self.known

    def _split(self, word: str) -> tuple[str, str, str]:
        if not self.grammar.equals:
            return word, "", ""
        name, equals, value = word.partition("=")
        # `-O3` is `-O 3`; a longer flag of one dash has its value apart.
        if word[1] != "-" and name not in self.known and word[:2] in self.known:
            return word[:2], "=", word[2:].lstrip("=")
        return name, equals, value

    def _normal(self, name: str) -> str:
        head, dot, keys = name.partition(".") if self.grammar.dotted else (name, "", "")
        if self.grammar.underscores and head.startswith("--"):
            head = head.replace("_", "-")
        return head + dot + keys

    def _flag(self, name: str, word: str) -> Flag | None:
        """The flag of that name; None, with a problem, for one that is not known."""
        normal = self._normal(name)
        if normal in self.known:
            return self.known[normal]
        head, dot, _keys = normal.partition(".")
        if self.grammar.dotted and dot and head in self.known:
            return Flag((head,), "text", "1")
        if self.grammar.abbreviated and normal.startswith("--"):
            begun = {
                flag.name: flag for full, flag in self.known.items() if full.startswith(normal)
            }
            if len(begun) == 1:
                return next(iter(begun.values()))
        if not self.grammar.equals and "=" in word:
            start, _equals, value = word.partition("=")
            if self._normal(start) in self.known:
                self._problem(
                    "flag-value",
                    f"{self.grammar.label} has no {start}=..., the value is the next word",
                    f"Write {start} {_shown(value)}",
                    start,
                )
                return None
        if f"-{normal}" in self.known:
            self._problem(
                "unknown-flag",
                f"{_shown(normal)} has one dash, and {self.grammar.label} has -{normal}",
                f"Write -{normal}",
                name,
            )
            return None
        self._unknown(normal)
        return None

    def _unknown(self, name: str) -> None:
        near = _nearest(name, self.grammar.table)
        slip = bool(near) and self.sure and is_slip(name, near)
        guess = f"Did you mean {near}? " if near else ""
        self.problems.append(
            Problem(
                "unknown-flag",
                "error" if slip else "warning" if self.sure else "suggestion",
                f"{_shown(name)} is no flag of {self.grammar.label} {self.grammar.version}",
                guess.strip() if slip else f"{guess}No change is needed if the image has it",
                name,
                name,
            )
        )

    def _leftover(self, word: str, before: int) -> None:
        follows = f" behind {self.words[before]}" if before >= 0 else ""
        self._problem(
            "extra-word",
            f"{_shown(word)}{follows} belongs to no flag, and {self.grammar.label} refuses it",
            "Remove it, quote a value that has blanks, or end the line before with a backslash",
            word,
        )

    def _typographic(self, word: str) -> bool:
        """Whether the word has what a word processor makes of a dash, a quote or a blank."""
        # Quoted text, which has blanks, may have what it likes.
        if word.isascii() or any(blank in word for blank in " \t\n"):
            return False
        name = word.partition("=")[0]
        if not word[0].isascii() and (word[0] in _QUOTES or unicodedata.category(word[0]) == "Pd"):
            what = f"begins with {unicodedata.name(word[0])}"
        elif name[:1] == "-" and (odd := _odd_blank(name)):
            what = f"has {odd} in it"
        else:
            return False
        self._problem(
            "typographic",
            f"{_shown(word)} {what}, which no server takes",
            "Write it with the characters of a keyboard: - ' \" and a blank",
            word,
        )
        return True

    def _problem(self, code: str, message: str, fix: str, near: str, value: str = "") -> None:
        self.problems.append(Problem(code, "error", message, fix, near, near, value))


def _odd_blank(text: str) -> str:
    for char in text:
        if not char.isascii() and unicodedata.category(char) in ("Zs", "Zl", "Zp", "Cf"):
            return unicodedata.name(char, f"U+{ord(char):04X}")
    return ""


@functools.lru_cache(maxsize=256)
def _nearest(name: str, table: str) -> str:
    """The flag that a name resembles, "" for none. Comparing with all of them takes too long."""
    alike = (
        known
        for known in _flags(table)
        if abs(len(known) - len(name)) <= 6 and abs(known.count("-") - name.count("-")) <= 1
    )
    return next(iter(nearest(name, alike, cutoff=0.7)), "")


def is_slip(name: str, known: str) -> bool:
    """Whether one or two letters are exchanged, added, left out or wrong; no digit, no word."""
    if min(len(name), len(known)) < 8 or name.count("-") != known.count("-"):
        return False
    if re.sub(r"\D", "", name) != re.sub(r"\D", "", known):
        return False
    pairs = list(zip(name.split("-"), known.split("-")))
    different = [(left, right) for left, right in pairs if left != right]
    # One letter of a short word makes another word (tp, pp).
    return len(different) == 1 and min(map(len, different[0])) > 3 and _distance(*different[0]) <= 2


def _distance(left: str, right: str) -> int:
    """Letters that are wrong, left out or added; two neighbours that are exchanged are one."""
    rows = [list(range(len(right) + 1))]
    for i, one in enumerate(left, 1):
        row = [i]
        for j, other in enumerate(right, 1):
            cost = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (one != other))
            if i > 1 and j > 1 and one == right[j - 2] and left[i - 2] == other:
                cost = min(cost, rows[-2][j - 2] + 1)
            row.append(cost)
        rows.append(row)
    return rows[-1][-1]


def _value_problems(given: Given, grammar: Grammar) -> t.Iterator[Problem]:
    flag = given.flag
    for value in given.values:
        if _EXPANDED.search(value) and flag.kind != "json":
            continue
        if flag.none and value in ("", "None"):
            continue
        if flag.kind in ("int", "float", "human", "human-auto"):
            yield from _number_problems(given, value, grammar)
        elif flag.kind == "json" or (flag.kind == "json-or-text" and _MAP.fullmatch(value)):
            yield from _json_problems(given, value)
        elif flag.choices and not _is_choice(value, flag, grammar):
            near = nearest(value, sorted(flag.choices))
            yield Problem(
                "unknown-name",
                "warning",
                f"{given.written} {_shown(value)} is not a name that {grammar.label} is known to "
                "have",
                f"Did you mean {near[0]}?" if near else "No change is needed if the image has it",
                given.written,
                flag.name,
                value,
            )


def _is_choice(value: str, flag: Flag, grammar: Grammar) -> bool:
    # Several servers take both - and _, and capitals, in the names of backends.
    name = value.lower().replace("-", "_")
    return name.startswith(grammar.families) or any(
        name == one.lower().replace("-", "_") for one in flag.choices
    )


def _number_problems(given: Given, value: str, grammar: Grammar) -> t.Iterator[Problem]:
    flag = given.flag
    if value in flag.choices or (flag.kind == "human-auto" and value.strip().lower() == "auto"):
        return
    fractions = flag.kind == "float"
    if flag.kind in ("human", "human-auto") and re.fullmatch(grammar.units.value, value.strip()):
        return
    if not (_FLOAT if fractions else _INTEGER).fullmatch(value):
        yield Problem(
            "number-invalid",
            "error",
            f"{given.written} takes a {'number' if fractions else 'whole number'}, not "
            f"{_shown(value)}",
            _number_fix(value, fractions),
            given.written,
            flag.name,
            value,
        )
        return
    number = float(value)
    outside = (
        (flag.low and not _above(number, flag.low))
        or (flag.high and not _below(number, flag.high))
        or (not flag.low and not fractions and number < -1 and _COUNTS.search(flag.name))
    )
    if outside:
        yield Problem(
            "number-invalid",
            "error",
            f"{given.written} does not take {_shown(value)}",
            _bounds(flag),
            given.written,
            flag.name,
            value,
        )
    elif flag.choices and flag.closed and value.strip() not in flag.choices:
        yield Problem(
            "number-invalid",
            "warning",
            f"{grammar.label} is not known to take {given.written} {_shown(value)}",
            f"Use one of {', '.join(flag.choices)}",
            given.written,
            flag.name,
            value,
        )


def _above(number: float, low: str) -> bool:
    return number > float(low[1:]) if low[0] == ">" else number >= float(low)


def _below(number: float, high: str) -> bool:
    return number < float(high[1:]) if high[0] == "<" else number <= float(high)


def _bounds(flag: Flag) -> str:
    low = f"more than {flag.low[1:]}" if flag.low[:1] == ">" else f"at least {flag.low or 0}"
    high = f"less than {flag.high[1:]}" if flag.high[:1] == "<" else f"at most {flag.high}"
    return f"Use {low}" + (f" and {high}" if flag.high else "")


def _number_fix(value: str, fractions: bool) -> str:
    percent = _PERCENT.fullmatch(value)
    if percent and fractions:
        return f"Write {float(percent[1]) / 100:g}"
    if _GROUPED.fullmatch(value):
        return f"Write {re.sub(r'[^0-9]', '', value)}"
    return "Write digits" + (", such as 0.8" if fractions else " alone")


def _json_problems(given: Given, value: str) -> t.Iterator[Problem]:
    # vLLM takes 80m for a number there.
    plain = _JSON_NUMBER.sub(lambda match: match[1] or match[2], value)
    try:
        foreign.json_of(plain)
    except foreign.Foreign as exc:
        reason = str(exc).removeprefix("it is not JSON: ")
        if _EXPANDED.search(value):
            return
        yield Problem(
            "json-invalid",
            "error",
            f"{given.written} takes JSON, and gets {_shown(value)}: {reason}",
            """Write it in single quotes, with double quotes inside: '{"key": "value"}'""",
            given.written,
            given.flag.name,
            value,
        )


def _shown(text: str) -> str:
    shortened = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."
    return repr(shortened)
