# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's redaction takes out of a text comes back, and nothing of it is left before."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

SERVICES = Path(__file__).parents[2] / "recipes" / "services"
COMPANION = Path("files", "opt", "companion")
PATH = SERVICES / "redaction" / COMPANION / "scrubbing.py"
SPEC = importlib.util.spec_from_file_location("lab_scrubbing", PATH)
assert SPEC is not None
assert SPEC.loader is not None
scrubbing = importlib.util.module_from_spec(SPEC)
# Its dataclass asks for the module by its name.
sys.modules[SPEC.name] = scrubbing
SPEC.loader.exec_module(scrubbing)

NAMES = st.sampled_from(["Alice", "Alice Example", "Al", "Bob", "O'Hara", "[PERSON_1]", "İpek"])
PIECES = st.one_of(
    NAMES,
    st.sampled_from(
        [
            *(
                " ",
                "'s ",
                "[PERSON_1]",
                "[TEXT_2]",
                "[ORG_",
                "alice",
                "also",
                "\n",
                "bob@example.org",
            ),
            *("DE44 5001 0517 5407 3249 31", "4111 1111 1111 1111", "+49 30 1234567", "[EMAIL_1]"),
        ]
    ),
    st.text(max_size=8),
)


def nobody(_text: str) -> list[scrubbing.Span]:
    return []


@given(
    texts=st.lists(st.lists(PIECES, max_size=8).map("".join), min_size=1, max_size=3),
    persons=st.lists(NAMES, max_size=4),
    orgs=st.lists(NAMES, max_size=2),
)
def test_what_is_scrubbed_rehydrates_to_the_same_text(
    texts: list[str], persons: list[str], orgs: list[str]
) -> None:
    used = scrubbing.Map("t", 0.0)
    known = {"persons": persons, "orgs": orgs}
    try:
        scrubbed = [used.scrubbed(text, known, nobody) for text in texts]
    except scrubbing.Leak:
        # Rules that overlap may leave a value, and then nothing is answered.
        reject()
    for text, hidden in zip(texts, scrubbed):
        back, unknown = used.rehydrated(hidden)
        assert (back, unknown) == (text, [])


def test_the_longest_name_is_taken_whatever_its_case_also_before_an_s() -> None:
    used = scrubbing.Map("t", 0.0)
    known = {"persons": ["Alice", "Alice Example"], "orgs": ["Example"]}
    text = "ALICE EXAMPLE'S friend Alice; also Alice, and malice."
    assert used.scrubbed(text, known, nobody) == (
        "[PERSON_1]'S friend [PERSON_2]; also [PERSON_2], and malice."
    )


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("to bob@example.org now", ["EMAIL"]),
        ("DE44 5001 0517 5407 3249 31", ["IBAN"]),
        ("4111-1111-1111-1111", ["CARD"]),
        ("hf_abcdefghijklmnopqrst", ["KEY"]),
        ("room 12, floor 3", []),
    ],
)
def test_tier_one(text: str, kinds: list[str]) -> None:
    assert [span.kind for span in scrubbing._chosen(scrubbing.tier1(text))] == kinds


def test_a_value_that_is_left_is_a_leak() -> None:
    used = scrubbing.Map("t", 0.0)
    used.token("PERSON", "Alice")
    # Recognised in an earlier text of the task, and not in this one.
    with pytest.raises(scrubbing.Leak):
        used.scrubbed("alice called", {}, nobody)


def test_unknown_tokens_stay_and_are_reported() -> None:
    used = scrubbing.Map("t", 0.0)
    used.token("PERSON", "Alice")
    assert used.rehydrated("[PERSON_1] and [PERSON_9]") == ("Alice and [PERSON_9]", ["[PERSON_9]"])


def test_a_handle_is_for_its_task_and_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = scrubbing.Maps()
    handle, used = maps.new("t")
    assert len(handle) == 32
    assert maps.get(handle, "t") is used
    assert maps.get(handle, "u") is None
    assert maps.get("x", "t") is None
    later = scrubbing.time.monotonic() + scrubbing.LIFE + 1
    monkeypatch.setattr(scrubbing.time, "monotonic", lambda: later)
    assert maps.get(handle, "t") is None


def test_each_image_has_the_same_http() -> None:
    """An overlay is complete by itself, so that each has a copy."""
    texts = {
        (SERVICES / name / COMPANION / "answering.py").read_text()
        for name in ("piper", "redaction")
    }
    assert len(texts) == 1
