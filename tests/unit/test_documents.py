# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's links, and the workflow that runs the tests elsewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://example.org/suite"


def linked(text: str, page: str = "docs/guides/a.md") -> str:
    spec = importlib.util.spec_from_file_location("docs_pages", ROOT / "tests/tools/docs_pages.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(
        module.linked(text, page, {"docs/guides/b.md", "README.md"}, ADDRESS, {"docs/guides/p.png"})
    )


@pytest.mark.parametrize(
    "text", ["[b](b.md#x)", "[r](../../README.md)", "[h](#here)", "[o](https://x)", "![p](p.png)"]
)
def test_links_between_pages_stay(text: str) -> None:
    assert linked(text) == text


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("[m](../../Makefile)", "blob/main/Makefile"),
        ("[r](../../roles)", "tree/main/roles"),
        ("[l](../../Makefile#L3)", "blob/main/Makefile#L3"),
    ],
)
def test_links_to_other_files_lead_to_the_project(text: str, target: str) -> None:
    assert linked(text).endswith(f"({ADDRESS}/{target})")


def workflow() -> str:
    path = ROOT / ".github" / "workflows" / "test.yml"
    if not path.exists():
        pytest.skip("no workflow beside the collection")
    return path.read_text("utf-8")


def test_the_workflow_runs_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    jobs = yaml.safe_load(workflow())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    named = set(re.findall(r"(?:make |')([a-z-]+)", " ".join(commands))) - {"schedule"}
    assert named
    assert named <= targets


def test_actions_of_others_are_pinned_by_their_commit() -> None:
    used = re.findall(r"uses: (\S+)", workflow())
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", name) for name in used)


def test_a_picture_that_is_not_copied_is_taken_from_the_project() -> None:
    assert linked("![p](../x.svg)") == f"![p]({ADDRESS}/raw/main/docs/x.svg)"
    assert linked("![p](https://host.example/x.svg)") == "![p](https://host.example/x.svg)"


def test_time_and_risk_are_stated_for_every_playbook() -> None:
    text = (ROOT / "docs/guides/time_and_risk.md").read_text("utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    assert all(len(row) == 4 and all(cell.strip() for cell in row) for row in rows)
    changing = {row[0].split("`")[1].split()[0] for row in rows}
    reading = set(re.findall("`(\\w+)`", text.splitlines()[-1]))
    assert not changing & reading
    assert changing | reading == {path.stem for path in ROOT.glob("playbooks/*.yml")}
