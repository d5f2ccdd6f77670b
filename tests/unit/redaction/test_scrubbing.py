# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is scrubbed comes back, and nothing of it is left before. All people are invented."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redaction.folding import INSIDE, Folded, folded
from redaction.rules import CARD, EMAIL, IBAN, KEY, PHONE, Span, is_card, is_iban, tier1
from redaction.scrubbing import KNOWN, TOKEN, Detected, Leak, Map, _united, leaks, scrubbed

NAMES = [
    *("Alice", "Alice Example", "Al", "Bob", "O'Hara", "\u0130pek", "Jos\u00e9", "Stra\u00dfer"),
    *("[PERSON_1]", "Example GmbH", "Northwind", "a b", "12", "[", "_1]", "PERSON"),
]
PIECES = [
    *(" ", "'s ", "[PERSON_1]", "[TEXT_2]", "[ORG_", "_1]", "alice", "also", "malice", "\n"),
    *(
        "ALICE  EXAMPLE",
        "STRASSER",
        "Jose\u0301",
        "ali\u00adce",
        "al\u200bice",
        "AL",
        "[PERSON_1B]",
    ),
    *("bob@example.org", "alice@example.org", "DE44 5001 0517 5407 3249 31", "4111 1111 1111 1111"),
    *("+49 30 1234567", "sk-abcdefghijklmnopqrstuvwx", "\0", "\ud7ff", "x", "1", "_"),
]
TEXT = st.lists(st.sampled_from([*NAMES, *PIECES]) | st.text(max_size=4), max_size=9).map("".join)
KNOWN_ENTITIES = st.fixed_dictionaries(
    {}, optional={group: st.lists(st.sampled_from(NAMES), max_size=4) for group in KNOWN}
)
SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=4)


def nobody(_text: str) -> Sequence[Span]:
    return ()


def guesses(spans: list[tuple[int, int]]) -> object:
    """A model that finds names anywhere, also where none are."""

    def recognise(text: str) -> list[Span]:
        return [
            Span(start, min(len(text), start + size), ("PERSON", "ORG")[size % 2])
            for start, size in spans
            if start < len(text)
        ]

    return recognise


def is_left(value: str, text: str) -> bool:
    """An independent search: word by word for short values, anywhere for longer ones.

    A value that nobody sees is nowhere.
    """
    nothing = next(one for one in "\0\1\2\3" if one not in value)
    bare, value = (
        "".join(one for one in part if unicodedata.category(one) not in ("Cf", "Mn")).casefold()
        for part in (TOKEN.sub(nothing, text), value)
    )
    if len(value) >= INSIDE or not value.strip():
        return bool(value.strip()) and value in bare
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", bare) is not None


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=3), known=KNOWN_ENTITIES, spans=SPANS)
@example(texts=["x\0y\0x\0y"], known={}, spans=[(0, 3)])
@example(texts=["\u200b"], known={}, spans=[(0, 1)])
@example(texts=["Alxyzzy1", "Al xyzzy1"], known={"persons": ["Al", "xyzzy1"]}, spans=[])
def test_what_is_scrubbed_comes_back_and_nothing_is_left(
    texts: list[str], known: dict[str, list[str]], spans: list[tuple[int, int]]
) -> None:
    used = Map()
    found = scrubbed(texts, known, guesses(spans), used)  # type: ignore[arg-type]
    for text, hidden in zip(texts, found, strict=True):
        assert used.rehydrated(hidden) == (text, set())
        for token, value in used.values.items():
            assert TOKEN.fullmatch(token)
            assert token.startswith("[TEXT_") or not is_left(value.strip(), hidden)
        for name in (name for names in known.values() for name in names):
            if folded(name) and not TOKEN.search(name):
                assert next(Folded(TOKEN.sub("\0", hidden)).find(folded(name)), None) is None


@settings(deadline=None)
@given(first=TEXT, second=TEXT, known=KNOWN_ENTITIES, spans=SPANS)
def test_a_task_goes_on_with_its_map(
    first: str, second: str, known: dict[str, list[str]], spans: list[tuple[int, int]]
) -> None:
    before = Map()
    (one,) = scrubbed([first], known, guesses(spans), before)  # type: ignore[arg-type]
    # As it is stored and read.
    after = Map(dict(before.values))
    (two,) = scrubbed([second], {}, nobody, after)
    assert after.rehydrated(two) == (second, set())
    assert after.rehydrated(one) == (first, set())
    assert before.values.items() <= after.values.items()
    for token, value in before.values.items():
        assert token.startswith("[TEXT_") or not is_left(value.strip(), two)


@settings(deadline=None)
@given(TEXT)
def test_nothing_happens_to_a_text_without_entities(text: str) -> None:
    if not TOKEN.search(text) and not list(tier1(text)):
        assert scrubbed([text], {}, nobody, Map()) == [text]


@settings(deadline=None)
@given(st.text(), st.text())
def test_folding_has_the_places_of_the_text(text: str, value: str) -> None:
    for start, end in Folded(text).find(folded(value)):
        assert folded(text[start:end]) == folded(value)
        assert 0 <= start < end <= len(text)


def test_one_entity_has_one_number_and_each_spelling_its_letter() -> None:
    used = Map()
    known = {"persons": ["Alice", "Alice Example"], "orgs": ["Northwind"]}
    text = "ALICE EXAMPLE'S friend Alice of Northwind; Alice\nExample, alice, NORTHWIND. Alicess."
    (found,) = scrubbed([text], known, nobody, used)
    assert found == (
        "[PERSON_1]'S friend [PERSON_2] of [ORG_1]; [PERSON_1B], [PERSON_2B], [ORG_1B]. "
        "[PERSON_2]ss."
    )


def test_what_a_model_recognises_once_is_replaced_everywhere() -> None:
    def recognise(text: str) -> list[Span]:
        at = text.find("Carol Sample")
        return [Span(at, at + 12, "PERSON")] if at >= 0 and "signed" in text else []

    used = Map()
    texts = ["carol sample called.", "signed, Carol Sample"]
    assert scrubbed(texts, {}, recognise, used) == ["[PERSON_1] called.", "signed, [PERSON_1B]"]


def test_known_entities_come_first_and_rests_of_a_guess_are_replaced() -> None:
    def recognise(text: str) -> list[Span]:
        return [Span(0, len(text), "ORG")]

    used = Map()
    (found,) = scrubbed(["Alice Example-Sample"], {"persons": ["Alice Example"]}, recognise, used)
    assert found == "[PERSON_1][ORG_1]"
    assert used.rehydrated(found)[0] == "Alice Example-Sample"


def test_an_address_with_a_known_name_in_it_is_one() -> None:
    used = Map()
    (found,) = scrubbed(["to alice@example.org!"], {"persons": ["Alice"]}, nobody, used)
    assert found == "to [EMAIL_1]!"


GOLDEN = [
    (
        "Hello Bob, Alice Example (alice.example@example.org, +49 30 1234567) sent the invoice of "
        "Northwind Traders. IBAN DE44 5001 0517 5407 3249 31, card 4111-1111-1111-1111.",
        {"persons": ["Alice Example", "Bob"], "orgs": ["Northwind Traders"]},
        [
            *("Alice", "Example", "Bob", "example.org", "1234567", "Northwind", "Traders", "DE44"),
            *("3249", "4111"),
        ],
    ),
    (
        "Frau Mu\u0308sterfrau wohnt in der Stra\u00dfe 5.\nMUESTERFRAU? M\u00dcSTERFRAUS Konto: "
        "de44500105175407324931. Tel. 030/1234567 oder (0170) 123 45 67.",
        {"persons": ["M\u00fcsterfrau"]},
        ["M\u00dcSTERFRAU", "Mu\u0308sterfrau", "de4450", "1234567", "123 45 67"],
    ),
    (
        "export HF_TOKEN=hf_abcdefghijklmnopqrstuvwx AKIAABCDEFGHIJKLMNOP "
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln\n-----BEGIN PRIVATE "
        "KEY-----\nMIIabc\n-----END PRIVATE KEY-----",
        {},
        ["hf_abc", "AKIA", "eyJ", "MIIabc"],
    ),
    (
        "Dana O\u2019Hara\u2019s fund \u201cGreen\u00a0River\u201d and "
        "d.o\u2019hara@mail.example.net",
        {"persons": ["Dana O\u2019Hara"], "funds": ["Green River"]},
        ["Dana", "Hara", "Green", "River", "mail.example"],
    ),
]


@pytest.mark.parametrize(("text", "known", "secrets"), GOLDEN)
def test_golden(text: str, known: dict[str, list[str]], secrets: list[str]) -> None:
    used = Map()
    (found,) = scrubbed([text], known, nobody, used)
    assert not [secret for secret in secrets if secret.casefold() in found.casefold()]
    assert used.rehydrated(found) == (text, set())


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("to bob@example.org now", {EMAIL: "bob@example.org"}),
        ("DE44 5001 0517 5407 3249 31 and so on", {IBAN: "DE44 5001 0517 5407 3249 31"}),
        ("AB12 DE44500105175407324931", {IBAN: "AB12 DE44500105175407324931"}),
        ("gb33bukb20201555555555.", {IBAN: "gb33bukb20201555555555"}),
        # A slip of one digit.
        ("DE44 5001 0517 5407 3249 32", {IBAN: "DE44 5001 0517 5407 3249 32"}),
        ("4111-1111-1111-1111", {CARD: "4111-1111-1111-1111"}),
        # Parts of it have a right check digit, too.
        ("12 4111 1111 1111 1111 12", {CARD: "4111 1111 1111 1111 12"}),
        ("378282246310005", {CARD: "378282246310005"}),
        ("call +1 (212) 555-0100.", {PHONE: "+1 (212) 555-0100"}),
        ("0049 30 1234567", {PHONE: "0049 30 1234567"}),
        ("030/1234567", {PHONE: "030/1234567"}),
        ("212-555-0100", {PHONE: "212-555-0100"}),
        ("hf_abcdefghijklmnopqrst", {KEY: "hf_abcdefghijklmnopqrst"}),
        ("room 12, floor 3, 2026-11-27 23:14, 1.234.567,89, 192.0.2.1, v0.1.2", {}),
        ("in 2026 12 345 678 units of AB12 were sold", {}),
    ],
)
def test_tier_one(text: str, kinds: dict[str, str]) -> None:
    assert {span.kind: text[span.start : span.end] for span in _united(tier1(text))} == kinds


def test_check_digits() -> None:
    assert is_iban("DE44 5001 0517 5407 3249 31")
    assert not is_iban("DE44 5001 0517 5407 3249 32")
    assert is_card("4111 1111 1111 1111")
    assert not is_card("4111 1111 1111 1112")
    assert not is_card("0000 0000 0000 0000")


def test_tier_one_is_rejected_by_its_kinds_alone() -> None:
    used = Map()
    with pytest.raises(Detected) as detected:
        scrubbed(["x bob@example.org", "+49 30 1234567"], {}, nobody, used, reject=True)
    assert detected.value.kinds == [EMAIL, PHONE]
    assert str(detected.value) == ""
    assert used.values == {}


def test_a_value_that_is_left_is_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    used = Map({"[PERSON_1]": "Alice"})
    assert leaks("alice called", used)
    assert not leaks("[PERSON_1] called", used)
    monkeypatch.setattr("redaction.scrubbing._replaced", lambda text, _spans, _used: text)
    with pytest.raises(Leak) as leak:
        scrubbed(["Alice called"], {}, nobody, used)
    assert str(leak.value) == ""


def test_unknown_tokens_stay_and_are_reported() -> None:
    used = Map({"[PERSON_1]": "Alice"})
    assert used.rehydrated("[PERSON_1] [PERSON_9] [PERSON_1B]") == (
        "Alice [PERSON_9] [PERSON_1B]",
        {"[PERSON_9]", "[PERSON_1B]"},
    )


def test_many_spellings() -> None:
    used = Map()
    tokens = [used.token("PERSON", "alice" + " " * count) for count in range(1, 40)]
    assert tokens[:3] == ["[PERSON_1]", "[PERSON_1B]", "[PERSON_1C]"]
    assert len({*tokens}) == 39
    assert all(TOKEN.fullmatch(token) for token in tokens)


@pytest.mark.parametrize(
    "text", ["DE44" + "A" * 100_000, "1 " * 50_000, "a" * 100_000 + "@", "(0" * 50_000]
)
def test_rules_take_no_long_time(text: str) -> None:
    assert len(list(tier1(text))) >= 0


def test_normal_forms_are_one_entity() -> None:
    for form in ("NFC", "NFD"):
        name = unicodedata.normalize(form, "Jos\u00e9 Sample")  # type: ignore[arg-type]
        used = Map()
        (found,) = scrubbed(["jose sample", "JOS\u00c9 SAMPLE"], {"persons": [name]}, nobody, used)[
            :1
        ]
        assert found == "[PERSON_1]"
