# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words and turns become blocks: no word is lost or comes twice, and the order is that of time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from gateway.label_merge import (
    NEAR,
    SAME,
    SILENCE,
    UNKNOWN,
    Turn,
    Word,
    blocks,
    joined,
    merge,
    merge_channels,
)
from hypothesis import given, settings
from hypothesis import strategies as st

TIMES = st.floats(0, 30, allow_nan=False).map(lambda seconds: round(seconds, 2))
TEXTS = st.sampled_from(
    ["yes", " No", "Monday", ",", "'s", "well done", "", "  ", "(x)", "你好", "…"]
)
NAMES = st.sampled_from(["Alice", "Bob", "SPEAKER_02"])
LEVELS = st.none() | st.floats(-60, 0)
WORDS = st.lists(
    st.builds(Word, TEXTS, TIMES, TIMES, st.just(""), LEVELS)
    | st.builds(Word, TEXTS, TIMES, TIMES),
    max_size=25,
)
TURNS = st.lists(st.builds(Turn, TIMES, TIMES, NAMES), max_size=8)


def letters(texts: list[str]) -> Counter[str]:
    return Counter("".join("".join(texts).split()))


def texts(words: list[Word] | tuple[Word, ...]) -> list[str]:
    return [word.text for word in words]


@settings(deadline=None)
@given(WORDS, TURNS)
def test_no_word_is_lost_or_doubled(words: list[Word], turns: list[Turn]) -> None:
    assert letters(texts(merge(words, turns).blocks)) == letters(texts(words))


@settings(deadline=None)
@given(WORDS, TURNS)
def test_blocks_are_in_the_order_of_time(words: list[Word], turns: list[Turn]) -> None:
    found = merge(words, turns).blocks
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert all(one.start <= one.end for one in found)


@settings(deadline=None)
@given(WORDS, TURNS)
def test_blocks_of_blocks_are_the_same_blocks(words: list[Word], turns: list[Turn]) -> None:
    found = list(merge(words, turns).blocks)
    assert blocks(found) == found
    assert list(merge(found, turns).blocks) == found


@settings(deadline=None)
@given(WORDS, TURNS)
def test_a_block_has_one_speaker_and_no_long_silence(words: list[Word], turns: list[Turn]) -> None:
    found = merge(words, turns).blocks
    for one, after in zip(found, found[1:], strict=False):
        assert one.speaker != after.speaker or after.start - one.end > SILENCE
    assert all(one.text and one.speaker for one in found)


@settings(deadline=None)
@given(WORDS, TURNS)
def test_a_speaker_is_that_of_a_turn_that_is_near(words: list[Word], turns: list[Turn]) -> None:
    for word in words:
        for one in merge([word], turns).blocks:
            end = max(word.start, word.end)
            away = [
                max(turn.start - end, word.start - turn.end, 0)
                for turn in turns
                if turn.name == one.speaker
            ]
            assert (min(away) <= NEAR) if one.speaker != UNKNOWN else not away


@settings(deadline=None)
@given(WORDS, WORDS, TURNS)
def test_of_two_channels_only_twins_are_dropped(
    mine: list[Word], others: list[Word], turns: list[Turn]
) -> None:
    both = letters(texts(mine)) + letters(texts(others))
    found = letters(texts(merge_channels(mine, others, turns, "Alice").blocks))
    assert not found - both
    # Whatever is missing is there in the other channel.
    assert not (letters(texts(mine)) | letters(texts(others))) - found


@settings(deadline=None)
@given(WORDS)
def test_a_channel_that_both_hear_comes_once(words: list[Word]) -> None:
    apart = [
        replace(word, start=number * 1.0, end=number + 0.2) for number, word in enumerate(words)
    ]
    spoken = [word for word in apart if any(letter.isalnum() for letter in word.text)]
    found = merge_channels(spoken, spoken, [], "Alice").blocks
    assert letters(texts(found)) == letters(texts(spoken))


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([" We", " meet", ",", " Monday", "."], "We meet, Monday."),
        (["it", "'s", "  late ", "!"], "it's late!"),
        (["(", "x", ")"], "( x)"),
        ([], ""),
    ],
)
def test_punctuation_is_tight(parts: list[str], text: str) -> None:
    assert joined(parts) == text


def test_a_word_goes_to_the_turn_that_it_overlaps_most_else_to_the_nearest() -> None:
    turns = [Turn(0, 1, "Alice"), Turn(0.9, 3, "Bob")]
    words = [Word("a", 0.2, 0.4), Word("b", 0.8, 2.4), Word("c", 3.4, 3.4), Word("d", 3.6, 3.8)]
    found = merge(words, turns).blocks
    assert [(one.speaker, one.text) for one in found] == [
        ("Alice", "a"),
        ("Bob", "b c"),
        (UNKNOWN, "d"),
    ]


def test_a_silence_ends_a_block() -> None:
    turns = [Turn(0, 10, "Alice")]
    words = [Word("a", 0, 1), Word("b", 1 + SILENCE, 3), Word("c", 3.01 + SILENCE, 5)]
    assert texts(merge(words, turns).blocks) == ["a b", "c"]


def test_the_louder_channel_has_a_word_that_both_have() -> None:
    mine = [Word("Yes", 1.0, 1.2, level=-10), Word("no", 2.0, 2.2, level=-40)]
    others = [Word("yes,", 1.0 + SAME, 1.6, level=-30), Word("No", 1.9, 2.1, level=-20)]
    found = merge_channels(mine, others, [Turn(0, 5, "Bob")], "Alice")
    assert [(one.speaker, one.text) for one in found.blocks] == [("Alice", "Yes"), ("Bob", "No")]
    assert found.limits == ()


def test_without_levels_the_system_has_it_and_a_limit_says_so() -> None:
    found = merge_channels([Word("yes", 1, 2)], [Word("Yes", 1, 2)], [Turn(0, 5, "Bob")], "Alice")
    assert [(one.speaker, one.text) for one in found.blocks] == [("Bob", "Yes")]
    assert "quiet word of Alice" in found.limits[0]


def test_the_microphone_is_of_self_name_while_that_one_speaks() -> None:
    mine = [Word("mine", 1, 1.5), Word("echo", 8, 8.5)]
    turns, local = [Turn(7, 9, "Bob")], [Turn(0, 2, "")]
    assert [one.speaker for one in merge_channels(mine, [], turns, "Alice").blocks] == ["Alice"] * 2
    found = merge_channels(mine, [], turns, "Alice", local).blocks
    assert [one.speaker for one in found] == ["Alice", "Bob"]


def test_limits_name_what_may_be_wrong() -> None:
    turns = [Turn(number, number + 1, f"S{number}") for number in range(4)]
    words = [Word("w", number + 0.2, number + 0.8) for number in range(4)]
    found = merge([*words, Word("lost", 20, 21)], turns)
    assert found.speakers == ["S0", "S1", "S2", "S3"]
    assert ["1 words have no turn" in found.limits[0], "4 voices" in found.limits[1]] == [
        True,
        True,
    ]
