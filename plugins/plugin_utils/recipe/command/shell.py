# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell's grammar as far as needed to fill in values safely and to find the last statement.

This is a reader, not a shell: whatever it does not understand is left to the caller to refuse. The
rules are those of the Bash Reference Manual: "Quoting", "Comments", "Here Documents",
"Redirections".
"""

from __future__ import annotations

import enum
import functools
import re
import shlex
import typing as t


class ShellContext(enum.Enum):
    """How the shell would read a character."""

    PLAIN = "plain"
    SINGLE = "single quotes"
    DOUBLE = "double quotes"
    ANSI = "$'...' quotes"
    ESCAPED = "escaped"
    ESCAPED_IN_DOUBLE = "escaped in double quotes"
    COMMENT = "comment"
    # The body of a here-document: `<<'E'` is literal, in `<<E` variables and `\` mean something.
    LITERAL = "literal here-document"
    HEREDOC = "here-document"


# Text that a second shell reads, or the first by other rules: quoting once is not enough there.
_EVALUATED_AGAIN = re.compile(
    r"`|\$\(|<<|[<>]\(|\$'|\beval\b|\b(?:ba|da|z|k)?sh\s+-\w*c\b|\bxargs\b"
)
_DOUBLE_QUOTE_SPECIAL = re.compile(r'([\\"$`])')
_HEREDOC_SPECIAL = re.compile(r"([\\$`])")
_ANSI_SPECIAL = re.compile(r"([\\'])")
_BLANKS = " \t\n"
# Joins two lines: nothing at all within a word, and no word of its own.
_JOINED = "\0"
_NO_CODE = _BLANKS + _JOINED
_HEREDOCS = (ShellContext.LITERAL, ShellContext.HEREDOC)
ESCAPED = (ShellContext.ESCAPED, ShellContext.ESCAPED_IN_DOUBLE)
_METACHARACTERS = frozenset(" \t\n;&|()<>")
_OPERATOR = re.compile(r"[\n;&|]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_HEREDOC_START = re.compile(r"<<(-?)[ \t]*((?:'[^'\n]*'|\"[^\"\n]*\"|\\.|[^\s;&|()<>'\"\\])+)")
_SINGLE_END = re.compile(r"'")
_ANSI_END = re.compile(r"(?:[^'\\]|\\.)*'", re.DOTALL)
_ANSI_ESCAPE = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|(.))", re.DOTALL
)
_ANSI_LETTERS = {"a": 7, "b": 8, "e": 27, "E": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
# A word, a blank or a redirection of one statement, in its mask.
_TOKEN = re.compile(
    r"(?P<redirection>(?:(?:(?<=[\s\0])|^)[0-9]+)?(?:&>>?|<<<|<<-?|<>|>>|>\||[<>]&|[<>]))"
    r"|(?P<word>[^ \t\n<>&]+)"
)
_CONTINUED = re.compile(r"\\[ \t]+(?:\n|\Z)")
_QUOTING = re.compile(r"[\\'\"]")
_OPENING = {
    "if": "fi",
    "case": "esac",
    "for": "done",
    "while": "done",
    "until": "done",
    "select": "done",
    "{": "}",
}
_FOLLOWED_BY_A_COMMAND = ("then", "else", "do", "!", "time")


class _Frame(t.NamedTuple):
    """A construct within which text may stand: its kind, where it begins, what may end it.

    nested: whether it, or one around it, is none of quotes.
    """

    kind: str
    start: int
    meaningful: re.Pattern[str]
    context: ShellContext
    nested: bool


# What may change the context, by kind of frame.
_KINDS = {
    "script": (re.compile(r"[\\'\"#$`()<>\n]"), ShellContext.PLAIN, False),
    "$(...)": (re.compile(r"[\\'\"#$`()<>\n]"), ShellContext.PLAIN, True),
    "(...)": (re.compile(r"[\\'\"#$`()<>\n]"), ShellContext.PLAIN, True),
    "`...`": (re.compile(r"[\\'\"#$`()<>\n]"), ShellContext.PLAIN, True),
    "((...))": (re.compile(r"[\\'\"$`()]"), ShellContext.PLAIN, True),
    "${...}": (re.compile(r"[\\'\"$`}]"), ShellContext.PLAIN, True),
    '"${...}"': (re.compile(r"[\\'\"$`}]"), ShellContext.DOUBLE, True),
    "double quotes": (re.compile(r"[\\\"$`]"), ShellContext.DOUBLE, False),
}


class Segment(t.NamedTuple):
    """A run of characters of one context. nested: within `$(...)`, `${...}`, `(...)` or `((...))`.

    Quotes and backslashes belong to what they quote; quoted text is one segment.
    """

    start: int
    end: int
    context: ShellContext
    nested: bool


class Unclosed(t.NamedTuple):
    """A construct that is opened and never closed, and where."""

    what: str
    start: int


class Reading(t.NamedTuple):
    segments: tuple[Segment, ...]
    unclosed: Unclosed | None


class Statement(t.NamedTuple):
    """One statement of a script: text[start:end], and the operator before it ("" for the first)."""

    start: int
    end: int
    operator: str


class Word(t.NamedTuple):
    """One word as the shell hands it on, variables as written; text[start:end] is its spelling."""

    text: str
    start: int
    end: int


class Redirection(t.NamedTuple):
    """`2>&1`: descriptor 2 ("" where none is written), operator >&, target 1."""

    descriptor: str
    operator: str
    target: str


class Simple(t.NamedTuple):
    """A simple command: assignments in front, words and redirections."""

    assignments: tuple[Word, ...]
    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...]


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.segments: list[Segment] = []
        self.frames = [_Frame("script", 0, *_KINDS["script"])]
        self.unclosed: Unclosed | None = None
        # Here-documents whose body begins after this line: start, delimiter, tabs, literal.
        self.waiting: list[tuple[int, str, bool, bool]] = []
        # Ends of quoted or escaped text: what follows is the same word.
        self.inside: set[int] = set()
        self.continued: set[int] = set()

    def read(self) -> Reading:
        index = 0
        while index < len(self.text):
            frame = self.frames[-1]
            match = frame.meaningful.search(self.text, index)
            stop = match.start() if match else len(self.text)
            self._emit(index, stop, frame.context)
            index = self._character(stop) if match else stop
        for frame in self.frames[1:]:
            self._never_closed(frame.kind, frame.start)
        for start, delimiter, _tabs, _literal in self.waiting:
            self._never_closed(f"the here-document {delimiter}", start)
        return Reading(tuple(self.segments), self.unclosed)

    def _never_closed(self, what: str, start: int) -> None:
        if self.unclosed is None or start < self.unclosed.start:
            self.unclosed = Unclosed(what, start)

    def _emit(self, start: int, end: int, context: ShellContext, nested: bool | None = None) -> int:
        if start < end:
            if nested is None:
                nested = self.frames[-1].nested
            last = self.segments[-1] if self.segments else None
            alike = context in (ShellContext.PLAIN, ShellContext.DOUBLE)
            if last and alike and last[2:] == (context, nested) and not self._opens(start):
                self.segments[-1] = Segment(last.start, end, context, nested)
            else:
                self.segments.append(Segment(start, end, context, nested))
        return end

    def _opens(self, start: int) -> bool:
        """Whether double quotes begin here, as those of another word may end here."""
        return self.frames[-1].kind == "double quotes" and self.frames[-1].start == start

    def _character(self, at: int) -> int:
        """Read what begins at a character that may mean something; the index after it."""
        text, frame = self.text, self.frames[-1]
        char, following = text[at], text[at + 1 : at + 2]
        if char == "\\":
            if not following:
                return self._emit(at, at + 1, frame.context)
            double = frame.context is ShellContext.DOUBLE
            context = ShellContext.ESCAPED_IN_DOUBLE if double else ShellContext.ESCAPED
            (self.continued if following == "\n" else self.inside).add(at + 2)
            return self._emit(at, at + 2, context)
        if char == '"':
            if frame.kind == "double quotes":
                return self._close(at, at + 1)
            return self._open("double quotes", at, at + 1)
        if char == "'":
            return self._quoted(at, at + 1, ShellContext.SINGLE, _SINGLE_END)
        if char == "$":
            return self._dollar(at)
        if char == "`":
            if frame.kind == "`...`":
                return self._close(at, at + 1)
            return self._open("`...`", at, at + 1)
        if char == "}":
            return self._close(at, at + 1)
        if char == "(":
            arithmetic = following == "(" and self._begins_a_word(at) and frame.kind != "((...))"
            return self._open("((...))" if arithmetic else "(...)", at, at + 1 + arithmetic)
        if char == ")":
            if frame.kind == "((...))":
                ends = following == ")"
                return self._close(at, at + 2) if ends else self._emit(at, at + 1, frame.context)
            if frame.kind in ("$(...)", "(...)"):
                return self._close(at, at + 1)
            # Of a pattern of `case`.
            return self._emit(at, at + 1, frame.context)
        if char == "#":
            return self._comment(at)
        if char == "\n":
            return self._bodies(self._emit(at, at + 1, frame.context))
        return self._angle(at)

    def _open(self, kind: str, at: int, end: int) -> int:
        meaningful, context, nested = _KINDS[kind]
        nested = nested or self.frames[-1].nested
        self.frames.append(_Frame(kind, at, meaningful, context, nested))
        return self._emit(at, end, self.frames[-1].context)

    def _close(self, at: int, end: int) -> int:
        self._emit(at, end, self.frames[-1].context)
        if self.frames.pop().kind != "(...)":
            self.inside.add(end)
        return end

    def _quoted(self, at: int, after: int, context: ShellContext, pattern: re.Pattern[str]) -> int:
        match = (
            pattern.search(self.text, after)
            if context is ShellContext.SINGLE
            else (pattern.match(self.text, after))
        )
        if match is None:
            self._never_closed(context.value, at)
        end = match.end() if match else len(self.text)
        self.inside.add(end)
        return self._emit(at, end, context)

    def _dollar(self, at: int) -> int:
        text, frame = self.text, self.frames[-1]
        if text.startswith("$((", at):
            return self._open("((...))", at, at + 3)
        if text.startswith("$(", at):
            return self._open("$(...)", at, at + 2)
        if text.startswith("${", at):
            double = frame.context is ShellContext.DOUBLE
            return self._open('"${...}"' if double else "${...}", at, at + 2)
        if text.startswith("$'", at) and frame.context is ShellContext.PLAIN:
            return self._quoted(at, at + 2, ShellContext.ANSI, _ANSI_END)
        return self._emit(at, at + 1, frame.context)

    def _begins_a_word(self, at: int) -> bool:
        while at in self.continued:
            at -= 2
        return at == 0 or (self.text[at - 1] in _METACHARACTERS and at not in self.inside)

    def _comment(self, at: int) -> int:
        if not self._begins_a_word(at):
            return self._emit(at, at + 1, self.frames[-1].context)
        end = self.text.find("\n", at)
        return self._emit(at, len(self.text) if end < 0 else end, ShellContext.COMMENT)

    def _angle(self, at: int) -> int:
        text, frame = self.text, self.frames[-1]
        if text[at + 1 : at + 2] == "(":
            return self._open("(...)", at, at + 2)
        if text.startswith("<<<", at):
            return self._emit(at, at + 3, frame.context)
        match = _HEREDOC_START.match(text, at)
        if match:
            tabs, delimiter = match.group(1) == "-", match.group(2)
            literal = any(char in "'\"\\" for char in delimiter)
            word = re.sub(r"['\"]|\\(.)", r"\1", delimiter)
            self.waiting.append((at, word, tabs, literal))
            return self._emit(at, at + 2 + tabs, frame.context)
        return self._emit(at, at + 1, frame.context)

    def _bodies(self, index: int) -> int:
        """Read the here-documents that begin after a line."""
        waiting, self.waiting = self.waiting, []
        for start, delimiter, tabs, literal in waiting:
            context = ShellContext.LITERAL if literal else ShellContext.HEREDOC
            begin, closed = index, False
            while index < len(self.text) and not closed:
                end = self.text.find("\n", index)
                end = len(self.text) if end < 0 else end
                line = self.text[index:end]
                closed = (line.lstrip("\t") if tabs else line) == delimiter
                index = end if closed else min(end + 1, len(self.text))
            self._emit(begin, index, context)
            if not closed:
                self._never_closed(f"the here-document {delimiter}", start)
            if index < len(self.text) and closed:
                index = self._emit(index, index + 1, ShellContext.PLAIN)
        return index


@functools.lru_cache(maxsize=32)
def read(text: str) -> Reading:
    return _Scanner(text).read()


@functools.lru_cache(maxsize=32)
def contexts(text: str) -> tuple[ShellContext, ...]:
    """The context of each character; quotes and backslashes belong to what they quote."""
    result: list[ShellContext] = []
    for segment in read(text).segments:
        result += [segment.context] * (segment.end - segment.start)
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
    if context is ShellContext.ANSI:
        return _ANSI_SPECIAL.sub(r"\\\1", value)
    if context is ShellContext.HEREDOC:
        return _HEREDOC_SPECIAL.sub(r"\\\1", value)
    return value if context is ShellContext.LITERAL else shlex.quote(value)


@functools.lru_cache(maxsize=32)
def tidy(text: str) -> str:
    """The command without comments, blank ends, and spaces after a line's last backslash.

    Comments go because flags are appended to the last statement, and a comment would swallow them.
    """
    code: list[str] = []
    skipped = 0
    for segment in read(text).segments:
        if segment.context is ShellContext.COMMENT:
            continue
        if segment.context is ShellContext.ESCAPED:
            repaired = _CONTINUED.match(text, segment.start)
            if repaired:
                code.append("\\\n")
                skipped = repaired.end()
                continue
        code.append(text[max(segment.start, skipped) : segment.end])
    result = "".join(code)
    code_only = _mask(result).rstrip(_NO_CODE)
    if code_only.endswith("\\"):
        code_only = code_only[:-1].rstrip(_NO_CODE)
    data = [segment.end for segment in read(result).segments if segment.context in _HEREDOCS]
    return result[: max([len(code_only), *data])].lstrip(_BLANKS)


@functools.lru_cache(maxsize=32)
def _mask(text: str) -> str:
    """The text with `.` for what is quoted or nested, blanks for what is no code, `\\0` for `\\`
    and the newline after it.

    Each character that means something to this shell itself stays at its place.
    """
    parts = []
    for start, end, context, nested in read(text).segments:
        if context is ShellContext.COMMENT:
            part = " " * (end - start)
        elif context in _HEREDOCS:
            part = "\n" * (end - start)
        elif context is ShellContext.PLAIN and not nested:
            part = text[start:end]
        elif context is ShellContext.ESCAPED and not nested and text[start:end] == "\\\n":
            part = _JOINED * 2
        else:
            part = "." * (end - start)
        parts.append(part)
    return "".join(parts)


def unclosed(text: str) -> Unclosed | None:
    """What is opened first and never closed, if anything."""
    return read(text).unclosed


def statements(text: str) -> list[Statement]:
    """The statements of a script, split at unquoted newlines, `;`, `&`, `&&`, `|` and `||`.

    A here-document is part of no statement.
    """
    mask = _mask(text)
    result: list[Statement] = []
    start, operator, index = 0, "", 0
    while match := _OPERATOR.search(mask, index):
        index = match.start()
        if mask[index] in "&|" and _is_redirection(mask, index):
            index += 1
            continue
        end = index
        while index < len(mask) and mask[index] in "\n;&| \t\0":
            index += 1
        if mask[start:end].strip(_NO_CODE):
            result.append(_trimmed(mask, start, end, operator))
        start, operator = index, re.sub(r"[\s\0]", "", mask[end:index]) or "\n"
    if mask[start:].strip(_NO_CODE):
        result.append(_trimmed(mask, start, len(mask), operator))
    elif operator == "&":
        result.append(Statement(len(text), len(text), operator))
    return result


@functools.lru_cache(maxsize=32)
def simple(statement: str) -> Simple:
    """One statement, read as a simple command."""
    assignments: list[Word] = []
    result: list[Word] = []
    redirections: list[Redirection] = []
    redirected = ""
    mask = _mask(statement)
    for token in _TOKEN.finditer(mask):
        if token.lastgroup == "redirection":
            redirected = token.group()
            continue
        spelling = token.group().strip(_JOINED)
        if not spelling:
            continue
        word = Word(_word(statement, *token.span()), *token.span())
        if redirected:
            operator = redirected.lstrip("0123456789")
            descriptor = redirected[: len(redirected) - len(operator)]
            redirections.append(Redirection(descriptor, operator, word.text))
            redirected = ""
        elif not result and _ASSIGNMENT.match(spelling):
            assignments.append(word)
        else:
            result.append(word)
    return Simple(tuple(assignments), tuple(result), tuple(redirections))


def words(statement: str) -> list[str]:
    """The words of one statement as the shell would hand them on, assignments in front left out.

    Variables stay as written. Raises ValueError for a quote that is never closed.
    """
    problem = unclosed(statement)
    if problem:
        raise ValueError(f"{problem.what} are opened and never closed")
    return [word.text for word in simple(statement).words]


def with_exec(statement: str) -> str:
    """The statement so that its program replaces the shell; assignments in front stay in front.

    Without it the shell stays process 1 and hides the end of the server.
    """
    program = simple(statement).words[0]
    if program.text == "exec":
        return statement
    return f"{statement[: program.start]}exec {statement[program.start :]}"


def open_compound(text: str) -> Unclosed | None:
    """The first `if`, `case`, loop or `{` that no `fi`, `esac`, `done` or `}` ends."""
    waiting: list[tuple[str, Unclosed]] = []
    mask = _mask(text)
    for statement in statements(text):
        found = list(re.finditer(r"[^\s\0]+", mask[statement.start : statement.end]))
        while found and (
            found[0].group() in _FOLLOWED_BY_A_COMMAND
            or text[statement.start + found[0].start() : statement.start + found[0].end()][-2:]
            == "()"
        ):
            found.pop(0)
        if found and found[0].group() == "function":
            del found[:2]
        first = found[0].group() if found else ""
        if first in _OPENING:
            place = Unclosed(first, statement.start + found[0].start())
            waiting.append((_OPENING[first], place))
        elif waiting and first == waiting[-1][0]:
            waiting.pop()
    return waiting[0][1] if waiting else None


def _word(text: str, start: int, end: int) -> str:
    """text[start:end], a word's spelling, as the shell hands it on."""
    if not _QUOTING.search(text, start, end):
        return text[start:end]
    parts: list[str] = []
    before: ShellContext | None = None
    for segment in _between(text, start, end):
        part = text[max(segment.start, start) : min(segment.end, end)]
        if segment.nested:
            parts.append(part)
        elif segment.context is ShellContext.SINGLE:
            parts.append(part[1:-1])
        elif segment.context is ShellContext.ANSI:
            parts.append(_ansi(part[2:-1]))
        elif segment.context is ShellContext.DOUBLE:
            if part[0] == '"' and before is ShellContext.PLAIN and parts[-1][-1:] == "$":
                # $"..." is translated, or the same.
                parts[-1] = parts[-1][:-1]
            parts.append(part.replace('"', ""))
        elif segment.context in ESCAPED:
            keeps = segment.context is ShellContext.ESCAPED_IN_DOUBLE and part[1] not in '$`"\\\n'
            parts.append(part if keeps else part[1].replace("\n", ""))
        else:
            parts.append(part)
        before = None if segment.nested else segment.context
    return "".join(parts)


def _between(text: str, start: int, end: int) -> t.Iterator[Segment]:
    segments = read(text).segments
    low, high = 0, len(segments)
    while low < high:
        middle = (low + high) // 2
        if segments[middle].end <= start:
            low = middle + 1
        else:
            high = middle
    while low < len(segments) and segments[low].start < end:
        yield segments[low]
        low += 1


def _ansi(text: str) -> str:
    """The text of `$'...'`: escapes as of C; bytes are UTF-8, and a NUL ends it."""
    result = b""
    index = 0
    for match in _ANSI_ESCAPE.finditer(text):
        result += text[index : match.start()].encode("utf-8", "surrogateescape")
        index = match.end()
        byte, short, long, octal, letter = match.groups()
        if byte or octal:
            result += bytes([int(byte or octal, 16 if byte else 8) & 0xFF])
        elif short or long:
            result += chr(int(short or long, 16)).encode("utf-8", "surrogatepass")
        elif letter in _ANSI_LETTERS:
            result += bytes([_ANSI_LETTERS[letter]])
        else:
            result += (letter if letter in "\\'\"?" else f"\\{letter}").encode("utf-8")
    result += text[index:].encode("utf-8", "surrogateescape")
    return result.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _is_redirection(mask: str, index: int) -> bool:
    """Whether the & or | at index belongs to a redirection: `2>&1`, `<&3`, `&>file`, `>|file`."""
    before, after = mask[index - 1 : index] if index else "", mask[index + 1 : index + 2]
    if mask[index] == "|":
        return before == ">"
    return (before in (">", "<") and before != "") or after == ">"


def _trimmed(mask: str, start: int, end: int, operator: str) -> Statement:
    body = mask[start:end]
    return Statement(
        start + len(body) - len(body.lstrip(_NO_CODE)),
        end - (len(body) - len(body.rstrip(_NO_CODE))),
        operator,
    )
