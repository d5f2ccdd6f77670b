# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of the documentation are those that the code makes now: `make pictures`."""

from __future__ import annotations

import importlib
import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tests/tools"


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("pictures")


@pytest.mark.slow
@pytest.mark.skipif(
    not Path(sys.executable).with_name("ansible-playbook").exists(),
    reason="ansible-playbook is not beside this Python",
)
def test_the_terminal_shows_what_the_commands_print(pictures: ModuleType) -> None:
    drawn = pictures.terminal()
    assert drawn == (ROOT / "docs/pictures/terminal.svg").read_text("utf-8"), "run: make pictures"
    texts = [element.text or "" for element in ET.fromstring(drawn).iter() if element.text]
    assert any(text.startswith("next:") for text in texts)


def test_the_pages_are_those_that_were_photographed(pictures: ModuleType) -> None:
    noted = json.loads((ROOT / "docs/pictures/pages.json").read_text("utf-8"))
    assert pictures.sums(pictures.pages()) == noted, "run: make pictures"
    for name in noted:
        assert (ROOT / "docs/pictures" / name).read_bytes().startswith(b"\x89PNG")


def test_the_recorded_report_is_one() -> None:
    schema = json.loads((ROOT / "docs/contracts/drift_report.schema.json").read_text("utf-8"))
    recorded = ROOT / "tests/unit/fixtures/pictures/drift.json"
    jsonschema.validate(json.loads(recorded.read_text("utf-8")), schema)


def test_every_picture_is_shown_and_every_shown_one_is_there() -> None:
    shown = set()
    for page in [ROOT / "README.md", *ROOT.glob("docs/guides/*.md")]:
        for target in re.findall(r"\!\[[^\]\n]+\]\(([^)\s]+)\)", page.read_text("utf-8")):
            shown.add((page.parent / target).resolve())
    made = {path for path in (ROOT / "docs/pictures").iterdir() if path.suffix != ".json"}
    assert shown == made


def test_a_line_is_drawn_in_its_colours_and_wrapped(pictures: ModuleType) -> None:
    drawn = pictures.svg(["\x1b[0;31m  a <b>\x1b[0m", "x" * (pictures.COLUMNS + 3)])
    first, *rest = [one for one in ET.fromstring(drawn).iter() if one.tag.endswith("}text")]
    assert first.text == "a\N{NO-BREAK SPACE}<b>"
    assert first.get("fill") == pictures.COLOURS["0;31"]
    assert first.get("x") == str(pictures.MARGIN + 2 * pictures.WIDE)
    assert [len(one.text or "") for one in rest] == [pictures.COLUMNS, 3]
