# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as files, the page in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.documents import (
    Report,
    ReportEntry,
    natural,
    to_html,
    to_json,
    to_junit,
    write,
)

ROOT = Path(__file__).resolve().parents[4]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
HOSTILE = '<script>document.body.dataset.pwned = 1</script> & "quotes" \' \x00 \ud83d'
ENTRIES = [
    ReportEntry("spark2", "cuda", "cuda_link", "drift", "warning", "a", "b", "set it"),
    ReportEntry("spark1", "cuda", "cuda_link", "ok", "info", "a", "a"),
    ReportEntry("spark1", "ptxas", "pin", "blocked", "critical", "x", HOSTILE, "", "Look."),
    ReportEntry(
        "spark1", "cuda", "driver", "accepted", "warning", "x", "y", "", "Accepted until then"
    ),
    ReportEntry("spark1", "cuda", "gpu", "skipped", "info", "x", "no GPU"),
    ReportEntry("spark2", "ptxas", "pin", "fixed", "critical", "x", "y", "wrote it"),
]
CELLS = {
    ("spark1", "cuda"): "accepted",
    ("spark1", "ptxas"): "blocked",
    ("spark2", "cuda"): "drift",
    ("spark2", "ptxas"): "failed",
    ("spark3", "cuda"): "unreachable",
    ("spark3", "ptxas"): "unreachable",
}


@pytest.fixture
def report() -> Report:
    return Report(
        ["spark1", "spark2", "spark3"],
        ["cuda", "ptxas"],
        CELLS,
        ENTRIES,
        {"spark3": "no route to host"},
        {("spark2", "ptxas"): "MODULE FAILURE"},
        "site.yml",
        True,
        "2027-01-31 10:00:00 UTC",
    )


def test_the_document_is_as_its_schema_says(report: Report) -> None:
    schema = json.loads((ROOT / "docs" / "contracts" / "drift_report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(to_json(report))
    jsonschema.validate(document, schema)
    counts = {"unreachable": 1, "failed": 1, "blocked": 1, "drift": 1}
    assert document["counts"] == {**counts, "fixed": 1, "accepted": 1, "ok": 1, "skipped": 1}
    assert [(one["node"], one["check"]) for one in document["findings"]] == [
        ("spark1", "driver"),
        ("spark1", "cuda_link"),
        ("spark1", "gpu"),
        ("spark1", "pin"),
        ("spark2", "cuda_link"),
        ("spark2", "pin"),
    ]


def test_the_order_in_which_nodes_answer_makes_no_difference(report: Report) -> None:
    other = replace(report, entries=[*reversed(ENTRIES), ENTRIES[0]])
    assert json.loads(to_json(other))["findings"] == json.loads(to_json(report))["findings"]


def test_junit_counts_what_is_wrong_as_failures(report: Report) -> None:
    root = ET.fromstring(to_junit(report))
    told = {
        suite.get("name"): {name: suite.get(name) for name in ("failures", "errors", "skipped")}
        for suite in root
    }
    assert told == {
        "spark1": {"failures": "1", "errors": "0", "skipped": "2"},
        "spark2": {"failures": "1", "errors": "1", "skipped": "0"},
        "spark3": {"failures": "0", "errors": "2", "skipped": "0"},
    }
    error = root.find("testsuite[@name='spark2']/testcase/error")
    assert error is not None
    assert error.get("message") == "MODULE FAILURE"


def test_files_are_made_with_their_folder_and_replaced(report: Report, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    for _time in range(2):
        paths = write(report, str(folder))
    assert sorted(path.name for path in folder.iterdir()) == [
        "drift.html",
        "drift.json",
        "drift.xml",
    ]
    assert paths[0] == str(folder / "drift.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write(report, str(tmp_path / "file" / "x"))


def test_the_page_asks_for_nothing_from_outside(report: Report) -> None:
    page = to_html(report)
    assert not re.search(r"(src|href|action)\s*=|url\(|@import|https?:", page)
    assert "default-src 'none'" in html.unescape(page)
    assert HOSTILE[:8] not in page.replace("<script>\n", "")


@pytest.fixture
def look(report: Report, tmp_path: Path) -> Callable[..., str]:
    """Have a browser open the page and give what it then holds."""
    write(report, str(tmp_path))

    def opened(fragment: str = "", *options: str) -> str:
        assert BROWSER
        done = subprocess.run(
            [
                *(
                    BROWSER,
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                ),
                *(f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=2000"),
                *(*options, "--dump-dom", f"file://{tmp_path}/drift.html{fragment}"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout

    return opened


def shown(page: str) -> list[tuple[Any, Any]]:
    """(node, status) of what is not hidden."""
    articles = re.findall(r"<article [^>]*>", page)
    return [
        (re.search(r'data-node="(\w*)"', one)[1], re.search(r'data-status="(\w*)"', one)[1])  # type: ignore[index]
        for one in articles
        if " hidden" not in one
    ]


@pytest.mark.skipif(not BROWSER, reason="no headless browser here: install chromium")
@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        (
            "",
            [
                *(("spark3", "unreachable"), ("spark2", "failed"), ("spark1", "accepted")),
                *(("spark1", "blocked"), ("spark2", "drift"), ("spark2", "fixed")),
            ],
        ),
        ("#status=drift", [("spark2", "drift")]),
        ("#node=spark1&status=all&spec=ptxas", [("spark1", "blocked")]),
        ("#node=spark1&status=ok", [("spark1", "ok")]),
        ("#spec=nothing%22%3E&node=nobody&status=blocked", [("spark1", "blocked")]),
        ("#node=spark3&status=ok", []),
    ],
)
def test_a_browser_shows_what_is_asked_for(
    look: Callable[..., str], fragment: str, expected: list[tuple[str, str]]
) -> None:
    page = look(fragment)
    assert shown(page) == expected
    assert ('class="none" hidden' in page) == bool(expected)
    assert "data-pwned" not in page.replace("dataset.pwned", "")


@pytest.mark.skipif(not BROWSER, reason="no headless browser here: install chromium")
def test_the_page_fits_a_phone(report: Report, tmp_path: Path) -> None:
    """Nothing but the table, which scrolls by itself, is wider than the screen."""
    assert BROWSER
    long = replace(ENTRIES[0], actual="/very/long/" + "x" * 300, check="c" * 30)
    page = to_html(replace(report, entries=[long]))
    # The page's policy lets only its own script run, so the measuring page frames it.
    (tmp_path / "page.html").write_text(page)
    (tmp_path / "measure.html").write_text(
        "<iframe id=f src=page.html style='width:360px;height:600px;border:0'></iframe><script>"
        "onload = () => { const e = f.contentDocument.documentElement;"
        " document.title = e.scrollWidth + ' of ' + e.clientWidth; }</script>"
    )
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--allow-file-access-from-files", f"--user-data-dir={tmp_path}/profile"),
            *("--virtual-time-budget=2000", "--dump-dom", f"file://{tmp_path}/measure.html"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    measured = re.search(r"<title>(\d+) of (\d+)</title>", done.stdout)
    assert measured, done.stdout
    assert int(measured[1]) <= int(measured[2]) <= 360


def test_nodes_are_in_the_order_in_which_people_count() -> None:
    names = ["spark10", "spark9", "rack2-spark1", "rack10-spark1", "spark", "10", "9"]
    assert sorted(names, key=natural) == [
        "9",
        "10",
        "rack2-spark1",
        "rack10-spark1",
        "spark",
        "spark9",
        "spark10",
    ]
