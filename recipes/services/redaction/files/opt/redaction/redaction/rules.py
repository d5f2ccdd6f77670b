# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is recognised by its form alone, tier 1: accounts, cards, addresses, numbers, keys. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

EMAIL, IBAN, CARD, PHONE, KEY = "EMAIL", "IBAN", "CARD", "PHONE", "KEY"
KINDS = (EMAIL, IBAN, CARD, PHONE, KEY)


class Span(NamedTuple):
    """text[start:end] is an entity of this kind."""

    start: int
    end: int
    kind: str


_EMAIL = re.compile(r"[\w.%+'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[\w-]{2,63}")
# ISO 13616: two letters, two digits, up to 30 of both; where one ends is not clear.
_IBANS = re.compile(
    r"(?<!\w)(?=([A-Za-z]{2}[0-9]{2}(?:[ \u00a0-]?[A-Za-z0-9]){11,30}))",
)
# ISO 7812: 12 to 19 digits.
_CARDS = re.compile(r"(?<![\w.])(?=([0-9](?:[ \u00a0-]?[0-9]){11,18}))")
_GROUPS = re.compile(r"[0-9]{4}([ \u00a0-])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}")
_PHONES = (
    # International, with + or 00; then national with 0; then in North America's groups.
    re.compile(r"(?<!\w)(?:\+|00)[1-9](?:[ \u00a0()./-]{0,3}[0-9]){6,14}(?!\w)"),
    re.compile(r"(?<![\w.,])\(?0[1-9](?:[ \u00a0()/-]{0,3}[0-9]){5,12}(?!\w)"),
    re.compile(r"(?<![\w-])\(?[2-9][0-9]{2}\)?[ \u00a0.-][0-9]{3}[ \u00a0.-][0-9]{4}(?![\w-])"),
)
_KEYS = (
    # By the prefixes of their makers.
    re.compile(
        r"(?<!\w)(?:sk|pk|rk|hf|gh[opsur]|github_pat|glpat|nvapi|npm|pypi|xox[abeprs]|dckr_pat)"
        r"[_-][A-Za-z0-9_-]{16,}"
    ),
    re.compile(r"(?<!\w)(?:AKIA|ASIA)[A-Z0-9]{16}(?!\w)"),
    re.compile(r"(?<!\w)AIza[A-Za-z0-9_-]{35}"),
    # A signed token of JSON, RFC 7519.
    re.compile(r"(?<!\w)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    re.compile(
        r"-----BEGIN (?P<what>[A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?)-----"
        r".{0,20000}?-----END (?P=what)-----",
        re.DOTALL,
    ),
)


def tier1(text: str) -> Iterator[Span]:
    """Of the rules; spans may overlap."""
    for found in _EMAIL.finditer(text):
        yield Span(*found.span(), EMAIL)
    for start, end in _longest(text, _IBANS, _is_account):
        yield Span(start, end, IBAN)
    for start, end in _longest(text, _CARDS, _is_card_or_grouped):
        yield Span(start, end, CARD)
    for rules, kind in ((_PHONES, PHONE), (_KEYS, KEY)):
        for rule in rules:
            for found in rule.finditer(text):
                yield Span(*found.span(), kind)


def _longest(
    text: str, rule: re.Pattern[str], check: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    """Where something of the rule begins, the longest part from there that passes the check."""
    for found in rule.finditer(text):
        start, end = found.span(1)
        while end > start:
            complete = text[end - 1].isalnum() and not text[end : end + 1].isalnum()
            if complete and check(text[start:end]):
                yield start, end
                break
            end -= 1


def _is_account(text: str) -> bool:
    return is_iban(text) or _has_form_of_iban(text)


def _is_card_or_grouped(text: str) -> bool:
    return is_card(text) or _GROUPS.fullmatch(text) is not None


def is_iban(text: str) -> bool:
    """By its check digits, ISO 7064."""
    bare = "".join(filter(str.isalnum, text)).upper()
    if not 15 <= len(bare) <= 34:
        return False
    turned = bare[4:] + bare[:4]
    return int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


def _has_form_of_iban(text: str) -> bool:
    """One with a slip: capital letters, and mostly digits."""
    bare = "".join(filter(str.isalnum, text))
    digits = sum(map(str.isdigit, bare))
    return 15 <= len(bare) <= 34 and bare == bare.upper() and digits * 3 >= len(bare) * 2


def is_card(text: str) -> bool:
    """By its check digit, ISO 7812 (Luhn)."""
    digits = [int(letter) for letter in text if letter.isdigit()][::-1]
    if not 12 <= len(digits) <= 19:
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return any(digits) and (sum(digits[::2]) + sum(doubled)) % 10 == 0
