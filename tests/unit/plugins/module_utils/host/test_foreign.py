# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of others: whatever it is, it is read, or Foreign is raised."""

from __future__ import annotations

import contextlib
import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(VALUES)
def test_json_is_read(value: object) -> None:
    text = json.dumps(value)
    assert foreign.json_of(text) == value
    assert foreign.json_of(text.encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        "[Infinity]",
        "[1e999]",
        "[" * 60000,
        "[" * 60000 + "]" * 60000,
        '{"a":' * 100 + "1" + "}" * 100,
        "9" * 5000,
        b"\xff",
        b"\x00",
        '"' + "a" * 100,
    ],
)
def test_what_is_no_json_or_too_deep_is_refused(text: str | bytes) -> None:
    with pytest.raises(foreign.Foreign):
        foreign.json_of(text)


def test_the_limits_are_those_that_are_given() -> None:
    assert foreign.json_of("[[1]]", limit=5, depth=2) == [[1]]
    with pytest.raises(foreign.Foreign, match="4 bytes"):
        foreign.json_of("[[1]]", limit=4)
    with pytest.raises(foreign.Foreign, match="1 levels"):
        foreign.json_of("[[1]]", depth=1)
    assert foreign.json_of('["[[[["]', depth=1) == ["[[[["]


@settings(deadline=None)
@given(st.text() | st.binary())
def test_json_never_raises_anything_else(text: str | bytes) -> None:
    with contextlib.suppress(foreign.Foreign):
        foreign.json_of(text)


@settings(deadline=None)
@given(st.text())
def test_numbers_are_read_or_refused(text: str) -> None:
    assert foreign.is_whole(text) == (
        text != "" and len(text) <= 18 and set(text) <= {*"0123456789"}
    )
    for read in (foreign.whole, foreign.real):
        with contextlib.suppress(foreign.Foreign):
            assert abs(read(text)) < float("inf")


@pytest.mark.parametrize("text", ["²", "\u0661", "1_0", "+1", "-1", " ", "", "1" * 19])
def test_what_python_would_take_for_a_number(text: str) -> None:
    assert not foreign.is_whole(text)


def test_numbers() -> None:
    assert foreign.whole(" 17\n") == 17
    assert foreign.real("-1.5e3") == -1500.0
    for text in ("nan", "inf", "1e999", "²", "1_0"):
        with pytest.raises(foreign.Foreign):
            foreign.real(text)


@settings(deadline=None)
@given(st.text(st.characters()))
def test_text_that_is_displayed_has_no_control_characters(text: str) -> None:
    shown = foreign.shown(text)
    controls = {char for char in shown if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}}
    assert controls <= {"\t", "\n"}
    assert foreign.shown(shown) == shown
    assert len(foreign.line(text).splitlines()) <= 1


def test_what_is_displayed_stays_readable() -> None:
    assert foreign.shown("naïve\tUmlaut ä\n\x1b[2J\x9b\u202e") == (
        "naïve\tUmlaut ä\n\\x1b[2J\\x9b\\u202e"
    )
    assert foreign.line("naïve\tä\n\x1b[2J") == "naïve\tä\\n\\x1b[2J"
