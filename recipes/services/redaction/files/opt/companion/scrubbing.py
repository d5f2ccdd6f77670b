# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names out of texts, and back in: docs/contracts/redaction.md. Pure, but for the handles."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

LIFE = 24 * 3600.0  # seconds
_TOKEN = re.compile(r"\[[A-Z]+_[0-9]+\]")
# What looks like a token already is a text like any other, under a token of this kind.
_ESCAPED = "TEXT"
_KNOWN = {
    "persons": "PERSON",
    "orgs": "ORG",
    "funds": "FUND",
    "emails": "EMAIL",
    "locations": "LOCATION",
}
# Tier 1, in this order.
_RULES = (
    ("EMAIL", re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    ("IBAN", re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")),
    ("CARD", re.compile(r"\b[0-9]{4}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,7}\b")),
    ("PHONE", re.compile(r"(?<!\w)\+?[0-9][0-9 ()/-]{6,}[0-9](?!\w)")),
    ("KEY", re.compile(r"\b(?:sk|hf|ghp|nvapi)[-_][A-Za-z0-9_-]{16,}\b")),
)


class Span(NamedTuple):
    """text[start:end] is an entity of this kind."""

    start: int
    end: int
    kind: str


Recognise = Callable[[str], Iterable[Span]]


class Leak(Exception):
    """A value of the map is still in a scrubbed text."""


@dataclass
class Map:
    """Token -> what it stands for, of one task. until: by the monotonic clock."""

    task: str
    until: float
    values: dict[str, str] = field(default_factory=dict)

    def token(self, kind: str, text: str) -> str:
        """The token of this text; the same text has the same one."""
        numbered = [token for token in self.values if token.startswith(f"[{kind}_")]
        same = [token for token in numbered if self.values[token] == text]
        token = same[0] if same else f"[{kind}_{len(numbered) + 1}]"
        self.values[token] = text
        return token

    def scrubbed(self, text: str, known: Mapping[str, Sequence[str]], ner: Recognise) -> str:
        """The text without names. Raises Leak."""
        parts, end = [], 0
        for span in _chosen([*_escaped(text), *_named(text, known), *tier1(text), *ner(text)]):
            token = self.token(span.kind, text[span.start : span.end])
            parts += [text[end : span.start], token]
            end = span.end
        result = "".join([*parts, text[end:]])
        bare = _TOKEN.sub("\n", result)
        for token, value in self.values.items():
            if not token.startswith(f"[{_ESCAPED}_") and _whole([value]).search(bare):
                raise Leak
        return result

    def rehydrated(self, text: str) -> tuple[str, list[str]]:
        """The text with what its tokens stand for, in one pass, and the tokens that are unknown."""
        unknown = [token for token in _TOKEN.findall(text) if token not in self.values]
        return _TOKEN.sub(lambda found: self.values.get(found[0], found[0]), text), unknown


def tier1(text: str) -> list[Span]:
    """Account numbers, cards, addresses, phone numbers and keys."""
    return [Span(*found.span(), kind) for kind, rule in _RULES for found in rule.finditer(text)]


def _escaped(text: str) -> list[Span]:
    return [Span(*found.span(), _ESCAPED) for found in _TOKEN.finditer(text)]


def _named(text: str, known: Mapping[str, Sequence[str]]) -> list[Span]:
    kinds = {name: _KNOWN[group] for group in _KNOWN for name in known.get(group, ()) if name}
    longest = sorted(kinds, key=len, reverse=True)
    return [
        Span(*found.span(), kinds[name])
        for name in longest
        for found in _whole([name]).finditer(text)
    ]


def _whole(names: Sequence[str]) -> re.Pattern[str]:
    """These names, whatever their case, but not as parts of longer words."""
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)", re.IGNORECASE)


def _chosen(spans: Sequence[Span]) -> list[Span]:
    """In the order of the text; of those that overlap, the one that was named first."""
    taken: list[Span] = []
    for span in spans:
        if span.start < span.end and all(
            span.end <= other.start or other.end <= span.start for other in taken
        ):
            taken.append(span)
    return sorted(taken)


class Maps:
    """The maps of all tasks, in memory, by their handles of 128 random bits."""

    def __init__(self) -> None:
        self._maps: dict[str, Map] = {}

    def new(self, task: str) -> tuple[str, Map]:
        now = time.monotonic()
        self._maps = {handle: one for handle, one in self._maps.items() if one.until > now}
        handle = secrets.token_hex(16)
        self._maps[handle] = Map(task, now + LIFE)
        return handle, self._maps[handle]

    def get(self, handle: str, task: str) -> Map | None:
        """The map of this task; None where the handle is of another one, or has expired."""
        for known, found in self._maps.items():
            same = hmac.compare_digest(known.encode(), handle.encode("utf-8", "replace"))
            if same and found.task == task and found.until > time.monotonic():
                return found
        return None
