# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens in place of entities, and entities in place of tokens. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from redaction.folding import MASK, Folded, folded
from redaction.rules import KINDS, Span, tier1

# [KIND_NUMBER], with letters for another spelling of the same entity.
TOKEN = re.compile(r"\[[A-Z]{2,20}_[0-9]{1,7}[A-Z]{0,5}\]")
# What looks like a token already is a text like any other, under a token of this kind.
ESCAPED = "TEXT"
# Groups of known entities, and their kinds.
KNOWN = {
    "persons": "PERSON",
    "orgs": "ORG",
    "funds": "FUND",
    "emails": "EMAIL",
    "locations": "LOCATION",
}
# Of what only a model has recognised and another entity has a part of, letters of the rest.
_REST = 3

Recognise = Callable[[str], Iterable[Span]]


class Leak(Exception):
    """A value of the map is still in a scrubbed text. It has no text, so that nothing is logged."""


class Detected(Exception):
    """Entities of tier 1, which are not wanted. kinds: sorted."""

    def __init__(self, kinds: Iterable[str]) -> None:
        super().__init__()
        self.kinds = sorted({*kinds})


@dataclass
class Map:
    """values: token -> what it stands for."""

    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._tokens: dict[str, str] = {}
        # Folded value -> its first token, and how many spellings it has.
        self._entities: dict[str, tuple[str, int]] = {}
        self._numbers: dict[str, int] = {}
        for token, value in self.values.items():
            self._note(token, value)

    def _note(self, token: str, value: str) -> None:
        kind, _line, number = token[1:-1].rpartition("_")
        digits = number.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        self._tokens[value] = token
        self._numbers[kind] = max(self._numbers.get(kind, 0), int(digits))
        if kind != ESCAPED:
            first, spellings = self._entities.get(folded(value), (token, 0))
            self._entities[folded(value)] = (first, spellings + 1)

    def entities(self) -> dict[str, str]:
        """Folded value -> kind of its token."""
        return {
            value: first[1:-1].rpartition("_")[0] for value, (first, _n) in self._entities.items()
        }

    def token(self, kind: str, value: str) -> str:
        """The token of this text. Another spelling of the same entity has the same number."""
        token = self._tokens.get(value)
        # A text that looks like a token is escaped, whatever else it is.
        if token is None or (kind == ESCAPED) != token.startswith("[%s_" % ESCAPED):
            first, spellings = self._entities.get(folded(value), ("", 0))
            if first and kind != ESCAPED:
                token = "%s%s]" % (first[:-1], _letters(spellings))
            else:
                token = "[%s_%d]" % (kind, self._numbers.get(kind, 0) + 1)
            self.values[token] = value
            self._note(token, value)
        return token

    def rehydrated(self, text: str) -> tuple[str, set[str]]:
        """The text with what its tokens stand for, in one pass, and the tokens that are unknown."""
        unknown = {token for token in TOKEN.findall(text) if token not in self.values}
        return TOKEN.sub(lambda found: self.values.get(found[0], found[0]), text), unknown


def scrubbed(
    texts: Sequence[str],
    known: Mapping[str, Sequence[str]],
    recognise: Recognise,
    used: Map,
    reject: bool = False,
) -> list[str]:
    """The texts with tokens, which the map has afterwards. Raises Leak, and Detected if reject.

    known: of KNOWN, group to names. recognise: what a model finds. What one of the texts has is
    replaced in all of them, and so is what the map has from before. Raises ValueError for a text
    that is no Unicode.
    """
    if any(MASK in text for text in texts):
        raise ValueError("half of a character")
    ruled = [list(tier1(text)) for text in texts]
    guessed = [list(recognise(text)) for text in texts]
    if reject:
        wanted = [[*one, *other] for one, other in zip(ruled, guessed, strict=True)]
        of_tier1 = [_united(span for span in spans if span.kind in KINDS) for spans in wanted]
        if any(of_tier1):
            raise Detected(span.kind for spans in of_tier1 for span in spans)
    values = used.entities()
    for group, kind in KNOWN.items():
        for name in known.get(group, ()):
            if folded(name):
                values[folded(name)] = kind
    forms = [Folded(text) for text in texts]
    chosen = [
        _first(text, form, values, spans, more)
        for text, form, spans, more in zip(texts, forms, ruled, guessed, strict=True)
    ]
    new = -1
    while new != len(values):
        # What was found in one text, may be in another one, or beside what is masked there.
        new = len(values)
        for text, spans in zip(texts, chosen, strict=True):
            for span in spans:
                if span.kind != ESCAPED:
                    values.setdefault(folded(text[span.start : span.end]), span.kind)
        chosen = [
            _masked_too(text, spans, values) for text, spans in zip(texts, chosen, strict=True)
        ]
    del values
    results = [_replaced(text, spans, used) for text, spans in zip(texts, chosen, strict=True)]
    if any(leaks(result, used) for result in results):
        raise Leak
    return results


def leaks(text: str, used: Map) -> bool:
    """Whether a value of the map is in this text besides its tokens."""
    form = Folded(TOKEN.sub(MASK, text))
    return any(next(form.find(value), None) is not None for value in used.entities())


def _first(
    text: str,
    form: Folded,
    values: Mapping[str, str],
    ruled: Iterable[Span],
    guessed: Iterable[Span],
) -> list[Span]:
    """What is certain; then what a model adds."""
    escaped = [Span(*found.span(), ESCAPED) for found in TOKEN.finditer(text)]
    named = [Span(*place, kind) for value, kind in values.items() for place in form.find(value)]
    certain = _united([*escaped, *named, *ruled])
    return _united([*certain, *(rest for span in guessed for rest in _rests(text, span, certain))])


def _masked_too(text: str, spans: Sequence[Span], values: Mapping[str, str]) -> list[Span]:
    """The spans, with all values that are between them."""
    found = list(spans)
    while True:
        form = Folded(_masked(text, found))
        more = [Span(*place, kind) for value, kind in values.items() for place in form.find(value)]
        if not more:
            return found
        found = _united([*found, *more])


def _masked(text: str, spans: Iterable[Span]) -> str:
    """Of the same length."""
    parts, end = [], 0
    for span in spans:
        parts += [text[end : span.start], MASK * (span.end - span.start)]
        end = span.end
    return "".join([*parts, text[end:]])


def _united(spans: Iterable[Span]) -> list[Span]:
    """In the order of the text. Those that overlap are one, of the kind of the longest."""
    found: list[Span] = []
    longest = 0
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        size = span.end - span.start
        if size <= 0:
            continue
        if found and span.start < found[-1].end:
            last = found[-1]
            kind = span.kind if size > longest else last.kind
            longest = max(longest, size)
            found[-1] = Span(last.start, max(last.end, span.end), kind)
        else:
            found.append(span)
            longest = size
    return found


def _rests(text: str, span: Span, taken: Sequence[Span]) -> Iterator[Span]:
    """What others have not of this span; without rests that are hardly a name."""
    start = span.start
    parts = []
    for other in taken:
        if other.end <= start or other.start >= span.end:
            continue
        parts.append((start, other.start))
        start = other.end
    parts.append((start, span.end))
    for begin, end in parts:
        piece = text[begin:end]
        bare = piece.strip()
        if len(parts) > 1 and sum(map(str.isalnum, bare)) < _REST:
            continue
        if bare:
            at = begin + piece.index(bare)
            yield Span(at, at + len(bare), span.kind)


def _replaced(text: str, spans: Iterable[Span], used: Map) -> str:
    parts, end = [], 0
    for span in spans:
        parts += [text[end : span.start], used.token(span.kind, text[span.start : span.end])]
        end = span.end
    return "".join([*parts, text[end:]])


def _letters(number: int) -> str:
    """1 is B, 2 is C; the first spelling has none."""
    text = ""
    while number:
        number, digit = divmod(number, 26)
        text = chr(ord("A") + digit) + text
    return text
