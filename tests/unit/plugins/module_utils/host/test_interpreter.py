# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that travel to another interpreter."""

from __future__ import annotations

import importlib
import sys
import zipfile
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.module_utils.host import interpreter
from ansible_collections.dgxspark.suite.plugins.module_utils.host.interpreter import ask, sources_of

ECHO = """
from __future__ import annotations
import sys
from dataclasses import dataclass
from far.away.helper import double
from ansible_collections.dgxspark.suite.plugins.module_utils.host.interpreter import reply

@dataclass(frozen=True)
class Answer:
    value: int

def answer(request, sources):
    reply({"doubled": Answer(double(request["value"])).value, "names": list(sources)[-2:],
           "cached": sys.dont_write_bytecode})
"""
HANG = "    import time\n    time.sleep(60)\n"
NAMES = [
    "ansible_collections.dgxspark.suite.plugins.module_utils.host.command",
    interpreter.__name__,
]


def sources(entry: str = ECHO, junk: str = "") -> dict[str, str]:
    helper = "%s\ndef double(value):\n    return 2 * value  # ä\n" % junk
    return {**sources_of(NAMES), "far.away.helper": helper, "far.away.entry": entry}


def test_modules_find_each_other_and_answer() -> None:
    told, result = ask([sys.executable], sources(), {"value": 21}, 20)
    assert told == {
        "doubled": 42,
        "names": ["far.away.helper", "far.away.entry"],
        "cached": True,
    }
    assert result.ok


JUNK = {
    "before": "print('junk <<<dgxspark {}')",
    "after": "import atexit; atexit.register(print, '<<<dgxspark junk')",
    "bytes": "import os; os.write(1, b'\\xff\\xfe<<<')",
    "a flood": "print('x' * 3_000_000)",
    "on stderr": "import sys; print('y' * 3_000_000, file=sys.stderr)",
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
def test_junk_around_the_answer_is_harmless(junk: str) -> None:
    told, _result = ask([sys.executable], sources(junk=junk), {"value": 1}, 20)
    assert told is not None
    assert told["doubled"] == 2


def entry(body: str) -> str:
    return "import os, time\ndef answer(request, sources):\n    " + body


SILENT = [
    ("says nothing", entry("pass"), "exit status 0"),
    ("raises", entry("raise KeyError('why')"), "exit status 1: KeyError: 'why'"),
    ("dies", entry("os.kill(os.getpid(), 11)"), "SIGSEGV"),
    ("hangs", entry("time.sleep(60)"), "did not end within 1 s"),
    ("is cut off", entry("print('<<<dgxspark {\"a\": 1')"), "exit status 0"),
    ("is no JSON", entry("print('<<<dgxspark {a} dgxspark>>>')"), "exit status 0"),
    ("is no map", entry("print('<<<dgxspark [1] dgxspark>>>')"), "exit status 0"),
]


@pytest.mark.parametrize(
    ("entry", "why"), [case[1:] for case in SILENT], ids=[case[0] for case in SILENT]
)
def test_no_answer_is_told_with_its_reason(entry: str, why: str) -> None:
    told, result = ask([sys.executable], sources(entry), {}, 1)
    assert told is None
    assert why in result.describe()


def test_what_was_answered_before_a_hang_is_kept() -> None:
    entry = ECHO.replace(
        '"cached": sys.dont_write_bytecode})', '"cached": 1})\n    import time\n    time.sleep(60)'
    )
    told, result = ask([sys.executable], sources(entry), {"value": 1}, 1)
    assert (told or {}).get("doubled") == 2
    assert result.outcome == "timed_out"


def test_sources_come_out_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "payload.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("dgxspark_zipped/__init__.py", "")
        stream.writestr("dgxspark_zipped/part.py", "A = 'ä'\n")
    monkeypatch.syspath_prepend(str(archive))
    importlib.import_module("dgxspark_zipped.part")
    assert sources_of(["dgxspark_zipped.part"])["dgxspark_zipped.part"] == "A = 'ä'\n"
