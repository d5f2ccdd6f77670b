# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of a recording and turns of its speakers become blocks of text. Pure.

All times are seconds from the start of the recording, finite and not negative.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

UNKNOWN = "unknown"
# A longer silence ends a block.
SILENCE = 1.5
# A word that no turn overlaps is of one that is no farther away.
NEAR = 0.5
# Two channels that have the same word so close have one word.
SAME = 0.3
# More voices than models such as Sortformer separate.
_VOICES = 4

# Without a space before them: closing brackets and quotes, what ends a clause or a sentence, and
# an apostrophe with letters. The escapes are those of Chinese and Japanese, and curly quotes.
_TIGHT = re.compile(
    r"[,.;:!?%)\]}\u2026\u00bb\u201d\u3001\u3002\uff0c\uff01\uff1f\uff1a\uff1b]|['\u2019]\w"
)


@dataclass(frozen=True)
class Word:
    """speaker: empty until it is known. level: how loud, on a scale that both channels share."""

    text: str
    start: float
    end: float
    speaker: str = ""
    level: float | None = None


@dataclass(frozen=True)
class Turn:
    """A time in which somebody speaks; turns may overlap. confidence: of equal ones it decides."""

    start: float
    end: float
    name: str
    confidence: float = 0.0


@dataclass(frozen=True)
class Merged:
    """blocks: in the order of their starts. limits: what may be missing or wrong, for people."""

    blocks: tuple[Word, ...]
    limits: tuple[str, ...]

    @property
    def speakers(self) -> list[str]:
        """Those with a name, in the order of their first word."""
        names = dict.fromkeys(one.speaker for one in self.blocks)
        return [name for name in names if name != UNKNOWN]


def merge(words: Iterable[Word], turns: Iterable[Turn]) -> Merged:
    """One channel. Words that have a speaker already retain it."""
    named = _named(_in_order(words), turns)
    return _merged(named, [])


def merge_channels(
    microphone: Iterable[Word],
    system: Iterable[Word],
    turns: Iterable[Turn],
    self_name: str,
    self_turns: Sequence[Turn] | None = None,
) -> Merged:
    """Two channels: the microphone has the words of self_name, and what it hears of the others.

    turns: of the system's channel. self_turns: when self_name speaks; the microphone's words at
    other times are of whom the turns say. None if that is not known.
    """
    mine, others, guessed = _once(_in_order(microphone), _in_order(system))
    if self_turns is None:
        named = [replace(word, speaker=word.speaker or self_name) for word in mine]
    else:
        near = _named(mine, [replace(turn, name=self_name) for turn in self_turns])
        named = [word if word.speaker != UNKNOWN else replace(word, speaker="") for word in near]
    limits = []
    if guessed:
        limits.append(
            "%d words are in both channels without a level and count as the system's: a quiet word "
            "of %s at the same moment may be missing" % (guessed, self_name)
        )
    return _merged(_named(_in_order([*named, *others]), turns), limits)


def blocks(words: Iterable[Word]) -> list[Word]:
    """Words of one speaker without a silence between them as one; of blocks the same blocks."""
    found: list[list[Word]] = []
    end = 0.0
    for word in _in_order(words):
        if found and found[-1][0].speaker == word.speaker and word.start - end <= SILENCE:
            found[-1].append(word)
            end = max(end, word.end)
        else:
            found.append([word])
            end = word.end
    return [
        Word(
            joined(word.text for word in block),
            block[0].start,
            max(word.end for word in block),
            block[0].speaker,
        )
        for block in found
    ]


def joined(texts: Iterable[str]) -> str:
    """With one space between them, and none before punctuation."""
    result = ""
    for text in texts:
        piece = " ".join(text.split())
        result += piece if not result or _TIGHT.match(piece) else " " + piece
    return result


def _merged(named: Sequence[Word], limits: Sequence[str]) -> Merged:
    lost = sum(word.speaker == UNKNOWN for word in named)
    speakers = {word.speaker for word in named} - {UNKNOWN}
    more = list(limits)
    if lost:
        more.append("%d words have no turn of a speaker within %s s" % (lost, NEAR))
    if len(speakers) >= _VOICES:
        more.append(
            "%d speakers: models that separate %d voices at most give others one of these names"
            % (len(speakers), _VOICES)
        )
    return Merged(tuple(blocks(named)), tuple(more))


def _in_order(words: Iterable[Word]) -> list[Word]:
    """By their starts, those at the same time as they were given; without empty ones."""
    present = [replace(word, end=max(word.start, word.end)) for word in words if word.text.strip()]
    return sorted(present, key=lambda word: word.start)


def _named(words: Sequence[Word], turns: Iterable[Turn]) -> list[Word]:
    """words: in order."""
    waiting = sorted(turns, key=lambda turn: turn.start, reverse=True)
    near: list[Turn] = []
    found = []
    for word in words:
        while waiting and waiting[-1].start <= word.end + NEAR:
            near.append(waiting.pop())
        # Later words start later: none of them is near such a turn.
        near = [turn for turn in near if turn.end >= word.start - NEAR]
        best = max(near, key=partial(_rank, word), default=None)
        if word.speaker or best is None or _overlap(word, best) < -NEAR:
            found.append(replace(word, speaker=word.speaker or UNKNOWN))
        else:
            found.append(replace(word, speaker=best.name))
    return found


def _rank(word: Word, turn: Turn) -> tuple[float, float]:
    return _overlap(word, turn), turn.confidence


def _overlap(word: Word, turn: Turn) -> float:
    """Seconds that they have in common; below zero those between them."""
    return min(word.end, turn.end) - max(word.start, turn.start)


def _once(microphone: Sequence[Word], system: Sequence[Word]) -> tuple[list[Word], list[Word], int]:
    """Each channel without what is louder in the other one, and how often no level decided."""
    starts = [word.start for word in microphone]
    # Places of words that both have; each is the twin of one word at most.
    twins: set[int] = set()
    quiet: set[int] = set()
    others = []
    guessed = 0
    for word in system:
        first, last = (
            bisect_left(starts, word.start - SAME),
            bisect_right(starts, word.start + SAME),
        )
        same = (
            place
            for place in range(first, last)
            if place not in twins and _is_same(microphone[place], word)
        )
        twin = next(same, None)
        if twin is None:
            others.append(word)
            continue
        twins.add(twin)
        level, other = word.level, microphone[twin].level
        guessed += level is None or other is None
        if level is None or other is None or level >= other:
            quiet.add(twin)
            others.append(word)
    mine = [word for place, word in enumerate(microphone) if place not in quiet]
    return mine, others, guessed


def _is_same(one: Word, other: Word) -> bool:
    text = _bare(one.text)
    return bool(text) and text == _bare(other.text)


def _bare(text: str) -> str:
    """For comparison: letters and digits, whatever their case."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))
